"""The table that ``strace -c`` writes, and ``strace -C`` writes below its log.

Columns are named by the first line: ``% time``, ``seconds``, ``usecs/call``, ``calls``, ``errors`` and, last,
``syscall``; strace 7.1 has more. ``errors`` is left blank where it is 0. Times are system CPU time, or wall clock time
with ``-w``: the table does not say which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

FORMAT = "strace"
_HEAD_BYTES = 64 * 1024
_HEADER = re.compile(rb"^% time +seconds +(?:\S+ +)*calls +errors +syscall\r?$", re.MULTILINE)
_COLUMNS = ("syscall", "calls", "errors", "seconds")
_LARGEST = 2**63


def recognise(source: Source) -> str | None:
    """Why this is a summary, or None."""
    match = _HEADER.search(source.data[:_HEAD_BYTES])
    return "it has the header of strace -c" if match else None


def split(data: bytes, source: Source, notes: NoteBook) -> tuple[bytes, pd.DataFrame]:
    """The log without the table below it, and the table (empty if there is none)."""
    # looking for the plain bytes is many times faster than looking for the pattern
    begin = data.find(b"% time ")
    match = _HEADER.search(data, begin) if begin >= 0 else None
    if match is None:
        return data, pd.DataFrame(columns=list(_COLUMNS))
    first_line = data.count(b"\n", 0, match.start()) + 1
    return data[: match.start()], _table(data[match.start() :].decode(), first_line, source, notes)


@dataclass(frozen=True, slots=True)
class _Row:
    syscall: str
    calls: int
    errors: int
    seconds: float


def _table(text: str, first_line: int, source: Source, notes: NoteBook) -> pd.DataFrame:
    lines = text.splitlines()
    # "% time" is one column of two words
    header = lines[0].replace("% time", "%time").split()
    rows: list[_Row] = []
    total: _Row | None = None
    for number, line in enumerate(lines[1:], first_line + 1):
        words = line.split()
        if not words or line.startswith("---"):
            continue
        if words[0:2] == ["%", "time"]:
            notes.add("more than one table; the first one is shown", source.at(number))
            break
        row = _row(header, words)
        if row is None:
            notes.add("a line of the table could not be read; it was left out", source.at(number))
        elif row.syscall == "total":
            total = row
        else:
            rows.append(row)
    if not rows:
        raise ReadError(
            "the table of strace -c has no rows",
            where=source.at(first_line),
            hint="The traced program made no call, or the file was cut off",
        )
    _reconcile(rows, total, source.at(first_line), notes)
    return pd.DataFrame(
        {
            "syscall": pd.Series([row.syscall for row in rows], dtype="str"),
            "calls": np.array([row.calls for row in rows], dtype=np.int64),
            "errors": np.array([row.errors for row in rows], dtype=np.int64),
            "seconds": np.array([row.seconds for row in rows], dtype=np.float64),
        }
    )


def _row(header: list[str], words: list[str]) -> _Row | None:
    if len(words) == len(header) - 1 and "errors" in header:
        words = [*words[: header.index("errors")], "0", *words[header.index("errors") :]]
    if len(words) != len(header):
        return None
    named = dict(zip(header, words, strict=True))
    try:
        row = _Row(named["syscall"], int(named["calls"]), int(named["errors"]), float(named["seconds"]))
    except (KeyError, ValueError):
        return None
    fits = 0 <= row.errors <= row.calls < 2**53 and 0 <= row.seconds < 2**53 / 1e9 * 1e3
    return row if fits else None


def _reconcile(rows: list[_Row], total: _Row | None, where: str, notes: NoteBook) -> None:
    """Say by how much the rows differ from the table's own total."""
    if total is None:
        notes.add("the table has no line of totals: it may be cut off", where)
        return
    for what, ours, theirs in (
        ("calls", sum(row.calls for row in rows), total.calls),
        ("errors", sum(row.errors for row in rows), total.errors),
    ):
        if ours != theirs:
            notes.add(f"the rows have {ours:,} {what}, the table's total says {theirs:,}", where)


def profile(summary: pd.DataFrame, source: Source, notes: NoteBook) -> Profile:
    """A profile of a table alone: one level of system calls."""
    frames = frame_table(summary["syscall"].tolist(), object=["kernel"] * len(summary))
    size = len(summary)
    time_ns = np.rint(summary["seconds"].to_numpy() * 1e9).astype(np.int64)
    costs = np.column_stack([time_ns, summary["calls"].to_numpy(), summary["errors"].to_numpy()])
    if float(costs.sum(axis=0, dtype=np.float64).max(initial=0)) >= _LARGEST:
        raise ReadError("the table adds up to more than fits 64 bits", where=source.at(1), hint="Was it edited?")
    return from_stacks(
        FORMAT,
        source.name,
        metrics=[
            Metric("time", "ns", "system CPU time, or wall clock time with -w (the table does not say)"),
            Metric("calls", "count", "system calls that returned"),
            Metric("errors", "count", "of these, calls that returned an error"),
        ],
        frames=frames,
        parent=np.full(size, -1, dtype=np.int64),
        frame=np.arange(size, dtype=np.int64),
        self_costs=costs,
        tables={"summary": summary.assign(node_id=np.arange(size, dtype=np.int64))},
        meta={"clock": "none", "timed": True},
        notes=notes.notes(),
    )


def compare(summary: pd.DataFrame, calls: pd.DataFrame, notes: NoteBook) -> None:
    """Say where the log and the table below it (-C) disagree in calls or errors."""
    returned = calls[calls["returned"]]
    # strace counts the continuation of an interrupted call as a call of its own
    name = returned["syscall"].astype("str").mask(returned["restarted"], "restart_syscall")
    ours = pd.DataFrame({"calls": name.value_counts(), "errors": name[returned["error"] != ""].value_counts()})
    theirs = summary.groupby("syscall")[["calls", "errors"]].sum()
    for called in ours.index.union(theirs.index):
        for what in ("calls", "errors"):
            in_log, in_table = (int(table[what].fillna(0).get(called, 0)) for table in (ours, theirs))
            if in_log != in_table:
                notes.add(f"{called}: {in_log:,} {what} in the log, {in_table:,} in the table")

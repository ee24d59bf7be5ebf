"""strace's log: every system call of every thread, with its time in the kernel.

Format: the sources of strace 4.x to 7.x (``strace.c``, ``syscall.c``) and logs they wrote. Read are all styles of time
stamps and process ids, best ``strace -f -tt -T -o FILE``. The parts, in the order a log goes through them:
``lines`` (blocks of lines as arrays), ``prefix`` (pid and stamp), ``calls`` (name, arguments, result), ``log`` (all of
it), ``join`` (interrupted calls), ``tasks`` (threads), ``tree`` (the profile); ``summary`` reads the table of
``strace -c``.

A time is wall clock in the call *including strace's own stops*: compare shapes, not absolutes.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.strace import summary as strace_summary
from workbench.profiles.readers.strace.calls import ENDED, UNKNOWN
from workbench.profiles.readers.strace.join import check_sum, clock_of, day_starts, name_the_pidless, pair
from workbench.profiles.readers.strace.log import Log, scan
from workbench.profiles.readers.strace.prefix import NO_STAMP, OF_DAY, SECOND_NS, SINCE_1970, SINCE_LINE_BEFORE
from workbench.profiles.readers.strace.tasks import labels, rows_of, task_table
from workbench.profiles.readers.strace.tree import build, costs, read_stacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.lines import Places
    from workbench.profiles.readers.strace.tree import CallTree
    from workbench.profiles.source import Source

FORMAT = "strace"

TIME = Metric("time", "ns", "wall clock time in the call, strace's own stops included")
CALLS = Metric("calls", "count", "system calls, also those that did not return")

# What ``start_ns`` counts from, as ``meta["clock"]`` says it.
CLOCKS = {
    NO_STAMP: "none",
    OF_DAY: "midnight of the first day",
    SINCE_1970: "1970-01-01 UTC",
    SINCE_LINE_BEFORE: "the first line",
}

_HEAD_BYTES = 64 * 1024
_HEAD_LINES = 60
_SURE = 3
_PREFIX = (
    rb"(?:\[pid +\d+(?:<[^>]*>)?\] |\d{1,8}(?:<[^>]*>)? +)?(?: *[\d:.]+ )?(?:\(\+ +[\d.]+\) )?(?:\[[^\]]{0,64}\] ){0,3}"
)
_CALL = re.compile(_PREFIX + rb"(?:[a-z_][a-z0-9_]{0,30}\(|<\.\.\. [a-z_][a-z0-9_]{0,30} resumed>)")
_ENDING = re.compile(rb"\) += (?:-?\d|\?)|<unfinished \.\.\.>$|<detached \.\.\.>$")
_EVENT = re.compile(_PREFIX + rb"(?:\+\+\+ (?:exited|killed|superseded) |--- (?:SIG|stopped ))")
_PID_SUFFIX = re.compile(r"\.(\d{1,8})$")


def recognise(source: Source) -> str | None:
    """Why these bytes are a log or a summary of strace, or None. Looks at the first lines."""
    if (summary := strace_summary.recognise(source)) is not None:
        return summary
    seen = like = 0
    for raw in source.data[:_HEAD_BYTES].split(b"\n", _HEAD_LINES)[:_HEAD_LINES]:
        line = raw.rstrip(b"\r")
        if line:
            seen += 1
            like += bool((_CALL.match(line) and _ENDING.search(line)) or _EVENT.match(line))
    if like and (like >= _SURE or 2 * like >= seen):
        return f"{like} of its first {seen} lines are system calls"
    return None


def read(
    source: Source,
    *,
    date: str | datetime.date | None = None,
    utc_offset_s: float = 0,
    pid: int | None = None,
) -> Profile:
    """Read a log, or the table of ``strace -c``.

    ``date`` (of the first line, ``YYYY-MM-DD``) turns times of day (-t, -tt) into nanoseconds since 1970, taking them
    for UTC or for a zone ``utc_offset_s`` seconds ahead of it. ``pid`` is that of lines that name none (a file of
    ``-ff``); without it the file's suffix, if that is a number.

    Tables: ``calls`` (one row a call), ``threads`` and ``signals``, with -C also ``summary``; ``meta["clock"]`` says
    what ``start_ns`` counts from. Raises ReadError.
    """
    midnight_ns = None if date is None else _midnight(date, utc_offset_s)
    notes = NoteBook()
    data = _as_utf8(source.data, source, notes)
    data, summary = strace_summary.split(data, source, notes)
    if len(summary) and not data.strip():
        return strace_summary.profile(summary, source, notes)
    log = scan(data, source, notes)
    log = name_the_pidless(log, _pid_of(source) if pid is None else pid, source, notes)
    pairs = pair(log, source, notes)
    check_sum(log.duration_ns, log.line, source)
    clock = clock_of(log)
    shift = _shift(log, clock, midnight_ns, source, notes)
    calls = _call_table(log, pairs, clock, shift)
    event_shift = _event_shift(log, clock, shift, midnight_ns)
    tasks = task_table(log, pairs, calls["start_ns"], event_shift, source, notes)
    timed = bool((log.duration_ns != UNKNOWN).any())
    tables = {"calls": calls, "threads": tasks, "signals": _signal_table(log, event_shift)}
    if len(summary):
        tables["summary"] = summary
        strace_summary.compare(summary, calls, notes)
    tree = _tree(log, pairs, calls, tasks, source, notes)
    calls["node_id"] = tree.node_of
    _note_times(log, pairs, calls, clock, timed, source, notes)
    metrics = [TIME, CALLS] if timed else [CALLS]
    known = calls["duration_ns"].fillna(0).to_numpy(dtype=np.int64) if timed else None
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=tree.frames,
        parent=tree.parent,
        frame=tree.frame,
        self_costs=costs(len(tree.parent), tree.node_of, known),
        tables=tables,
        meta=_meta(log, calls, clock, midnight_ns, timed),
        notes=notes.notes(),
    )


# tables


def _tree(
    log: Log, pairs: Pairs, calls: pd.DataFrame, tasks: pd.DataFrame, source: Source, notes: NoteBook
) -> CallTree:
    last_line = np.where(pairs.last >= 0, log.line[pairs.last], 0)
    return build(
        calls["waiting"].to_numpy(),
        rows_of(tasks, calls["pid"].to_numpy()),
        labels(tasks).tolist(),
        calls["syscall"].cat.codes.to_numpy().astype(np.int64),
        calls["syscall"].cat.categories.tolist(),
        read_stacks(log, last_line, source, notes),
    )


def _call_table(log: Log, pairs: Pairs, clock: int, shift: Places) -> pd.DataFrame:
    """One row a call, in the order of their beginnings."""
    first, last = pairs.first, pairs.last
    ended = last >= 0
    end = np.where(ended, last, first)
    duration = np.where(ended, log.duration_ns[end], UNKNOWN)
    alone = ended & (log.kind[first] == ENDED)
    start = log.stamp_ns[first] + shift[first] - np.where(alone & (duration != UNKNOWN), duration, 0)
    known = (log.clock[first] == clock) & (clock != NO_STAMP) & ~(alone & (duration == UNKNOWN))
    return pd.DataFrame(
        {
            "call_id": np.arange(len(first), dtype=np.int64),
            "pid": log.pid[end],
            "start_ns": _integers(start, known),
            "duration_ns": _integers(duration, duration != UNKNOWN),
            "syscall": _categories(log.name[first], log.names),
            "args": _arguments(log, first, last),
            "result": _integers(log.value[end], ended & log.has_value[end]),
            "result_text": _text(log.result.take(end)),
            "error": _categories(np.where(ended, log.error[end], 0), log.errors),
            "waiting": log.waiting[first],
            "returned": ended & log.returned[end],
            "open": ~ended,
            "restarted": log.restarted[first],
            "fd": _integers(log.fd[first], log.fd[first] != UNKNOWN),
            "line": log.line[first],
        }
    )


def _arguments(log: Log, first: Places, last: Places) -> pd.Series:
    """The arguments as they stand in the log, those of an interrupted call put together."""
    import pyarrow as pa
    import pyarrow.compute as pc

    begun = log.args.take(first)
    joined = (last >= 0) & (last != first)
    if joined.any():
        # the seam is where strace broke off: it cut nothing and added nothing
        both = pc.binary_join_element_wise(
            log.args.take(first[joined]), log.args.take(last[joined]), pa.scalar("", pa.large_string())
        )
        begun = pc.replace_with_mask(begun, pa.array(joined), both)
    return _text(begun)


def _text(values: Any) -> pd.Series:
    """An Arrow column of texts as a Series, its bytes shared."""
    return pd.Series(values.to_pandas(), dtype="str")


def _integers(values: Places, known: NDArray[np.bool_]) -> Any:
    return pd.arrays.IntegerArray(np.where(known, values, 0), ~known)


def _categories(codes: Places, words: Sequence[str]) -> pd.Categorical:
    used, renumbered = np.unique(codes, return_inverse=True)
    return pd.Categorical.from_codes(renumbered.reshape(-1), categories=[words[number] for number in used])


def _signal_table(log: Log, shift: dict[int, int]) -> pd.DataFrame:
    """One row a signal that arrived, or a stop by one: pid, signal, at_ns, text, line."""
    rows = log.signals
    return pd.DataFrame(
        {
            "pid": np.array([event.pid for event in rows], dtype=np.int64),
            "signal": pd.Series([_signal_name(event.text) for event in rows], dtype="str"),
            "at_ns": pd.array(
                [event.stamp_ns + shift[event.line] if event.line in shift else None for event in rows], dtype="Int64"
            ),
            "text": pd.Series([event.text for event in rows], dtype="str"),
            "line": np.array([event.line for event in rows], dtype=np.int64),
        }
    )


def _signal_name(text: str) -> str:
    return next((word for word in text.split(" ") if word.startswith("SIG")), "")


# times


def _midnight(date: str | datetime.date, utc_offset_s: float) -> int:
    try:
        day = datetime.date.fromisoformat(date) if isinstance(date, str) else date
        return (day - datetime.date(1970, 1, 1)).days * 86_400 * SECOND_NS - round(utc_offset_s * SECOND_NS)
    except (ValueError, TypeError, OverflowError) as error:
        raise ReadError(f"{date!r} is no date", where="date", hint="Give it as YYYY-MM-DD") from error


def _shift(log: Log, clock: int, midnight_ns: int | None, source: Source, notes: NoteBook) -> Places:
    """What to add to the stamp of each line."""
    other = np.flatnonzero(log.clock != clock)
    if other.size:
        notes.add(
            "a line has another kind of time stamp than most; its time is not known",
            source.at(int(log.line[other[0]])),
            count=other.size,
        )
    if clock != OF_DAY:
        return np.zeros(len(log.line), dtype=np.int64)
    days = day_starts(log, log.clock == clock, source)
    return days + (midnight_ns or 0)


def _event_shift(log: Log, clock: int, shift: Places, midnight_ns: int | None) -> dict[int, int]:
    """What to add to the stamps of exits and signals, by line: as much as to the call line before."""
    events = [event for event in (*log.exits, *log.signals) if event.clock == clock != NO_STAMP]
    before = np.searchsorted(log.line, [event.line for event in events]) - 1
    first = (midnight_ns or 0) if clock == OF_DAY else 0
    return {
        event.line: int(shift[row]) if row >= 0 else first for event, row in zip(events, before.tolist(), strict=True)
    }


def _note_times(
    log: Log, pairs: Pairs, calls: pd.DataFrame, clock: int, timed: bool, source: Source, notes: NoteBook
) -> None:
    """Say which calls have no time, and how much that leaves out."""
    if not timed:
        notes.add("the log has no times of calls; it was written without -T", source.at(1))
    if clock == NO_STAMP:
        notes.add("the log has no time stamps; it was written without -tt", source.at(1))
    still = np.flatnonzero(calls["open"].to_numpy())
    if still.size:
        notes.add(
            "a call has no end in the log; at least this much time of it is not counted",
            source.at(int(calls["line"].iloc[still[0]])),
            count=still.size,
            metric=TIME.name if timed else None,
            weight=float(_open_ns(log, pairs, calls, clock)) if timed and clock != NO_STAMP else None,
        )
    missing = np.flatnonzero(calls["duration_ns"].isna().to_numpy() & calls["returned"].to_numpy())
    if timed and missing.size:
        notes.add(
            "a call that returned has no time", source.at(int(calls["line"].iloc[missing[0]])), count=missing.size
        )


def _open_ns(log: Log, pairs: Pairs, calls: pd.DataFrame, clock: int) -> int:
    """How long the open calls had been open at the last time stamp of the log."""
    opened = calls.loc[calls["open"] & calls["start_ns"].notna(), "start_ns"]
    end = calls["start_ns"].max()
    return int((end - opened).clip(lower=0).sum()) if len(opened) else 0


def _meta(log: Log, calls: pd.DataFrame, clock: int, midnight_ns: int | None, timed: bool) -> dict[str, Any]:
    start, end = calls["start_ns"].min(), (calls["start_ns"] + calls["duration_ns"].fillna(0)).max()
    dated = clock == OF_DAY and midnight_ns is not None
    return {
        "clock": CLOCKS[SINCE_1970 if dated else clock],
        "started_ns": None if pd.isna(start) else int(start),
        "ended_ns": None if pd.isna(end) else int(end),
        "timed": timed,
        "lines": log.lines,
        "pids": int(calls["pid"].nunique()),
        "calls": len(calls),
    }


# the source


def _pid_of(source: Source) -> int | None:
    match = _PID_SUFFIX.search(source.name)
    return int(match[1]) if match else None


def _as_utf8(data: bytes, source: Source, notes: NoteBook) -> bytes:
    """strace writes ASCII unless told otherwise; bytes that are no UTF-8 become ``\\xff``."""
    if data.isascii():
        return data
    text = data.decode("utf-8", "backslashreplace").encode()
    if text != data:
        notes.add("bytes that are no UTF-8 are shown as \\x..", source.at(_first_bad_line(data)))
    return text


def _first_bad_line(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 1

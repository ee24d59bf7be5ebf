"""The table that ``strace -c`` writes, and ``strace -C`` writes below its log.

Columns and their order are chosen with ``-U``; the first line names them (``count.c`` of strace: ``% time``,
``seconds``, ``usecs/call``, ``calls``, ``errors`` and ``syscall`` unless chosen otherwise), the second is a line of
dashes. ``errors`` is blank if it is 0; in older versions a column without a total is blank in the line of totals.
Numbers have the decimal point of the user's locale. ``seconds`` is system CPU time, or wall clock time with ``-w``: the
table does not say which. ``wall-total`` (strace 7.1) is always wall clock time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.source import line_number
from workbench.profiles.table import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.join import Pairs
    from workbench.profiles.readers.strace.log import Log
    from workbench.profiles.source import Source

FORMAT = "strace"
NAME, CALLS, ERRORS, SECONDS, WALL = "syscall", "calls", "errors", "seconds", "wall-total"
_EACH = "usecs/call"
_COLUMNS = frozenset(
    ("%time", SECONDS, "shortest", "longest", _EACH, CALLS, ERRORS, NAME, WALL, "wall-min", "wall-max", "wall-avg")
)
# A table is at the beginning or at the end of a file, within so many bytes of it.
_HEAD_BYTES, _TAIL_BYTES = 64 * 1024, 1024 * 1024
_RULE = b"\n------"
_RULED = re.compile(r"[- ]*\r?")
_WORD = re.compile(r"\S+")
_MODE = re.compile(rb"System call usage summary for [^\n]* mode:\r?\n\Z")
_LARGEST = 2**63
_MOST_CALLS = 2**53
_MOST_SECONDS = 2**53 / 1e9 * 1e3


def recognise(source: Source) -> str | None:
    """Why this is a table, or None."""
    return "it has the header of strace -c" if _find(source.data) is not None else None


@dataclass(frozen=True, slots=True)
class _Header:
    """The columns of a table, in their order, and where they begin and end on a line."""

    columns: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Summary:
    """The rows of all tables of a file: the name of each row, and its numbers by column."""

    names: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    has_total: bool = False
    tables: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> NDArray[np.float64] | None:
        """A column; None if the tables do not have it."""
        return np.array(self.values[name]) if name in self.values else None

    def seconds(self) -> NDArray[np.float64] | None:
        """The seconds of each row: as written, else usecs/call times calls (strace cuts usecs/call to whole µs)."""
        each, calls = self.column(_EACH), self.column(CALLS)
        for name in (SECONDS, WALL):
            if name in self.values:
                return self.column(name)
        return each * calls / 1e6 if each is not None and calls is not None else None

    def columns(self) -> dict[str, Any]:
        """The table ``summary``: syscall, and calls, errors and seconds if they are known."""
        found: dict[str, Any] = {NAME: text(self.names)}
        for name in (CALLS, ERRORS):
            if (values := self.column(name)) is not None:
                found[name] = values.astype(np.int64)
        if (seconds := self.seconds()) is not None:
            found[SECONDS] = seconds
        return found


def split(data: bytes, source: Source, notes: NoteBook) -> tuple[bytes, Summary]:
    """The log without the tables below it, and the rows of these tables, if there are any."""
    at = _find(data)
    summary = Summary()
    if at is None:
        return data, summary
    mode = _MODE.search(data, max(0, at - 200), at)
    begin = mode.start() if mode else at
    first_line = line_number(data, at)
    _read(data[at:].decode("utf-8", "replace"), first_line, summary, source, notes)
    if not len(summary) and (begin == 0 or not data[:begin].strip()):
        raise ReadError(
            "the table of strace -c has no rows",
            where=source.at(first_line),
            hint="The traced program made no call, or the file was cut off",
        )
    return data[:begin], summary


def _find(data: bytes) -> int | None:
    """Where the first line of a table begins; None if there is no table."""
    for low, high in ((0, _HEAD_BYTES), (max(0, len(data) - _TAIL_BYTES), len(data))):
        for rule in _rules(data, low, min(high, len(data))):
            begin = data.rfind(b"\n", 0, rule) + 1
            header, ruled = (part.decode("latin-1") for part in (data[begin:rule], _line(data, rule + 1)))
            if _header(header, ruled) is not None:
                return begin
    return None


def _rules(data: bytes, low: int, high: int) -> Iterator[int]:
    """Line ends before a line of dashes; also the last line end of all, if a line of dashes may be cut off there."""
    at = data.find(_RULE, low, high)
    while at >= 0:
        yield at
        at = data.find(_RULE, at + 1, high)
    last = data.rfind(b"\n")
    if last >= 0 and not data[last + 1 :].strip(b"- "):
        yield last


def _line(data: bytes, begin: int) -> bytes:
    end = data.find(b"\n", begin)
    return data[begin : end if end >= 0 else len(data)]


def _header(line: str, ruled: str) -> _Header | None:
    """The columns that a table's first line names; None if it is not such a line. ``ruled`` is the line below it."""
    if len(line) > _HEAD_BYTES:
        return None
    columns = tuple(line.replace("% time", "%time").split())
    if not columns or not _COLUMNS.issuperset(columns) or not _RULED.fullmatch(ruled):
        return None
    if len(columns) == 1 and not ruled.strip():
        return None  # an ordinary word that is also the name of a column
    return _Header(columns, tuple(match.span() for match in _WORD.finditer(ruled)))


def _read(table: str, first_line: int, summary: Summary, source: Source, notes: NoteBook) -> None:
    lines = table.split("\n")
    cut = lines.pop() if lines[-1] else ""
    header: _Header | None = None
    for number, line in enumerate(lines, first_line):
        below = lines[number - first_line + 1] if number - first_line + 1 < len(lines) else cut
        following = _header(line, below)
        if following is not None:
            header = following
            summary.tables += 1
            summary.has_total = False
        elif not line.strip() or not line.strip("- \r") or line.startswith("System call usage summary"):
            continue
        elif header is None or not _take(header, line.rstrip("\r"), summary):
            notes.add("a line of the table could not be read; it was left out", source.at(number))
    if cut.strip("- \r") and not (header and cut.rstrip().endswith(" total") and _take(header, cut, summary)):
        notes.add("the last line is cut off and was left out", source.at(first_line + len(lines)))
    if len(summary):
        _reconcile(summary, source.at(first_line), notes)


def _take(header: _Header, line: str, summary: Summary) -> bool:
    """Add a line to the rows; False if it could not be read."""
    named = _columns_of(header, line)
    if named is None or (NAME in header.columns and NAME not in named):
        return False
    name = named.pop(NAME, "")
    try:
        values = {column: float(word.replace(",", ".")) for column, word in named.items()}
    except ValueError:
        return False
    values.setdefault(ERRORS, 0.0) if ERRORS in header.columns else None
    if not _fits(values):
        return False
    if name == "total":
        summary.has_total = True
        for column in (CALLS, ERRORS):
            if column in values:
                summary.totals[column] = summary.totals.get(column, 0.0) + values[column]
        return True
    missing = [column for column in header.columns if column not in values and column not in (NAME, "%time")]
    if missing:
        return False
    for column, value in values.items():
        summary.values.setdefault(column, [0.0] * len(summary.names)).append(value)
    summary.names.append(name or f"row {len(summary.names) + 1}")
    for column, rows in summary.values.items():
        if column not in values:
            rows.append(0.0)
    return True


def _fits(values: dict[str, float]) -> bool:
    """Whether these are numbers that strace can have written."""
    whole = all(0 <= values.get(column, 0.0) < _MOST_CALLS for column in (CALLS, ERRORS, _EACH))
    whole = whole and all(values.get(column, 0.0).is_integer() for column in (CALLS, ERRORS))
    times = all(0 <= values.get(column, 0.0) < _MOST_SECONDS for column in (SECONDS, WALL))
    return whole and times and (CALLS not in values or values.get(ERRORS, 0.0) <= values[CALLS])


def _columns_of(header: _Header, line: str) -> dict[str, str] | None:
    """The words of a line by column. If columns are blank, the positions of words show their columns."""
    words = list(_WORD.finditer(line))
    if len(words) == len(header.columns):
        return {column: word[0] for column, word in zip(header.columns, words, strict=True)}
    if len(words) > len(header.columns):
        return None
    if len(header.spans) == len(header.columns):
        placed: dict[str, str] = {}
        for word in words:
            under = [
                column
                for column, (begin, end) in zip(header.columns, header.spans, strict=True)
                if word.start() < end and word.end() > begin
            ]
            if not under or under[0] in placed:
                return None
            placed[under[0]] = word[0]
        return placed
    rest = [column for column in header.columns if column != ERRORS]
    return {column: word[0] for column, word in zip(rest, words, strict=True)} if len(words) == len(rest) else None


def _reconcile(summary: Summary, where: str, notes: NoteBook) -> None:
    """Note by how much the rows differ from the table's own total, and how many tables were added up."""
    if summary.tables > 1:
        notes.add(f"{summary.tables} tables were added up", where)
    if SECONDS not in summary.values and WALL not in summary.values and summary.seconds() is not None:
        notes.add("times are calls times usecs/call, which strace cuts to whole microseconds", where)
    if NAME not in summary.values and all(name.startswith("row ") for name in summary.names):
        notes.add("the table has no names of calls (-U without name); rows are numbered", where)
        return  # the row of totals cannot be told from the others
    if not summary.has_total:
        notes.add("the table has no line of totals: it may be cut off", where)
        return
    for what in (CALLS, ERRORS):
        if what in summary.values and what in summary.totals:
            ours, theirs = sum(summary.values[what]), summary.totals[what]
            if ours != theirs:
                notes.add(f"the rows have {ours:,.0f} {what}, the table's total says {theirs:,.0f}", where)


def profile(summary: Summary, source: Source, notes: NoteBook) -> Profile:
    """A profile of a table alone: one level of system calls."""
    columns = summary.columns()
    size = len(summary)
    metrics, costs = [], []
    if SECONDS in columns:
        what = "wall clock time" if SECONDS not in summary.values and WALL in summary.values else _EITHER
        metrics.append(Metric("time", "ns", what))
        costs.append(np.rint(columns[SECONDS] * 1e9).astype(np.int64))
    for name, what in ((CALLS, "system calls that returned"), (ERRORS, "of these, calls that returned an error")):
        if name in columns:
            metrics.append(Metric(name, "count", what))
            costs.append(columns[name])
    if not metrics:
        raise ReadError(
            "the table of strace -c has no time, calls or errors",
            where=source.at(1),
            hint="Write it with -U name,time-total,calls,errors",
        )
    table_costs = np.column_stack(costs)
    if float(table_costs.sum(axis=0, dtype=np.float64).max(initial=0)) >= _LARGEST:
        raise ReadError("a sum of the table does not fit into 64 bits", where=source.at(1), hint="Was it edited?")
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=frame_table(summary.names, object=["kernel"] * size),
        parent=np.full(size, -1, dtype=np.int64),
        frame=np.arange(size, dtype=np.int64),
        self_costs=table_costs,
        tables={"summary": {**columns, "node_id": np.arange(size, dtype=np.int64)}},
        meta={"clock": "none", "timed": SECONDS in columns},
        notes=notes.notes(),
    )


_EITHER = "system CPU time, or wall clock time with -w (the table does not say)"


def compare(summary: Summary, log: Log, pairs: Pairs, notes: NoteBook) -> None:
    """Note where the log and the table below it (-C) differ in calls or errors."""
    ended = np.flatnonzero(pairs.last >= 0)
    ended = ended[log.returned[pairs.last[ended]]]
    # strace counts the continuation of an interrupted call as a call of its own
    names = [*log.names, "restart_syscall"]
    name = np.where(log.restarted[pairs.first[ended]], len(log.names), log.name[pairs.first[ended]])
    failed = np.array([error != "" for error in log.errors], dtype=bool)[log.error[pairs.last[ended]]]
    for what, counted in ((CALLS, name), (ERRORS, name[failed])):
        if what not in summary.values:
            continue
        ours: dict[str, int] = {}
        for called, count in zip(names, np.bincount(counted, minlength=len(names)).tolist(), strict=True):
            ours[called] = ours.get(called, 0) + count
        theirs: dict[str, int] = {}
        for called, count in zip(summary.names, summary.values[what], strict=True):
            theirs[called] = theirs.get(called, 0) + int(count)
        for called in sorted({*ours, *theirs}):
            in_log, in_table = ours.get(called, 0), theirs.get(called, 0)
            if in_log != in_table:
                notes.add(f"{called}: {in_log:,} {what} in the log, {in_table:,} in the table")

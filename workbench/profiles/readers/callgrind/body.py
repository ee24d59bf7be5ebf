"""The body of a callgrind file summed up: what each source line, each function and each call cost.

A part's cost lines are ``position... cost...``. Positions are relative to the line before (``+3``, ``-3``, ``*``); the
line after ``calls=`` holds what the call cost with all it called, the one after ``jump=`` or ``jcnd=`` no cost.
The grammar is that of callgrind's writer (``dump.c``) and of KCachegrind's loader, which differ from the manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import ReadError
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.callgrind import header
from workbench.profiles.readers.callgrind.context import MOST_FILES, MOST_NAMES, Context
from workbench.profiles.readers.callgrind.lines import (
    Fault,
    LineCosts,
    Steps,
    line_costs,
    steps,
    subpositions,
    whole_number,
)
from workbench.profiles.readers.callgrind.names import CALL, HEADER, SKIPPED, Names, kinds_and_names
from workbench.profiles.readers.callgrind.scan import CALLS, CHUNK_BYTES, COST, JUMP, TEXT, Chunk, chunks, line_number
from workbench.profiles.source import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE_BITS = 32
_MAX_LINE = 2**31 - 1
_INT64 = 2**63
SUM_LIMIT = 2.0**63 * (1 - 2.0**-30)
_EXACT_IN_FLOAT = 2**53


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one part's events, a row a key; only those that are not 0 are kept: ``cost`` at ``cell``, which is
    ``row * len(events) + column``. The keys of ``own`` and ``call_costs`` are ``place << LINE_BITS | line``;
    a key can come more than once.
    """

    part: int
    events: tuple[str, ...]
    keys: NDArray[np.int64]
    cell: NDArray[np.int32]
    cost: NDArray[Any]

    @classmethod
    def of(cls, part: int, events: tuple[str, ...], keys: NDArray[np.int64], sums: NDArray[Any]) -> Costs:
        """Costs out of a table of sums, keys x events; kept in the smallest unsigned type that holds them."""
        some = np.flatnonzero(sums != 0)
        cost = sums.take(some)
        kept = np.min_scalar_type(int(cost.max(initial=0)))
        return cls(part, events, keys, some.astype(np.int32), cost.astype(kept))


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls one after another: caller and callee (functions), how often."""

    caller_place: NDArray[np.int64]
    callee: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass
class Body:
    """All that is in a file's parts."""

    names: Names = field(default_factory=Names)
    context: Context = field(default_factory=Context)
    parts: list[header.Part] = field(default_factory=lambda: [header.Part()])
    events: dict[str, header.Event] = field(default_factory=dict)
    own: list[Costs] = field(default_factory=list)
    called: list[Costs] = field(default_factory=list)
    calls: list[Calls] = field(default_factory=list)
    call_costs: list[Costs] = field(default_factory=list)
    instructions: list[tuple[Costs, NDArray[np.int64]]] = field(default_factory=list)
    jumps: list[pd.DataFrame] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)


def read_body(source: Source, notes: NoteBook, *, instr: bool = False, jumps: bool = False) -> Body:
    """Read all parts. ``instr`` keeps the cost of each instruction, ``jumps`` the jumps.

    Raises ReadError for what no callgrind file has: a cost that is no number or above 2**63, a line that is nothing.
    """
    return _Reading(source, notes, instr, jumps).read()


class _Reading:
    """One pass over a file: where the positions and the sums stand."""

    def __init__(self, source: Source, notes: NoteBook, instr: bool, jumps: bool) -> None:
        self._source = source
        self._notes = notes
        self._instr, self._jumps = instr, jumps
        self._body = Body()
        self._nameless = self._body.names.functions.of(b"???")
        self._base = dict.fromkeys(("instr", "bb", "line"), 0)
        # what the chunk's lines say where they have so many positions and events
        self._steps: dict[int, Steps] = {}
        self._costs: dict[tuple[int, int], LineCosts] = {}

    def read(self) -> Body:
        names = self._body.names
        # glibc gives memory back to the system, which clears it anew, above twice the largest block freed so far (of up
        # to 32 MiB): with this one it keeps the arrays of a chunk for the next
        np.empty(15 * CHUNK_BYTES, dtype=np.uint8)
        for chunk in chunks(self._source.data):
            self._read(chunk)
            if len(names.files.names) > MOST_FILES or len(names.functions.names) > MOST_NAMES:
                raise ReadError("more names than any program has", where=self._at(chunk, 0))
        return self._body

    def _read(self, chunk: Chunk) -> None:
        self._steps.clear()
        self._costs.clear()
        place, callees, headers = self._follow(chunk)
        low = 0
        for row, text in headers:
            self._read_costs(chunk, low, row, place, callees)
            self._read_header(text, chunk, row)
            low = row + 1
        self._read_costs(chunk, low, len(chunk.kind), place, callees)

    def _follow(self, chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64], list[tuple[int, bytes]]]:
        """The place of each line, the callee of each ``calls=`` line (-1 elsewhere), the header lines."""
        body = self._body
        rows = np.flatnonzero(chunk.kind == TEXT)
        named = np.flatnonzero(chunk.lines.kind == TEXT)
        texts = chunk.lines.texts(named)
        lines = [texts[index] for index in np.searchsorted(named, chunk.code.take(rows)).tolist()]
        codes = body.names.read(lines, lambda at, what: self._notes.add(what, self._at(chunk, int(rows[at]))))
        kinds, names = kinds_and_names(codes)
        headers: list[tuple[int, bytes]] = []
        if len(kinds) and kinds.max() >= HEADER:
            for at in np.flatnonzero(kinds >= HEADER).tolist():
                self._read_other(chunk, int(rows[at]), int(kinds[at]), lines[at], headers)
        every = np.flatnonzero((chunk.kind == TEXT) | (chunk.kind == CALLS))
        named_at = np.searchsorted(every, rows)
        merged_kinds = np.full(len(every), CALL, dtype=np.int64)
        merged_names = np.full(len(every), -1, dtype=np.int64)
        merged_kinds[named_at], merged_names[named_at] = kinds, names
        place, callee, is_named = body.context.follow(
            every, merged_kinds, merged_names, len(chunk.kind), self._nameless
        )
        calls = np.flatnonzero(chunk.kind == CALLS)
        if not is_named.all():
            first = int(calls[int(np.argmin(is_named))])
            what = "calls= without cfn= right above: the callee is unknown"
            self._notes.add(what, self._at(chunk, first), count=int((~is_named).sum()))
        callees = np.full(len(chunk.kind), -1, dtype=np.int64)
        callees[calls] = callee
        return place, callees, headers

    def _read_other(self, chunk: Chunk, row: int, kind: int, line: bytes, headers: list[tuple[int, bytes]]) -> None:
        """Lines that name nothing."""
        if kind == HEADER:
            headers.append((row, line))
        elif kind == CALL:
            chunk.kind[row] = CALLS
        elif kind == SKIPPED:
            self._notes.add(f"{line.split(b'=')[0].decode()}= lines are not read", self._at(chunk, row))
        else:
            raise ReadError(
                f"neither a cost, a name nor a header: {line[:40]!r}",
                where=self._at(chunk, row),
                hint="The file is damaged, or not callgrind's",
            )

    def _read_header(self, text: bytes, chunk: Chunk, row: int) -> None:
        key, _, value = text.decode("utf-8", "backslashreplace").partition(":")
        value = value.strip()
        part = self._body.parts[-1]
        if part.has_body and key in header.OPENS_PART:
            part = part.next()
            self._body.parts.append(part)
        if key == "version":
            if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= 1):
                raise ReadError(
                    f"version {value!r} of the format",
                    where=self._at(chunk, row),
                    hint="Version 1 is known: write the file with a valgrind of 3.x",
                )
        elif key == "positions":
            words = tuple(value.split())
            if not words or not set(words) <= {"instr", "bb", "line"} or len(set(words)) != len(words):
                raise ReadError(
                    f"positions {value[:40]!r}", where=self._at(chunk, row), hint="Known are instr, bb and line"
                )
            part.positions = words
        elif key == "events":
            part.events = self._events(value, chunk, row)
        elif key == "event":
            if (event := header.event_line(value)) is not None:
                self._body.events[event[0]] = event[1]
        elif key in ("totals", "summary"):
            numbers = header.whole_numbers(value)
            if numbers is None:
                self._notes.add(f"{key}: is not all numbers and was left out", self._at(chunk, row))
            setattr(part, key, numbers)
        elif key in ("part", "thread"):
            if value.isascii() and value.isdigit() and len(value) < 19:
                setattr(part, key, int(value))
            else:
                self._notes.add(f"{key}: is not a number and was left out", self._at(chunk, row))
        elif key in ("creator", "pid"):
            setattr(part, key, value)
        elif key == "cmd":
            part.cmd = header.unescaped(value)
        elif key == "desc":
            name, _, text_ = value.partition(":")
            part.about[name.strip()] = text_.strip()
        else:
            part.about[key] = value

    def _events(self, value: str, chunk: Chunk, row: int) -> tuple[str, ...]:
        events = tuple(value.split())
        if not events or len(set(events)) != len(events) or len(events) > header.MAX_EVENTS:
            raise ReadError(
                f"events {value[:80]!r}",
                where=self._at(chunk, row),
                hint=f"Up to {header.MAX_EVENTS} different names are expected",
            )
        return events

    def _read_costs(
        self, chunk: Chunk, low: int, high: int, place: NDArray[np.int64], callees: NDArray[np.int64]
    ) -> None:
        rows = np.flatnonzero(chunk.kind[low:high] == COST)
        rows += low
        if not len(rows):
            return
        body = self._body
        part = body.parts[-1]
        part.has_body = True
        if not part.events:
            raise ReadError(
                "costs before the line events:",
                where=self._at(chunk, int(rows[0])),
                hint="The beginning of the file is missing",
            )
        above = chunk.kind.take(rows - 1, mode="clip")
        if rows[0] == low:
            above[0] = TEXT
        calls, jumps = np.flatnonzero(above == CALLS), np.flatnonzero(above == JUMP)
        self._check_followed(chunk, low, high, rows[calls])
        self._check_width(chunk, rows, jumps)
        places = place.take(rows)
        if places.min() < 0:
            self._notes.add("costs before the first fn=", self._at(chunk, int(rows[0])), count=int((places < 0).sum()))
            places = np.where(places < 0, body.context.begin(self._nameless), places)
        bases = dict(self._base)
        lines = self._positions(chunk, rows, "line") if "line" in part.positions else np.zeros(len(rows), np.int64)
        where = places << LINE_BITS
        where |= self._sound(chunk, rows, lines)
        group, keys = _runs(where)
        # what a call cost is no self cost: each call is a group of its own, after those of the lines
        group[calls] = np.arange(len(keys), len(keys) + len(calls))
        cell, value = self._cells(chunk, rows, jumps, group)
        number, width = len(body.parts) - 1, len(part.events)
        if value.dtype == np.int64:
            # before they are summed: whole numbers pass 2**63 unseen
            self._limit(np.bincount(cell % width, value, width), chunk, rows)
        sums = summed(cell, value, len(keys) + len(calls), width)
        own, inclusive = sums[: len(keys)], sums[len(keys) :]
        self_costs = own.sum(axis=0)
        if value.dtype == np.float64:
            self._limit(self_costs + inclusive.sum(axis=0), chunk, rows)
        body.own.append(Costs.of(number, part.events, keys, own))
        for event, cost in zip(part.events, self_costs.tolist(), strict=True):
            part.own[event] = part.own.get(event, 0) + int(cost)
        if len(calls):
            above_calls = rows[calls] - 1
            body.calls.append(Calls(places[calls], callees[above_calls], self._counts(chunk, above_calls)))
            body.call_costs.append(Costs.of(number, part.events, where[calls], inclusive))
        if self._instr and "instr" in part.positions:
            body.instructions.append(self._each(chunk, rows, np.union1d(calls, jumps), where))
        if self._jumps and len(jumps):
            body.jumps.append(self._jump_table(chunk, rows, jumps, places, lines, bases["line"]))

    def _each(
        self, chunk: Chunk, rows: NDArray[np.int64], no_self_cost: NDArray[np.int64], where: NDArray[np.int64]
    ) -> tuple[Costs, NDArray[np.int64]]:
        """The self costs of each line of the file, and the address it is about."""
        events = self._body.parts[-1].events
        sums = summed(*self._cells(chunk, rows, no_self_cost, np.arange(len(rows))), len(rows), len(events))
        return Costs.of(len(self._body.parts) - 1, events, where, sums), self._positions(chunk, rows, "instr")

    def _limit(self, sums: NDArray[Any], chunk: Chunk, rows: NDArray[np.int64]) -> None:
        """Add to the sums of all costs of the file, which must fit 64 bits."""
        for event, cost in zip(self._body.parts[-1].events, sums.tolist(), strict=True):
            self._body.sums[event] = self._body.sums.get(event, 0.0) + cost
            if self._body.sums[event] >= SUM_LIMIT:
                raise ReadError(
                    f"the costs of {event} add up to more than 2**63",
                    where=self._at(chunk, int(rows[0])),
                    hint="The file is damaged",
                )

    def _check_followed(self, chunk: Chunk, low: int, high: int, costs: NDArray[np.int64]) -> None:
        calls = low + np.flatnonzero(chunk.kind[low:high] == CALLS)
        if len(calls) != len(costs):
            lost = np.setdiff1d(calls + 1, costs)
            self._notes.add("calls= without a cost line after it", self._at(chunk, int(lost[0]) - 1), count=len(lost))

    def _check_width(self, chunk: Chunk, rows: NDArray[np.int64], jumps: NDArray[np.int64]) -> None:
        costs = self._line_costs(chunk)
        if costs.extra.any():
            extra = costs.extra.take(chunk.code.take(rows))
            extra[jumps] = False
            self._note("more costs than events: left out", chunk, rows[extra])

    def _note(self, what: str, chunk: Chunk, rows: NDArray[np.int64]) -> None:
        if len(rows):
            self._notes.add(what, self._at(chunk, int(rows[0])), count=len(rows))

    def _refuse(self, faults: dict[int, Fault], chunk: Chunk, rows: NDArray[np.int64]) -> None:
        """Raise where one of the rows is a line that cannot be read."""
        if faults:
            for row, line in zip(rows.tolist(), chunk.code.take(rows).tolist(), strict=True):
                if line in faults:
                    raise ReadError(faults[line].what, where=self._at(chunk, row), hint=faults[line].hint)

    def _sound(self, chunk: Chunk, rows: NDArray[np.int64], lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """Line numbers that can be: others become 0, unknown."""
        if int(lines.min()) < 0 or int(lines.max()) > _MAX_LINE:
            wrong = (lines < 0) | (lines > _MAX_LINE)
            first = int(rows[int(wrong.argmax())])
            self._notes.add(
                "line numbers below 0 or above 2**31 are unknown", self._at(chunk, first), count=int(wrong.sum())
            )
            lines[wrong] = 0
        return lines

    def _positions(self, chunk: Chunk, rows: NDArray[np.int64], name: str) -> NDArray[np.int64]:
        """The values of one position column, relative ones added up."""
        column = self._body.parts[-1].positions.index(name)
        if column not in self._steps:
            self._steps[column] = steps(chunk.lines, column)
        found, code = self._steps[column], chunk.code.take(rows)
        self._refuse(found.faults, chunk, rows)
        if found.missing.any():
            self._note("a position is missing: taken as unchanged", chunk, rows[found.missing.take(code)])
        moved = np.flatnonzero(found.moves.take(code))
        code = code.take(moved)
        step, relative = found.step.take(code), found.relative.take(code)
        climb = np.cumsum(np.where(relative, step, 0))
        last = np.maximum.accumulate(np.where(relative, -1, np.arange(len(moved))))
        position = climb + np.where(last >= 0, step[last] - climb[last], self._base[name])
        stays = np.diff(moved, prepend=0, append=len(rows))
        positions = np.repeat(np.concatenate(([self._base[name]], position)), stays)
        self._base[name] = int(positions[-1])
        return positions

    def _line_costs(self, chunk: Chunk) -> LineCosts:
        part = self._body.parts[-1]
        layout = len(part.positions), len(part.events)
        if layout not in self._costs:
            self._costs[layout] = line_costs(chunk.lines, *layout)
        return self._costs[layout]

    def _cells(
        self, chunk: Chunk, rows: NDArray[np.int64], no_costs: NDArray[np.int64], group: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The costs in ``rows`` that are not 0, without those of ``no_costs``: the cell, which is
        ``group * len(events) + column``, and the value: floats where all their sums are exact, else whole numbers."""
        costs, code = self._line_costs(chunk), chunk.code.take(rows)
        count = costs.count.take(code)
        count[no_costs] = 0
        if costs.faults:
            has = np.ones(len(rows), dtype=bool)
            has[no_costs] = False
            self._refuse(costs.faults, chunk, rows[has])
        before = np.cumsum(count) - count
        # the row's first cell and its first cost in one number of 64 bits: spreading them over the costs takes longest
        both = (group * len(self._body.parts[-1].events)) << 32
        both += costs.begin.take(code)
        both -= before
        both = np.repeat(both, count)
        both += np.arange(len(both))
        index = both & 0xFFFFFFFF
        cell = both >> 32
        cell += costs.column.take(index)
        exact = costs.largest * len(index) < _EXACT_IN_FLOAT
        return cell, (costs.as_float if exact else costs.value).take(index)

    def _counts(self, chunk: Chunk, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each ``calls=`` line was called; what is no number counts as 0."""
        lines = chunk.lines
        word = lines.first[chunk.code[rows]]
        start = lines.start[word]
        count, bad = lines.numbers(start + np.where(lines.buffer[start] == ord("r"), 7, 6), lines.end[word])
        self._note("calls= without a number", chunk, rows[bad])
        count[bad] = 0
        return count

    def _jump_table(
        self,
        chunk: Chunk,
        rows: NDArray[np.int64],
        jumps: NDArray[np.int64],
        places: NDArray[np.int64],
        lines: NDArray[np.int64],
        base: int,
    ) -> pd.DataFrame:
        """Jumps: place, line, to_line, conditional, executed, followed."""
        above = rows[jumps] - 1
        positions = self._body.parts[-1].positions
        column = positions.index("line") + 1 if "line" in positions else 0
        written, line = chunk.lines, chunk.code[above]
        has = written.words[line] > column
        value, relative, faults = subpositions(written, written.first[line] + np.where(has, column, 0))
        self._refuse({int(line[at]): what for at, what in faults.items()}, chunk, above[has])
        previous = np.where(jumps > 0, lines[np.maximum(jumps - 1, 0)], base)
        head = written.first[line]
        counts = [_jump_counts(written.word(first)) for first in head.tolist()]
        return pd.DataFrame(
            {
                "place": places[jumps],
                "line": lines[jumps],
                "to_line": np.where(has, np.where(relative, previous + value, value), 0),
                "conditional": written.buffer[written.start[head] + 1] == ord("c"),
                "executed": np.asarray([executed for executed, _ in counts], dtype=np.int64),
                "followed": np.asarray([followed for _, followed in counts], dtype=np.int64),
            }
        )

    def _at(self, chunk: Chunk, row: int) -> str:
        return self._source.at(line_number(self._source.data, chunk.place(row)))


def summed(cell: NDArray[np.int64], value: NDArray[Any], groups: int, width: int) -> NDArray[Any]:
    """Values summed by cell, in their own type: a table of ``groups`` rows."""
    if value.dtype == np.float64:
        return np.bincount(cell, value, groups * width).reshape(groups, width)
    table = np.zeros(groups * width, dtype=np.int64)
    np.add.at(table, cell, value)
    return table.reshape(groups, width)


def added_up(
    pieces: Sequence[Costs], names: Sequence[str], rows: Sequence[NDArray[np.int64]], count: int
) -> NDArray[np.int64]:
    """Costs of many pieces summed into ``count`` columns, a row a metric of ``names``; ``rows`` says for each piece
    which column each of its rows goes to.

    Only what is not 0 is written, so that an empty row of the result takes no memory.
    """
    table = np.zeros((len(names), count), dtype=np.int64)
    flat = table.reshape(-1)
    for piece, row in zip(pieces, rows, strict=True):
        width = len(piece.events)
        column = np.asarray([names.index(event) for event in piece.events], dtype=np.int64) * count
        group = piece.cell // width
        event = piece.cell - group * width
        np.add.at(flat, row.take(group) + column.take(event), piece.cost.astype(np.int64))
    return table


def _runs(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which run of equal keys each one is in, and the key of each run. The instructions of a source line are mostly
    side by side."""
    changes = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return np.cumsum(changes) - 1, keys[changes]


def _jump_counts(word: bytes) -> tuple[int, int]:
    """Executed and followed of ``jump=COUNT`` or ``jcnd=FOLLOWED/EXECUTED``."""
    followed, slash, executed = word[5:].partition(b"/")
    first = whole_number(followed) or 0
    second = (whole_number(executed) or 0) if slash else first
    return min(second, _INT64 - 1), min(first, _INT64 - 1)

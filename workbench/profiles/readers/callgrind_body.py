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
from workbench.profiles.noting import NoteBook
from workbench.profiles.readers import callgrind_header as header
from workbench.profiles.readers.callgrind_context import MOST_FILES, MOST_NAMES, Context
from workbench.profiles.readers.callgrind_names import CALL, HEADER, SKIPPED, Names, kinds_and_names
from workbench.profiles.readers.callgrind_scan import CALLS, COST, JUMP, TEXT, Chunk, chunks, line_number
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

    def by_event(self) -> list[int]:
        """The sum of each event."""
        sums = np.zeros(len(self.events), dtype=np.int64)
        np.add.at(sums, self.cell % len(self.events), self.cost.astype(np.int64))
        return [int(total) for total in sums]


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

    def read(self) -> Body:
        names = self._body.names
        for chunk in chunks(self._source.data):
            self._read(chunk)
            if len(names.files.names) > MOST_FILES or len(names.functions.names) > MOST_NAMES:
                raise ReadError("more names than any program has", where=self._source.at(offset=chunk.offset))
        return self._body

    def _read(self, chunk: Chunk) -> None:
        place, callees, headers = self._follow(chunk)
        low = 0
        for row, text in headers:
            self._read_costs(chunk, low, row, place, callees)
            self._read_header(text, chunk, row)
            low = row + 1
        self._read_costs(chunk, low, len(chunk.kind), place, callees)

    def _follow(self, chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64], list[tuple[int, bytes]]]:
        """The place of each line, the callee of each ``calls=`` line (-1 elsewhere), the header lines."""
        body, text = self._body, chunk.text
        rows = np.flatnonzero(chunk.kind == TEXT)
        lines = [text[start:end] for start, end in zip(*chunk.bounds(rows), strict=True)]
        codes = body.names.read(lines, lambda at, what: self._notes.add(what, self._at(chunk, int(rows[at]))))
        kinds, names = kinds_and_names(codes)
        headers: list[tuple[int, bytes]] = []
        if len(kinds) and kinds.max() >= HEADER:
            for at in np.flatnonzero(kinds >= HEADER).tolist():
                self._read_other(chunk, int(rows[at]), int(kinds[at]), lines[at], headers)
        every = np.flatnonzero((chunk.kind == TEXT) | (chunk.kind == CALLS))
        merged_kinds = np.full(len(chunk.kind), CALL, dtype=np.int64)
        merged_names = np.full(len(chunk.kind), -1, dtype=np.int64)
        merged_kinds[rows], merged_names[rows] = kinds, names
        place, callee, named = body.context.follow(
            every, merged_kinds[every], merged_names[every], len(chunk.kind), self._nameless
        )
        calls = np.flatnonzero(chunk.kind == CALLS)
        if not named.all():
            first = int(calls[int(np.argmin(named))])
            what = "calls= without cfn= right above: the callee is unknown"
            self._notes.add(what, self._at(chunk, first), count=int((~named).sum()))
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
        rows = low + np.flatnonzero(chunk.kind[low:high] == COST)
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
        before = chunk.kind[np.maximum(rows - 1, 0)]
        is_call = (before == CALLS) & (rows > low)
        is_jump = (before == JUMP) & (rows > low)
        self._check_followed(chunk, low, high, rows, is_call)
        places = place[rows]
        if places.min() < 0:
            self._notes.add("costs before the first fn=", self._at(chunk, int(rows[0])), count=int((places < 0).sum()))
            places = np.where(places < 0, body.context.begin(self._nameless), places)
        bases = dict(self._base)
        lines = self._positions(chunk, rows, "line") if "line" in part.positions else np.zeros(len(rows), np.int64)
        codes, keys = _runs((places << LINE_BITS) | self._sound(chunk, rows, lines))
        row, column, value = self._values(chunk, rows, is_jump)
        own = ~is_call[row]
        width = len(part.events)
        for event, weight in zip(part.events, np.bincount(column, value, width), strict=True):
            body.sums[event] = body.sums.get(event, 0.0) + weight
            if body.sums[event] >= SUM_LIMIT:
                raise ReadError(
                    f"the costs of {event} add up to more than 2**63",
                    where=self._at(chunk, int(rows[0])),
                    hint="The file is damaged",
                )
        number = len(body.parts) - 1

        def costs(keys: NDArray[np.int64], codes: NDArray[np.int64], chosen: NDArray[Any]) -> Costs:
            return Costs(number, part.events, keys, *summed(codes * width + column[chosen], value[chosen]))

        body.own.append(costs(keys, codes[row[own]], own))
        for event, cost in zip(part.events, body.own[-1].by_event(), strict=True):
            part.own[event] = part.own.get(event, 0) + cost
        calls = np.flatnonzero(is_call)
        if len(calls):
            index = np.zeros(len(rows), dtype=np.int64)
            index[calls] = np.arange(len(calls))
            inside = ~own
            body.calls.append(Calls(places[calls], callees[rows[calls] - 1], self._counts(chunk, rows[calls] - 1)))
            body.call_costs.append(costs(keys[codes[calls]], index[row[inside]], inside))
        if self._instr and "instr" in part.positions:
            addresses = self._positions(chunk, rows, "instr")
            body.instructions.append((costs((places << LINE_BITS) | lines, row[own], own), addresses))
        if self._jumps and is_jump.any():
            body.jumps.append(self._jump_table(chunk, rows, is_jump, places, lines, bases["line"]))

    def _check_followed(
        self, chunk: Chunk, low: int, high: int, rows: NDArray[np.int64], is_call: NDArray[np.bool_]
    ) -> None:
        calls = low + np.flatnonzero(chunk.kind[low:high] == CALLS)
        if len(calls) != int(is_call.sum()):
            lost = np.setdiff1d(calls + 1, rows[is_call])
            self._notes.add("calls= without a cost line after it", self._at(chunk, int(lost[0]) - 1), count=len(lost))

    def _sound(self, chunk: Chunk, rows: NDArray[np.int64], lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """Line numbers that can be: others become 0, unknown."""
        wrong = (lines < 0) | (lines > _MAX_LINE)
        if wrong.any():
            first = int(rows[int(wrong.argmax())])
            self._notes.add(
                "line numbers below 0 or above 2**31 are unknown", self._at(chunk, first), count=int(wrong.sum())
            )
            lines[wrong] = 0
        return lines

    def _positions(self, chunk: Chunk, rows: NDArray[np.int64], name: str) -> NDArray[np.int64]:
        """The values of one position column, relative ones added up."""
        column = self._body.parts[-1].positions.index(name)
        missing = chunk.words[rows] <= column
        value, relative = self._subpositions(chunk, chunk.first[rows] + np.where(missing, 0, column))
        if missing.any():
            first = int(rows[int(missing.argmax())])
            self._notes.add(
                "a position is missing: taken as unchanged", self._at(chunk, first), count=int(missing.sum())
            )
            value[missing], relative[missing] = 0, True
        climb = np.cumsum(np.where(relative, value, 0))
        last = np.maximum.accumulate(np.where(relative, -1, np.arange(len(rows))))
        position: NDArray[np.int64] = climb + np.where(last >= 0, value[last] - climb[last], self._base[name])
        self._base[name] = int(position[-1])
        return position

    def _subpositions(self, chunk: Chunk, words: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The numbers in these words, and which are relative: ``+N``, ``-N``, ``*``. Of a range the start is taken."""
        start, end = chunk.start[words], chunk.end[words]
        lead = chunk.buffer[start]
        minus = lead == ord("-")
        relative = (lead == ord("+")) | (lead == ord("*")) | minus
        value, bad = chunk.numbers(start + relative, end)
        if bad is not None:
            for index in np.flatnonzero(bad).tolist():
                value[index] = self._strange_position(chunk, int(words[index]))
        return np.where(minus, -value, value), relative

    def _strange_position(self, chunk: Chunk, word: int) -> int:
        text = chunk.word(word)
        bare = text.lstrip(b"+-*")
        for separator in (b":", b"+", b"-"):
            bare = bare.split(separator, 1)[0]
        number = _number(bare) if bare else 0
        if number is None or number >= _INT64:
            raise ReadError(f"{text[:40]!r} is no position", where=self._where(chunk, word), hint="The file is damaged")
        return number

    def _values(
        self, chunk: Chunk, rows: NDArray[np.int64], is_jump: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The costs that are not 0: position in ``rows``, column and value."""
        part = self._body.parts[-1]
        low = chunk.first[rows] + len(part.positions)
        counts = chunk.words[rows] - len(part.positions)
        counts[is_jump] = 0
        np.maximum(counts, 0, out=counts)
        if (extra := counts > len(part.events)).any():
            first = int(rows[int(extra.argmax())])
            self._notes.add("more costs than events: left out", self._at(chunk, first), count=int(extra.sum()))
            counts = np.minimum(counts, len(part.events))
        row = np.repeat(np.arange(len(rows)), counts)
        column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        word = low[row] + column
        start = chunk.start[word]
        # most costs are a lone 0 that fills a column
        kept = np.flatnonzero((chunk.buffer[start] != ord("0")) | (chunk.buffer[start + 1] > 32))
        word, row, column = word[kept], row[kept], column[kept]
        value, bad = chunk.numbers(start[kept], chunk.end[word])
        if bad is not None:
            for index in np.flatnonzero(bad).tolist():
                value[index] = self._strange_cost(chunk, int(word[index]))
        return row, column, value

    def _strange_cost(self, chunk: Chunk, word: int) -> int:
        text = chunk.word(word)
        number = _number(text)
        if number is None and (text == b"*" or (text[:1] in b"+-" and _number(text[1:]) is not None)):
            raise ReadError(
                f"the cost {text[:40].decode()} is relative to an earlier one, which the format does not have",
                where=self._where(chunk, word),
                hint="Only positions can be relative: write costs as whole numbers",
            )
        if number is None:
            raise ReadError(f"{text[:40]!r} is no cost", where=self._where(chunk, word), hint="The file is damaged")
        if number >= _INT64:
            raise ReadError(
                f"the cost {text[:40].decode()} is above 2**63",
                where=self._where(chunk, word),
                hint="The file is damaged",
            )
        return number

    def _counts(self, chunk: Chunk, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each ``calls=`` line was called; what is no number counts as 0."""
        word = chunk.first[rows]
        start = chunk.start[word]
        count, bad = chunk.numbers(start + np.where(chunk.buffer[start] == ord("r"), 7, 6), chunk.end[word])
        if bad is not None:
            self._notes.add("calls= without a number", self._at(chunk, int(rows[bad.argmax()])), count=int(bad.sum()))
            count[bad] = 0
        return count

    def _jump_table(
        self,
        chunk: Chunk,
        rows: NDArray[np.int64],
        is_jump: NDArray[np.bool_],
        places: NDArray[np.int64],
        lines: NDArray[np.int64],
        base: int,
    ) -> pd.DataFrame:
        """Jumps: place, line, to_line, conditional, executed, followed."""
        jumps = np.flatnonzero(is_jump)
        above = rows[jumps] - 1
        positions = self._body.parts[-1].positions
        column = positions.index("line") + 1 if "line" in positions else 0
        has = chunk.words[above] > column
        value, relative = self._subpositions(chunk, chunk.first[above] + np.where(has, column, 0))
        previous = np.where(jumps > 0, lines[np.maximum(jumps - 1, 0)], base)
        counts = [_jump_counts(chunk.word(int(first))) for first in chunk.first[above]]
        return pd.DataFrame(
            {
                "place": places[jumps],
                "line": lines[jumps],
                "to_line": np.where(has, np.where(relative, previous + value, value), 0),
                "conditional": chunk.buffer[chunk.start[chunk.first[above]] + 1] == ord("c"),
                "executed": np.asarray([executed for executed, _ in counts], dtype=np.int64),
                "followed": np.asarray([followed for _, followed in counts], dtype=np.int64),
            }
        )

    def _at(self, chunk: Chunk, row: int) -> str:
        return self._where(chunk, int(chunk.first[row]))

    def _where(self, chunk: Chunk, word: int) -> str:
        return self._source.at(line_number(self._source.data, chunk.place(word)))


def summed(cell: NDArray[np.int64], value: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Values summed by cell: the cells that are not 0, and their sums in the smallest unsigned type that holds them."""
    largest = int(value.max(initial=0))
    if largest * len(value) < _EXACT_IN_FLOAT:
        table = np.bincount(cell, value)
    else:
        table = np.zeros(int(cell.max()) + 1, dtype=np.int64)
        np.add.at(table, cell, value)
    some = np.flatnonzero(table != 0)
    sums = table[some]
    return some.astype(np.int32), sums.astype(np.min_scalar_type(int(sums.max(initial=0))))


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
        np.add.at(flat, row[piece.cell // width] + column[piece.cell % width], piece.cost.astype(np.int64))
    return table


def distinct(pieces: Sequence[Costs]) -> NDArray[np.int64]:
    """All keys of the pieces, sorted."""
    keys = np.sort(np.concatenate([piece.keys for piece in pieces])) if pieces else np.zeros(0, dtype=np.int64)
    return keys[np.diff(keys, prepend=-1) > 0]


def _runs(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which run of equal keys each one is in, and the key of each run. The instructions of a source line are mostly
    side by side."""
    changes = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return np.cumsum(changes) - 1, keys[changes]


def _number(text: bytes) -> int | None:
    digits = text[2:] if text[:2] in (b"0x", b"0X") else text
    if not digits or len(digits) > 40 or not digits.isalnum() or not digits.isascii():
        return None
    try:
        return int(digits, 16 if digits is not text else 10)
    except ValueError:
        return None


def _jump_counts(word: bytes) -> tuple[int, int]:
    """Executed and followed of ``jump=COUNT`` or ``jcnd=FOLLOWED/EXECUTED``."""
    followed, slash, executed = word[5:].partition(b"/")
    first = _number(followed) or 0
    second = (_number(executed) or 0) if slash else first
    return min(second, _INT64 - 1), min(first, _INT64 - 1)

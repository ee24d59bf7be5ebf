"""The body of a callgrind file: its cost lines and the functions they belong to.

A part's cost lines are ``position... cost...``. Positions are relative to the line before (``+3``, ``-3``, ``*``); the
line after ``calls=`` has the total cost of the call, the one after ``jump=`` or ``jcnd=`` no cost. The grammar is that
of callgrind's writer (``dump.c``) and of KCachegrind's loader, which differ from the manual.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.callgrind import names as named
from workbench.profiles.readers.callgrind import plain
from workbench.profiles.readers.callgrind.context import MOST_FILES, MOST_NAMES, Context, Whose
from workbench.profiles.readers.callgrind.header import Headers, Part
from workbench.profiles.readers.callgrind.kinds import CALL, NAMED
from workbench.profiles.readers.callgrind.names import Names, kinds_and_names
from workbench.profiles.readers.callgrind.scan import (
    PIECE_BYTES,
    RUN,
    Piece,
    kernel,
    pieces,
)
from workbench.profiles.source import Source, line_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUM_LIMIT = 2.0**63 * (1 - 2.0**-30)
NO_RUNS = np.zeros(0, dtype=RUN)
_NOTHING = -1
_ODDITIES = {
    plain.MISSING: "a position is missing: taken as unchanged",
    plain.EXTRA: "more costs than events: left out",
    plain.WRONG_LINE: "line numbers below 0 or above 2**31 are unknown",
    plain.WRAPPED: "costs of 2**63 and more were written without a sign: read as negative",
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The marks between two header lines, the cost lines after them up to ``stop``, and the functions of these."""

    part: int
    marks: NDArray[Any]
    stop: int
    whose: Whose

    def calls(self) -> NDArray[np.int64]:
        """The marks that are calls with a cost."""
        return np.flatnonzero((self.marks["kind"] == CALL) & (self.marks["costs"] > 0))


@dataclass(frozen=True, slots=True)
class Added:
    """Summed costs: ``table`` has a row per group and a column per event; ``runs`` are the groups if they were not
    given."""

    table: NDArray[np.int64]
    runs: NDArray[Any]


class Walk:
    """One pass over a file: the current state of names, headers, functions and positions."""

    def __init__(self, source: Source, notes: NoteBook, stop: int, *, address: bool = False) -> None:
        self.names = Names()
        self.context = Context()
        self.headers = Headers()
        self.runs = 0  # an upper limit of the runs of lines with one source line
        self.sizes: dict[str, float] = {}  # the sums of the events without signs
        self._source, self._notes, self._stop, self._address = source, notes, stop, address
        self._nameless = self.names.functions.of(b"???")
        self.state = np.zeros(2, dtype=np.int64)

    @property
    def parts(self) -> list[Part]:
        """The parts begun so far."""
        return self.headers.parts

    def stretches(self, size: int = PIECE_BYTES) -> Iterator[Stretch]:
        """All of the file's cost lines, a stretch at a time.

        Raises ReadError for an unknown line or costs without events.
        """
        for piece in pieces(self._source.data, self._stop, size):
            require()
            yield from self._stretches(piece)
            if len(self.names.files.ids) > MOST_FILES or len(self.names.functions.ids) > MOST_NAMES:
                raise ReadError("more names than any program has", where=self._at(piece.marks, 0))

    def _stretches(self, piece: Piece) -> Iterator[Stretch]:
        marks = piece.marks
        has = marks["costs"] > 0
        kinds, names = self._kinds(piece)
        apart = np.ones(len(marks), dtype=bool)
        apart[1:] = has[:-1]
        whose = self.context.follow(kinds, names, apart, self._nameless)
        self._note(np.flatnonzero((marks["kind"] == CALL) & (marks["value"] < 0)), "calls= without a number", marks)
        self._note(np.flatnonzero((marks["kind"] == CALL) & ~has), "calls= without a cost line after it", marks)
        self._note(whose.nameless, "calls= without cfn= right above: the callee is unknown", marks)
        nobody = np.flatnonzero((whose.function < 0) & has)
        if len(nobody):
            count = int(marks["costs"][nobody].sum())
            self._notes.add("costs before the first fn=", self._at(marks, int(nobody[0]), after=True), count=count)
            whose.function[whose.function < 0] = self.context.begin(self._nameless)
        low = 0
        for row in np.flatnonzero(kinds == named.HEADER).tolist():
            yield from self._stretch(piece, low, row, has, whose)
            self._read_header(marks, row)
            low = row
        yield from self._stretch(piece, low, len(marks), has, whose)

    def _stretch(self, piece: Piece, low: int, high: int, has: NDArray[np.bool_], whose: Whose) -> Iterator[Stretch]:
        if not has[low:high].any():
            return
        part = self.parts[-1]
        part.has_body = True
        if not part.events:
            raise ReadError(
                "costs before the line events:",
                where=self._at(piece.marks, low + int(has[low:high].argmax()), after=True),
                hint="The beginning of the file is missing",
            )
        stop = piece.stop if high == len(piece.marks) else int(piece.marks["begin"][high])
        within = slice(low, high)
        some = Whose(whose.function[within], whose.file[within], whose.callee[within], whose.nameless[:0])
        yield Stretch(len(self.parts) - 1, piece.marks[within], stop, some)

    def _kinds(self, piece: Piece) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The kind of each mark (see :mod:`names`) and its name; lines without a name are handled here."""
        marks = piece.marks
        kinds = np.full(len(marks), _NOTHING, dtype=np.int64)
        names = np.full(len(marks), -1, dtype=np.int64)
        kinds[marks["kind"] == CALL] = named.CALL
        rows = np.flatnonzero(marks["kind"] == NAMED)[1:]
        first = marks["value"][rows]
        rank = np.zeros(len(marks), dtype=np.int64)
        rank[rows[first == rows]] = np.arange(len(piece.texts))
        which = rank[first]

        def note(at: int, what: str) -> None:
            self._notes.add(what, self._at(marks, int(rows[at])))

        kinds[rows], names[rows] = kinds_and_names(self.names.read(piece.texts, which, note))
        for at in np.flatnonzero(kinds[rows] > named.HEADER).tolist():
            line = piece.texts[which[at]]
            if kinds[rows[at]] != named.SKIPPED:
                raise ReadError(
                    f"neither a cost, a name nor a header: {line[:40]!r}",
                    where=self._at(marks, int(rows[at])),
                    hint="The file is damaged, or not callgrind's",
                )
            note(at, f"{line.split(b'=')[0].decode()}= lines are not read")
        return kinds, names

    def _read_header(self, marks: NDArray[Any], row: int) -> None:
        line = self._source.data[marks["begin"][row] : marks["end"][row]].strip(plain.BLANKS)
        try:
            odd = self.headers.read(line)
        except ReadError as error:
            raise ReadError(error.what, where=self._at(marks, row), hint=error.hint) from error
        if odd:
            self._notes.add(odd, self._at(marks, row))

    def add(self, stretch: Stretch, own: NDArray[np.int64], call: NDArray[np.int64], groups: int) -> Added:
        """The costs of a stretch, summed in ``groups``: ``own`` gives the group of each mark's cost lines, and ``call``
        that of the line after each call."""
        return self._add(stretch, own, call, groups, NO_RUNS, each=False)

    def add_by_line(self, stretch: Stretch, *, each: bool = False) -> Added:
        """The costs of a stretch by runs of lines with one mark and one source line; ``each``: every line is a run."""
        nowhere = np.full(len(stretch.marks), -1, dtype=np.int64)
        room = int(stretch.marks["costs"].sum())
        return self._add(stretch, nowhere, nowhere, room, np.zeros(room, dtype=RUN), each=each)

    def _add(
        self,
        stretch: Stretch,
        own: NDArray[np.int64],
        call: NDArray[np.int64],
        groups: int,
        runs: NDArray[Any],
        *,
        each: bool,
    ) -> Added:
        """Raises ReadError for an invalid cost, and for sums above 2**63."""
        part = self.parts[stretch.part]
        columns = [part.positions.index(name) if name in part.positions else -1 for name in ("line", "instr")]
        layout = len(part.positions), columns[0], columns[1] if self._address else -1, len(part.events)
        table = np.zeros((groups, len(part.events)), dtype=np.int64)
        sums, sizes = np.zeros(len(part.events), dtype=np.int64), np.zeros(len(part.events))
        count, fault, fault_at, odd = kernel().costs(
            self._source.data, stretch.stop, stretch.marks, own, call, layout,
            self.state, table, sums, sizes, runs, each,
        )  # fmt: skip
        for what, (times, at) in enumerate(odd):
            if times:
                self._notes.add(_ODDITIES[what], self._line_at(at), count=times)
        if fault:
            raise self._fault(fault, fault_at)
        self.runs += count
        for event, cost, size in zip(part.events, sums.tolist(), sizes.tolist(), strict=True):
            part.own[event] = part.own.get(event, 0) + cost
            self.sizes[event] = self.sizes.get(event, 0.0) + size
            if self.sizes[event] >= SUM_LIMIT:
                raise ReadError(
                    f"the costs of {event[:80]} add up to more than 2**63",
                    where=self._at(stretch.marks, 0, after=True),
                    hint="The file is damaged",
                )
        return Added(table[:count] if len(runs) else table, runs[:count])

    def _fault(self, fault: int, at: int) -> ReadError:
        word = self._source.data[at : at + 80].split(None, 1)[0][:40]
        if fault == plain.NO_ROOM:
            raise AssertionError(f"no row for the costs at byte {at}")
        what, hint = f"{word!r} is not a position", "The file is damaged"
        if fault == plain.NO_COST:
            what = f"{word!r} is not a cost"
            if plain.whole_number(word.lstrip(b"-")) is not None or word.lstrip(b"-").isdigit():
                what = f"the cost {word.decode()} is above 2**63"
            elif word == b"*" or (word[:1] == b"+" and plain.whole_number(word[1:]) is not None):
                what = f"the cost {word.decode()} is relative to an earlier one, which the format does not allow"
                hint = "Only positions can be relative: write costs as whole numbers"
        return ReadError(what, where=self._line_at(at), hint=hint)

    def _note(self, rows: NDArray[np.int64], what: str, marks: NDArray[Any]) -> None:
        if len(rows):
            self._notes.add(what, self._at(marks, int(rows[0])), count=len(rows))

    def _at(self, marks: NDArray[Any], row: int, *, after: bool = False) -> str:
        """The position of a mark in the file, or of the first cost line after it."""
        offset = int(marks["end" if after else "begin"][row])
        if after:
            rest = self._source.data[offset : offset + 4096]
            offset += len(rest) - len(rest.lstrip(plain.BLANKS))
        return self._line_at(offset)

    def _line_at(self, offset: int) -> str:
        return self._source.at(line_number(self._source.data, offset))


def quiet_walk(source: Source, stop: int, *, address: bool = False) -> Walk:
    """Another pass over a file, without making notes again."""
    return Walk(source, NoteBook(), stop, address=address)

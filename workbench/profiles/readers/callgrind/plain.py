"""The two loops over the bytes of a callgrind file, in Python: the same as ``_kernel.c``, which is used if it could be
compiled. Usual lines, nearly all, are summed a piece at a time by :mod:`bulk`; the loop here handles the rest.

A word is a run of bytes above 32; so blanks at line ends, double blanks and CRLF need no care, and lines without a word
do not exist, nor do comments. A line whose first byte is a digit, ``+``, ``-`` or ``*`` is a cost line, ``position...
cost...``; every other is a mark.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.profiles.readers.callgrind.bulk import add_costs, line_starts
from workbench.profiles.readers.callgrind.kinds import CALL, COST_HEADS, JUMP, MOST_LINE, NAMED

if TYPE_CHECKING:
    from numpy.typing import NDArray

IS_SOUND, NO_POSITION, NO_COST, NO_ROOM = range(4)
"""Faults: a line that ends the reading."""
MISSING, EXTRA, WRONG_LINE, WRAPPED = range(4)
"""Oddities, which are noted: a position is missing (it is unchanged), more costs than events (left out), a line number
below 0 or above 2**31 (unknown), a cost of 2**63 or more (of a writer without signs: it is below 0)."""

Oddities = tuple[tuple[int, int], ...]
"""How often each oddity occurred, and where first (-1: never)."""

BLANKS = bytes(range(33))
_INT64, _UINT64 = 2**63, 2**64
_SPACED = bytes(max(byte, 32) for byte in range(256))
_SHORT = 200


def marks(data: bytes, start: int, stop: int, seed: int) -> tuple[bytes, list[bytes]]:
    """The lines of a piece that are not cost lines, as the bytes of an array of ``scan.MARK``, and the distinct texts
    of those that are neither a call nor a jump, in order of first appearance. ``seed`` is for a hash."""
    begins, ends, values, costs, kinds = [start], [start], [-1], [0], [NAMED]
    first: dict[bytes, int] = {}
    starts, as_costs = line_starts(data, start, stop)
    others, passed = np.flatnonzero(~as_costs), 0
    for number, at in zip(others.tolist(), starts[others].tolist(), strict=True):
        costs[-1] += number - passed
        passed = number + 1
        after = data.find(b"\n", at, stop) + 1 or stop
        text = data[at:after].strip(BLANKS)
        if text and text[0] in COST_HEADS:
            costs[-1] += 1
        elif text and not text.startswith(b"#"):
            kind, value = NAMED, len(begins)
            if text.startswith((b"calls=", b"rcalls=")):
                word = text.partition(b"=")[2].strip(BLANKS)
                called = whole_number(_first_word(word))
                kind, value = CALL, -1 if called is None or called >= _INT64 else called
            elif text[:1] == b"j" and text[1:2] in (b"u", b"c") and text[4:5] == b"=":
                kind, value = JUMP, 0
            else:
                value = first.setdefault(text, value)
            begins.append(data.index(text, at))
            ends.append(after)
            values.append(value)
            costs.append(0)
            kinds.append(kind)
    costs[-1] += len(starts) - passed
    found = np.zeros(len(begins), dtype="i8,i8,i8,i4,i4")
    for name, column in zip(found.dtype.names or (), (begins, ends, values, costs, kinds), strict=True):
        found[name] = column
    return found.tobytes(), list(first)


def costs(
    data: bytes,
    stop: int,
    marks: NDArray[Any],
    own: NDArray[np.int64],
    call: NDArray[np.int64],
    layout: tuple[int, int, int, int],
    state: NDArray[np.int64],
    table: NDArray[np.int64],
    sums: NDArray[np.int64],
    sizes: NDArray[np.float64],
    runs: NDArray[Any],
    each: bool,
) -> tuple[int, int, int, Oddities]:
    """Add up the costs of all cost lines after ``marks``, up to ``stop``.

    ``layout``: how many positions a line has, which of them are the source line and the address (-1: not needed), how
    many events. ``state`` is the current source line and address: positions are relative to them.

    ``table`` has a column per event. Each line is added to the row that ``own`` has for its mark; the first one after a
    call to the row that ``call`` has; the first one after a jump costs nothing. A run is adjacent lines with one mark
    and source line (``each``: every line). If ``runs`` has room, it gets the runs, and each run has a row of its own.
    ``sums`` gets the self costs of all lines, ``sizes`` the sums of their absolute values.

    Returns how many runs there are, the fault that ended the reading and where it is, and the oddities.
    """
    if not len(runs):
        usual = add_costs(data, stop, marks, own, call, layout, state, table, sums, sizes, each)
        if usual is not None:
            return usual, IS_SOUND, -1, ((0, -1),) * 4
    reading = _Costs(data, layout, state, table, sums, sizes, runs, each)
    bounds = [*marks["begin"][1:].tolist(), stop]
    groups = zip(marks.tolist(), bounds, own.tolist(), call.tolist(), strict=True)
    for index, ((_, end, _, count, kind), until, *rows) in enumerate(groups):
        if count and not reading.fault:
            reading.after_mark(index, end, until, kind, *rows)
    odd = tuple((count, at) for count, at in zip(reading.odd, reading.odd_at, strict=True))
    return reading.run_count, reading.fault, reading.fault_at, odd


class Line(NamedTuple):
    """The content of a cost line. ``moves``: its positions, each with whether it is relative and its number; ``costs``
    the columns and values that are not 0. Faults are offsets, -1 if there is none."""

    moves: tuple[tuple[bool, int] | None, ...]
    costs: tuple[tuple[int, int], ...]
    missing: int
    extra: bool
    wrapped: int
    no_position: int
    no_cost: int


def line_of(text: bytes, layout: tuple[int, int, int, int]) -> Line:
    """The content of a cost line, without blanks around it."""
    positions, line, address, events = layout
    words = words_of(text)
    moves: list[tuple[bool, int] | None] = []
    missing, no_position = 0, -1
    for column in (line, address):
        if column < 0:
            moves.append(None)
            continue
        absent = column >= len(words)
        missing += absent
        # the word in place of it must be a position too
        word = words[0 if absent else column]
        move = None if word == b"*" else subposition(word)
        if word != b"*" and move is None:
            offset = _offset(text, words, 0 if absent else column)
            no_position = offset if no_position < 0 else min(offset, no_position)
        moves.append(None if absent else move)
    found, wrapped, no_cost = [], 0, -1
    for column, word in enumerate(words[positions : positions + events]):
        value = cost(word)
        if value is None:
            no_cost = _offset(text, words, positions + column)
            break
        wrapped += value < 0 and not word.startswith(b"-")
        if value:
            found.append((column, value))
    return Line(tuple(moves), tuple(found), missing, len(words) > positions + events, wrapped, no_position, no_cost)


_known_line = lru_cache(maxsize=65536)(line_of)


class _Costs:
    """The sums of the cost lines read so far."""

    def __init__(
        self,
        data: bytes,
        layout: tuple[int, int, int, int],
        state: NDArray[np.int64],
        table: NDArray[np.int64],
        sums: NDArray[np.int64],
        sizes: NDArray[np.float64],
        runs: NDArray[Any],
        each: bool,
    ) -> None:
        self._data, self._layout, self._state = data, layout, state
        self._table, self._sums, self._sizes = table, sums, sizes
        self._runs, self._each = runs, each
        self.run_count, self.fault, self.fault_at = 0, IS_SOUND, -1
        self.odd, self.odd_at = [0] * 4, [-1] * 4
        self._last: tuple[int, int, int] | None = None

    def after_mark(self, index: int, at: int, until: int, kind: int, own: int, call: int) -> None:
        for raw in self._data[at:until].split(b"\n"):
            text = raw.strip(BLANKS)
            if text and not text.startswith(b"#"):
                self._line(text, at + raw.index(text), index, call if kind == CALL else own, kind)
                if self.fault:
                    return
                kind = NAMED
            at += len(raw) + 1

    def _line(self, text: bytes, at: int, mark: int, row: int, kind: int) -> None:
        # most lines of a file are repeated many times
        said = (_known_line if len(text) < _SHORT else line_of)(text, self._layout)
        state = self._state
        if said.missing:
            self._note(MISSING, at, said.missing)
        for column, move in enumerate(said.moves):
            if move is not None:
                value = state.item(column) + move[1] if move[0] else move[1]
                state[column] = _wrapped(value)
        line = state.item(0) if self._layout[1] >= 0 else 0
        if not 0 <= line <= MOST_LINE:
            self._note(WRONG_LINE, at)
            line = 0
        run = self._run(mark, line, kind)
        if len(self._runs):
            row = run
        if said.no_position >= 0:
            self.fault, self.fault_at = NO_POSITION, at + said.no_position
        elif not 0 <= row < len(self._table):
            self.fault, self.fault_at = NO_ROOM, at
        elif kind != JUMP:
            self._add(said, at, row, kind == NAMED)

    def _add(self, said: Line, at: int, row: int, is_self: bool) -> None:
        costs = self._table[row]
        for column, value in said.costs:
            costs[column] = _wrapped(costs.item(column) + value)
            self._sizes[column] += abs(value)
            if is_self:
                self._sums[column] = _wrapped(self._sums.item(column) + value)
        if said.wrapped:
            self._note(WRAPPED, at, said.wrapped)
        if said.no_cost >= 0:
            self.fault, self.fault_at = NO_COST, at + said.no_cost
        elif said.extra:
            self._note(EXTRA, at)

    def _run(self, mark: int, line: int, kind: int) -> int:
        same = (mark, line, kind)
        if not self._each and kind == NAMED and same == self._last:
            return self.run_count - 1
        if len(self._runs):
            if self.run_count == len(self._runs):
                return -1
            self._runs[self.run_count] = (mark, line, self._state.item(1), kind)
        self._last = same
        self.run_count += 1
        return self.run_count - 1

    def _note(self, what: int, at: int, count: int = 1) -> None:
        if not self.odd[what]:
            self.odd_at[what] = at
        self.odd[what] += count


def _wrapped(value: int) -> int:
    """A sum in 64 bits: if it overflows, reading is refused anyway."""
    return (value + _INT64) % _UINT64 - _INT64


def words_of(text: bytes) -> list[bytes]:
    """The words of a line."""
    return text.translate(_SPACED).split()


def _first_word(text: bytes) -> bytes:
    return (words_of(text) or [b""])[0]


def _offset(text: bytes, words: list[bytes], index: int) -> int:
    """Where a word begins."""
    at = 0
    for word in words[: index + 1]:
        at = text.index(word, at) + len(word)
    return at - len(words[index])


def subposition(word: bytes) -> tuple[bool, int] | None:
    """Whether a position is relative (``+N``, ``-N``, ``*``), and its number; None if it is not a position. Of a range
    the start is taken."""
    relative, minus = word[:1] in (b"+", b"-", b"*"), word.startswith(b"-")
    bare = word.lstrip(b"+-*")
    for separator in (b":", b"+", b"-"):
        bare = bare.split(separator, 1)[0]
    number = whole_number(bare) if word.strip(b"+-*") else 0
    if number is None or number >= _INT64:
        return None
    return relative, -number if minus else number


def cost(word: bytes) -> int | None:
    """A cost: a whole number below 2**63, perhaps below 0. One below 2**64 was written as unsigned: Xdebug writes freed
    memory like this."""
    minus = word.startswith(b"-")
    number = whole_number(word[minus:])
    if number is None or number >= (_INT64 if minus else _UINT64):
        return None
    if minus:
        return -number
    return number - _UINT64 if number >= _INT64 else number


def whole_number(text: bytes) -> int | None:
    """A number in decimal or, after 0x, hexadecimal digits; None for anything else, and above 2**64."""
    digits = text[2:] if text[:2] in (b"0x", b"0X") and len(text) > 2 else text
    if not digits or len(text) > 40 or not digits.isalnum() or not digits.isascii():
        return None
    try:
        number = int(digits, 16 if digits is not text else 10)
    except ValueError:
        return None
    return number if number < _UINT64 else None

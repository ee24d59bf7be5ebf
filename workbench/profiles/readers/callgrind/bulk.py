"""Sums the cost lines of a whole piece at once in numpy, for :mod:`plain`: only the usual lines, which are nearly all.

A piece whose lines are numbers of at most 18 digits, positions perhaps with a sign or ``*``, is summed without a loop
over its lines. Anything else (needed hexadecimal addresses, negative costs, missing positions, too many costs, a line
number out of range) gives None, and the complete loop reads the piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.profiles.readers.callgrind.kinds import CALL, COST_HEADS, JUMP, MOST_LINE, NAMED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_DIGITS = 18  # digits of a number that surely fits
_BLANK, _NEWLINE = 32, 10
_HEAD = np.zeros(256, dtype=bool)
_HEAD[list(COST_HEADS)] = True


def line_starts(data: bytes, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the lines of a piece begin, and which of them begin like a cost line."""
    piece = np.frombuffer(data, dtype=np.uint8, count=stop - start, offset=start)
    starts = np.concatenate(([0], np.flatnonzero(piece == _NEWLINE) + 1))
    starts = starts[starts < len(piece)]
    return starts + start, _HEAD[piece[starts]]


class Words(NamedTuple):
    """The words of the cost lines: the line of each, its place in that line, its bytes (``begin`` to ``end``)."""

    line: NDArray[np.int64]
    column: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Words:
        """Only these."""
        return Words(*(part[chosen] for part in self))


def words_of_costs(piece: NDArray[np.uint8], count: int) -> Words | None:
    """The words of the ``count`` cost lines of a piece. None if another number of lines begins like a cost line."""
    inside = piece > _BLANK
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if len(inside) and inside[0]:
        edges = np.concatenate(([0], edges))
    if len(edges) % 2:
        edges = np.append(edges, len(piece))
    begin, end = edges[::2], edges[1::2]
    breaks = np.flatnonzero(piece == _NEWLINE)
    line = np.searchsorted(breaks, begin)
    first = np.concatenate(([True], line[1:] != line[:-1])) if len(line) else np.zeros(0, dtype=bool)
    firsts = np.flatnonzero(first)
    column = np.arange(len(line)) - np.repeat(firsts, np.diff(np.append(firsts, len(line))))
    is_cost = _HEAD[piece[begin[firsts]]]
    if int(is_cost.sum()) != count:
        return None
    number = np.cumsum(first) - 1
    kept = is_cost[number]
    return Words((np.cumsum(is_cost) - 1)[number][kept], column[kept], begin[kept], end[kept])


def numbers_of(piece: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The decimal numbers at these places. None if any is not a number, or is too long."""
    length = end - begin
    longest = int(length.max(initial=0))
    if longest > _MOST_DIGITS or (length < 1).any():
        return None
    values = np.zeros(len(begin), dtype=np.int64)
    left = np.arange(len(begin))
    for digit in range(longest):
        # most numbers are short: fewer are left with each digit
        left = left[length[left] > digit]
        figure = piece[begin[left] + digit].astype(np.int64) - 48
        if ((figure < 0) | (figure > 9)).any():
            return None
        values[left] = values[left] * 10 + figure
    return values


def positions_of(piece: NDArray[np.uint8], words: Words, reached: int) -> tuple[NDArray[np.int64], int] | None:
    """The source line of each cost line, and the last one: positions with a sign, or ``*``, are relative to the line
    before. None if any is not a number, or is out of range."""
    head = piece[words.begin]
    same = (head == ord("*")) & (words.end - words.begin == 1)
    signed = (head == ord("+")) | (head == ord("-"))
    values = numbers_of(piece, (words.begin + signed)[~same], words.end[~same])
    if values is None:
        return None
    moves = np.zeros(len(head), dtype=np.int64)
    moves[~same] = values
    if int(moves.max(initial=0)) > MOST_LINE:
        return None
    moves = np.where(head == ord("-"), -moves, moves)
    relative = same | signed
    drift = np.cumsum(np.where(relative, moves, 0))
    last = np.maximum.accumulate(np.where(relative, -1, np.arange(len(head)))) if len(head) else np.zeros(0, np.int64)
    base = np.where(last >= 0, moves[last] - drift[last], reached)
    lines = base + drift
    if len(lines) and not (int(lines.min()) >= 0 and int(lines.max()) <= MOST_LINE):
        return None
    return lines, int(lines[-1]) if len(lines) else reached


def kinds_of(marks: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The mark and the kind of each cost line: the first line after a call or a jump belongs to that, the others to the
    function."""
    mark = np.repeat(np.arange(len(marks)), marks["costs"])
    kind = np.full(len(mark), NAMED, dtype=np.int64)
    some = np.flatnonzero(marks["costs"] > 0)
    kind[(np.cumsum(marks["costs"]) - marks["costs"])[some]] = marks["kind"][some]
    return mark, kind


def runs_of(mark: NDArray[np.int64], kind: NDArray[np.int64], lines: NDArray[np.int64], each: bool) -> int:
    """The number of runs: a run is adjacent cost lines with one mark and one source line; with ``each``, every line."""
    if each or not len(mark):
        return len(mark)
    same = (mark[1:] == mark[:-1]) & (kind[1:] == NAMED) & (kind[:-1] == NAMED) & (lines[1:] == lines[:-1])
    return len(mark) - int(same.sum())


def add_costs(
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
    each: bool,
) -> int | None:
    """The same as :func:`workbench.profiles.readers.callgrind.plain.costs`, without ``runs`` and for usual lines only:
    returns the number of runs. None if a line is not usual; then nothing was added."""
    positions, line, address, events = layout
    start = int(marks["end"][0])
    piece = np.frombuffer(data, dtype=np.uint8, count=stop - start, offset=start)
    mark, kind = kinds_of(marks)
    words = words_of_costs(piece, len(mark)) if address < 0 and positions > 0 else None
    if words is None or (np.bincount(words.line, minlength=len(mark)) < positions).any():
        return None
    lines, reached = np.zeros(len(mark), dtype=np.int64), int(state[0])
    if line >= 0:
        placed = positions_of(piece, words.where(words.column == line), reached)
        if placed is None:
            return None
        lines, reached = placed
    words = words.where(words.column >= positions)
    row = np.where(kind == CALL, call[mark], own[mark])
    values = numbers_of(piece, words.begin, words.end)
    if values is None or (words.column >= positions + events).any():
        return None
    if len(row) and not (int(row.min()) >= 0 and int(row.max()) < len(table)):
        return None
    column, of = words.column - positions, kind[words.line]
    counts = of != JUMP
    np.add.at(table, (row[words.line][counts], column[counts]), values[counts])
    np.add.at(sums, column[of == NAMED], values[of == NAMED])
    np.add.at(sizes, column[counts], values[counts].astype(np.float64))
    state[0] = reached
    return runs_of(mark, kind, lines, each)

"""Parses the lines of a heap tree with numpy, a column at a time: files have hundreds of thousands of lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_CHILDREN_DIGITS = 9
_MOST_BYTES_DIGITS = 19
_NEWLINE, _BLANK, _ZERO, _COLON, _N = b"\n 0:n"


@dataclass(frozen=True, slots=True, eq=False)
class TreeLines:
    """Lines ``DEPTH blanks, nCHILDREN: HELD TEXT``; the text of a line is ``block[begin:end]``. ``held`` is unsigned,
    since nineteen digits may be more than int64 holds."""

    depth: NDArray[np.int64]
    children: NDArray[np.int64]
    held: NDArray[np.uint64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]


def tree_lines(block: bytes) -> TreeLines | None:
    """The lines of a block. None if the block is empty, or if any of its lines is not a node of a heap tree."""
    if not block:
        return None
    data = np.frombuffer(block if block.endswith(b"\n") else block + b"\n", dtype=np.uint8)
    end = np.flatnonzero(data == _NEWLINE)
    start = np.concatenate(([0], end[:-1] + 1))
    # reading stops at a line end at the latest, so no position leaves its line
    at = start.copy()
    line = np.flatnonzero(data[at] == _BLANK)
    place = start[line]
    while line.size:
        place = place + 1
        more = data[place] == _BLANK
        at[line] = place
        line, place = line[more], place[more]
    depth = at - start
    if (data[at] != _N).any():
        return None
    first = at + 1
    children, at = _number(data, first, _MOST_CHILDREN_DIGITS)
    if (at == first).any() or (data[at] != _COLON).any() or (data[at + 1] != _BLANK).any():
        return None
    first = at + 2
    held, at = _number(data, first, _MOST_BYTES_DIGITS)
    if (at == first).any() or (data[at] != _BLANK).any() or (data[at + 1] == _NEWLINE).any():
        return None
    return TreeLines(depth, children.astype(np.int64), held, at + 1, end)


def _number(data: NDArray[np.uint8], begin: NDArray[np.int64], most: int) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """The numbers of at most ``most`` digits at these places, and where they end; if there is no number, that is where
    it would begin."""
    value, at = np.zeros(len(begin), dtype=np.uint64), begin.copy()
    # the lines whose number continues, its value so far, and the place after it
    line, so_far, place = np.arange(len(begin)), value.copy(), begin
    for _ in range(most):
        digit = data[place] - np.uint8(_ZERO)
        # every byte that is not a digit gives more than nine: bytes below "0" wrap around
        more = digit < 10
        if not more.all():
            value[line], at[line] = so_far, place
            line, so_far, place, digit = line[more], so_far[more], place[more], digit[more]
            if not line.size:
                return value, at
        so_far = so_far * np.uint64(10) + digit
        place = place + 1
    value[line], at[line] = so_far, place
    return value, at

"""What the distinct cost lines of a callgrind file say: steps of the positions, and costs.

A line that cannot be read is no error yet: it has a fault, for the place where the line is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.readers.callgrind.scan import COST, Lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line, and what to do about it."""

    what: str
    hint: str = "The file is damaged"


@dataclass(frozen=True, slots=True)
class Steps:
    """One position column, a row a line: where ``moves``, the position changes by ``step``, or to it where it is not
    ``relative``. ``missing`` are lines that do not have the column.
    """

    moves: NDArray[np.bool_]
    step: NDArray[np.int64]
    relative: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    faults: dict[int, Fault]


@dataclass(frozen=True, slots=True)
class LineCosts:
    """The costs of lines that are not 0, one after another: a line has ``count`` of them from ``begin`` on. ``extra``
    are lines with more costs than there are events. ``as_float`` are the values, ``largest`` is the largest of them.
    """

    begin: NDArray[np.int64]
    count: NDArray[np.int64]
    column: NDArray[np.int64]
    value: NDArray[np.int64]
    as_float: NDArray[np.float64]
    largest: int
    extra: NDArray[np.bool_]
    faults: dict[int, Fault]


def steps(lines: Lines, column: int) -> Steps:
    """The steps in a position column of all cost lines."""
    rows = np.flatnonzero(lines.kind == COST)
    missing = lines.words[rows] <= column
    # what is there instead must be a position too
    word = lines.first[rows] + np.where(missing, 0, column)
    value, relative, faults = subpositions(lines, word)
    moves = ~missing & (lines.lone[word] != ord("*"))
    return Steps(
        _spread(lines, rows, moves),
        _spread(lines, rows, value),
        _spread(lines, rows, relative),
        _spread(lines, rows, missing),
        {int(rows[at]): what for at, what in faults.items()},
    )


def _spread(lines: Lines, rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    out = np.zeros(len(lines.kind), dtype=values.dtype)
    out[rows] = values
    return out


def subpositions(
    lines: Lines, words: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], dict[int, Fault]]:
    """The numbers in these words, which are relative (``+N``, ``-N``, ``*``), and which are no position. Of a range the
    start is taken."""
    start, end = lines.start[words], lines.end[words]
    lead = lines.buffer[start]
    minus = lead == ord("-")
    relative = (lead == ord("+")) | (lead == ord("*")) | minus
    value, bad = lines.numbers(start + relative, end)
    faults: dict[int, Fault] = {}
    for index in bad.tolist():
        text = lines.word(int(words[index]))
        bare = text.lstrip(b"+-*")
        for separator in (b":", b"+", b"-"):
            bare = bare.split(separator, 1)[0]
        number = whole_number(bare) if bare else 0
        if number is None or number >= _INT64:
            faults[index] = Fault(f"{text[:40]!r} is no position")
            number = 0
        value[index] = number
    return np.where(minus, -value, value), relative, faults


def line_costs(lines: Lines, positions: int, events: int) -> LineCosts:
    """The costs of all cost lines, where a line has so many positions and, at most, as many costs as events."""
    cost = lines.kind == COST
    there = np.where(cost, np.clip(lines.words - positions, 0, events), 0)
    line = np.repeat(np.arange(len(cost)), there)
    column = np.arange(len(line)) - np.repeat(np.cumsum(there) - there, there)
    word = lines.first[line] + positions + column
    # most costs are a lone 0 that fills a column
    kept = np.flatnonzero(lines.lone[word] != ord("0"))
    line, column, word = line[kept], column[kept], word[kept]
    value, bad = lines.numbers(lines.start[word], lines.end[word])
    faults: dict[int, Fault] = {}
    for index in bad.tolist():
        text = lines.word(int(word[index]))
        number = whole_number(text)
        if number is None or number >= _INT64:
            faults.setdefault(int(line[index]), _no_cost(text, number))
            number = 0
        value[index] = number
    count = np.bincount(line, minlength=len(cost))
    begin, extra = np.cumsum(count) - count, lines.words > positions + events
    return LineCosts(begin, count, column, value, value.astype(np.float64), int(value.max(initial=0)), extra, faults)


def _no_cost(text: bytes, number: int | None) -> Fault:
    """What is wrong with a cost."""
    if number is not None:
        return Fault(f"the cost {text[:40].decode()} is above 2**63")
    if text == b"*" or (text[:1] in b"+-" and whole_number(text[1:]) is not None):
        return Fault(
            f"the cost {text[:40].decode()} is relative to an earlier one, which the format does not have",
            "Only positions can be relative: write costs as whole numbers",
        )
    return Fault(f"{text[:40]!r} is no cost")


def whole_number(text: bytes) -> int | None:
    """A number in decimal or, after 0x, hexadecimal digits; None for anything else."""
    digits = text[2:] if text[:2] in (b"0x", b"0X") else text
    if not digits or len(digits) > 40 or not digits.isalnum() or not digits.isascii():
        return None
    try:
        return int(digits, 16 if digits is not text else 10)
    except ValueError:
        return None

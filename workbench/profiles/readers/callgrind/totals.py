"""Costs of functions and of calls in a callgrind file, in one pass over its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.callgrind.body import Stretch, Walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CALLER_BITS = 32


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one part's events: a row per key, a column per event. Keys are functions, or pairs of them."""

    part: int
    events: tuple[str, ...]
    keys: NDArray[np.int64]
    table: NDArray[np.int64]


@dataclass
class Totals:
    """Self costs by function, and inclusive costs by pair of caller and callee, with how often each was called."""

    own: list[Costs] = field(default_factory=list)
    called: list[Costs] = field(default_factory=list)
    counts: list[NDArray[np.int64]] = field(default_factory=list)

    def functions(self, count: int) -> NDArray[np.int64]:
        """Those of ``count`` functions that have a cost line or are called; others are only named."""
        used = np.zeros(count, dtype=bool)
        for own, called in zip(self.own, self.called, strict=True):
            used[own.keys] = True
            used[callee_of(called.keys)] = True
        return np.flatnonzero(used)


def read_totals(walk: Walk) -> Totals:
    """Read all parts. Raises ReadError like :class:`Walk`."""
    totals = Totals()
    for stretch in walk.stretches():
        _add(totals, walk, stretch)
    return totals


def _add(totals: Totals, walk: Walk, stretch: Stretch) -> None:
    marks, whose = stretch.marks, stretch.whose
    some = np.flatnonzero(marks["costs"] > 0)
    row, functions = numbered(whose.function[some])
    own = np.full(len(marks), -1, dtype=np.int64)
    own[some] = row
    calls = stretch.calls()
    pairs, row = np.unique(whose.function[calls] << _CALLER_BITS | whose.callee[calls], return_inverse=True)
    call = np.full(len(marks), -1, dtype=np.int64)
    call[calls] = len(functions) + row
    table = walk.add(stretch, own, call, len(functions) + len(pairs)).table
    events = walk.parts[stretch.part].events
    totals.own.append(Costs(stretch.part, events, functions, table[: len(functions)]))
    counts = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(counts, row, np.maximum(marks["value"][calls], 0))
    totals.called.append(Costs(stretch.part, events, pairs, table[len(functions) :]))
    totals.counts.append(counts)


def caller_of(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The functions that call."""
    return pairs >> _CALLER_BITS


def callee_of(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The functions that are called."""
    return np.asarray(pairs & (2**_CALLER_BITS - 1))


def added_up(
    pieces: Sequence[Costs], names: Sequence[str], rows: Sequence[NDArray[np.int64]], count: int
) -> NDArray[np.int64]:
    """Costs of many pieces summed: one row per metric of ``names``, ``count`` columns; ``rows`` has for each piece the
    column of each of its keys, which all differ."""
    table = np.zeros((count, len(names)), dtype=np.int64)
    for piece, row in zip(pieces, rows, strict=True):
        if piece.events == tuple(names):
            table[row] += piece.table
        else:
            for column, event in enumerate(piece.events):
                table[row, names.index(event)] += piece.table[:, column]
    return np.ascontiguousarray(table.T)

"""Recorded stacks, one after another. Costs of functions are summed directly from them: a profile of hundreds of
thousands of different stacks has a tree of tens of millions of nodes, which is built only when needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import self_, total_
from workbench.profiles.distinct import ascending
from workbench.profiles.table import Late, Table
from workbench.profiles.tree import add_at, function_table, grow, node_table
from workbench.profiles.ungrown import Ungrown

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Frames handled together: few enough that results stay in the processor's cache.
_BATCH = 1 << 18
# A function and a stack's place in its batch make one number: 32-bit numbers are sorted in half the time.
_KEYS = 1 << 31


class Stacks(Ungrown):
    """The ``nodes`` of a Profile, not yet built. The frames of stack ``i``, root first and at least one, are
    ``frame[offset[i]:offset[i + 1]]``; ``values`` has one row per stack and one column per metric of ``names``."""

    __slots__ = ("_frame", "_names", "_node_of", "_offset", "_values")

    def __init__(
        self, names: Sequence[str], offset: NDArray[np.int64], frame: NDArray[np.int32], values: NDArray[np.int64]
    ) -> None:
        super().__init__(self._grown)
        self._names, self._offset, self._frame, self._values = names, offset, frame, values
        self._node_of = np.zeros(0, dtype=np.int64)

    def node_of(self) -> NDArray[np.int64]:
        """The node at which each stack ends. Builds the tree if needed."""
        self.table()
        return self._node_of

    def values(self, column: str) -> NDArray[np.int64]:
        """The cost of each stack, in the metric of this ``self_`` column."""
        return self._values[:, [self_(name) for name in self._names].index(column)]

    def functions(self, frames: Table, names: Sequence[str]) -> Table:
        """See :class:`Ungrown`."""
        ids = frames["function_id"]
        count = int(ids.max()) + 1 if len(frames) else 0
        leaf = ids[self._frame[self._offset[1:] - 1]]
        columns: dict[str, Any] = {}
        for name in names:
            value = self.values(self_(name))
            columns[self_(name)] = Late(count, partial(_own, count, leaf, value))
            columns[total_(name)] = Late(count, partial(self._totals, count, ids, value))
        return function_table(frames, count, columns)

    def _totals(self, count: int, ids: NDArray[np.int64], value: NDArray[np.int64]) -> NDArray[np.int64]:
        sums = np.zeros(count, dtype=np.int64)
        function = ids.astype(np.int32)
        for first, last in self._batches(count):
            offset = self._offset[first : last + 1]
            base = np.arange(last - first, dtype=np.int32) * np.int32(count)
            # each function once per stack
            keys = ascending(np.repeat(base, np.diff(offset)) + function[self._frame[offset[0] : offset[-1]]])
            row = keys // count
            np.add.at(sums, keys - row * count, value[first:last][row])
        return sums

    def _batches(self, count: int) -> Iterator[tuple[int, int]]:
        """Batches of at least one stack with about _BATCH frames; stacks x ``count`` is below _KEYS."""
        first, size = 0, len(self._offset) - 1
        most = max(_KEYS // max(count, 1), 1)
        while first < size:
            last = int(np.searchsorted(self._offset, self._offset[first] + _BATCH, side="right")) - 1
            last = max(min(last, first + most), first + 1)
            yield first, last
            first = last

    def _grown(self) -> Table:
        tree = grow(self._offset, self._frame)
        self._node_of = tree.node_of
        costs = add_at(len(tree.parent), tree.node_of, self._values)
        return node_table(self._names, tree.parent, tree.frame, costs)


def _own(count: int, leaf: NDArray[np.int64], value: NDArray[np.int64]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = add_at(count, leaf, value[:, None])[:, 0]
    return sums

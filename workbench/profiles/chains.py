"""Chains of a flat tree: runs of nodes without a branch, so that what is worked out a level at a time is worked out for
chains.

Deep stacks branch near the root and go on alone, so a tree of ten million nodes has a few hundred thousand chains. A
chain is a run of positions, each node the only child of the one before it; others hang on its last node only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains of a tree in the order of their positions: the first node of each, how many it has, and the tree of
    chains."""

    head: NDArray[np.int64]
    size: NDArray[np.int64]
    parent: NDArray[np.int64]

    def spread(self, begin: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each node what its chain's head has in ``begin``, one more for each node further down."""
        out = np.repeat(begin - self.head, self.size)
        out += np.arange(len(out))
        return out

    def suffix_sums(self, costs: NDArray[Any], below: NDArray[Any]) -> NDArray[Any]:
        """The costs of each node with those of all below it, given the sums ``below`` the head of each chain, the head
        included. Of whole numbers: their running sum may leave 64 bits and comes back."""
        before = np.cumsum(costs, dtype=costs.dtype)
        before -= costs
        out = np.repeat(below + before[self.head], self.size)
        out -= before
        return out


def chains_of(parent: NDArray[np.int64]) -> Chains:
    """The chains of a tree whose parents come before their children."""
    size = len(parent)
    begins = np.ones(size, dtype=bool)
    np.not_equal(parent[1:], np.arange(size - 1), out=begins[1:])
    apart = parent[np.flatnonzero(begins)]
    # a node with another child ends its chain
    behind = apart[apart >= 0] + 1
    begins[behind[behind < size]] = True
    head = np.flatnonzero(begins)
    ups = parent[head]
    return Chains(head, np.diff(np.append(head, size)), np.searchsorted(head, ups, side="right") - 1)


def levels(parent: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The positions of the nodes of each depth, in ascending order. Parents come before their children."""
    if not len(parent):
        return []
    children = np.argsort(parent, kind="stable")
    counted = np.bincount(parent + 1, minlength=len(parent) + 1)
    begin = np.cumsum(counted) - counted
    level = children[: counted[0]]
    found = []
    while len(level):
        found.append(level)
        counts = counted[level + 1]
        before = np.cumsum(counts) - counts
        places = np.repeat(begin[level + 1] - before, counts) + np.arange(int(counts.sum()))
        level = np.sort(children[places])
    return found


def level_sums(parent: NDArray[np.int64], costs: NDArray[Any]) -> NDArray[Any]:
    """Each node's costs with those of all nodes below it, a level at a time; ``costs`` has one row a node."""
    sums = costs.copy()
    for level in reversed(levels(parent)[1:]):
        level = level[np.argsort(parent[level], kind="stable")]
        ups = parent[level]
        first = np.flatnonzero(np.concatenate(([True], ups[1:] != ups[:-1])))
        sums[ups[first]] += np.add.reduceat(sums[level], first, axis=0)
    return sums

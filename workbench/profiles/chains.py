"""Chains of a flat tree: runs of nodes without a branch. Work that would go node by node goes by chains, which are much
fewer.

Deep stacks branch only near the root, so a tree of ten million nodes has a few hundred thousand chains. A chain is a
run of positions, each node the only child of the previous one; only its last node may have several children.
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
        """For each node the value of its chain's head in ``begin``, plus one for each node further down."""
        out = np.repeat(begin - self.head, self.size)
        out += np.arange(len(out))
        return out

    def suffix_sums(self, costs: NDArray[Any], below: NDArray[Any]) -> NDArray[Any]:
        """The total costs of each node, given the totals ``below`` for the head of each chain. Only for whole numbers:
        their running sum may overflow 64 bits, and the differences are still right."""
        before = np.cumsum(costs, dtype=costs.dtype)
        before -= costs
        out = np.repeat(below + before[self.head], self.size)
        out -= before
        return out


def chains_of(parent: NDArray[np.int64]) -> Chains:
    """The chains of a tree in which parents come before their children."""
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
    """The total costs of each node, computed level by level; ``costs`` has one row per node."""
    sums = costs.copy()
    for level in reversed(levels(parent)[1:]):
        level = level[np.argsort(parent[level], kind="stable")]
        ups = parent[level]
        first = np.flatnonzero(np.concatenate(([True], ups[1:] != ups[:-1])))
        sums[ups[first]] += np.add.reduceat(sums[level], first, axis=0)
    return sums

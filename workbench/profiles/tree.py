"""Trees of stacks as flat arrays: growing one from stacks, merging siblings, summing, counting recursion once.

A tree is three arrays of one length: ``parent`` (position of the parent, -1 for a root), ``frame`` and the costs. In
preorder a node comes before its children and its subtree is one slice. All work is done one level at a time on whole
arrays, so a tree of a million nodes takes seconds and its depth does not matter to Python's stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import FUNCTION_COLUMNS, NO_PARENT, cost_, self_, total_
from workbench.profiles.distinct import numbered
from workbench.profiles.table import Counts, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike

# Deeper stacks are runaway recursion or damage. Readers cut them at the leaf side and say so in a note.
MAX_DEPTH = 10_000


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree in preorder. ``node_of`` maps what went in (stacks or old nodes) to its node, -1: dropped."""

    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    node_of: NDArray[np.int64]


def grow(offsets: NDArray[np.int64], frames: NDArray[np.int64] | NDArray[np.int32]) -> Tree:
    """The tree of stacks given one after another, root first: stack ``i`` is ``frames[offsets[i]:offsets[i + 1]]``.

    ``node_of[i]`` is the node stack ``i`` ends at (-1 for an empty stack). Children come in the order of their first
    appearance. Add costs with :func:`add_at`.
    """
    offsets = np.asarray(offsets, dtype=np.int64)
    lengths = np.diff(offsets)
    node_of = np.full(len(lengths), NO_PARENT, dtype=np.int64)
    base = int(frames.max()) + 1 if len(frames) else 1
    active = np.flatnonzero(lengths > 0)
    parents: list[NDArray[np.int64]] = []
    taken: list[NDArray[np.int64]] = []
    made = 0
    depth = 0
    while len(active):
        here = frames[offsets[active] + depth]
        codes, keys = numbered((node_of[active] + 1) * base + here)
        parents.append(keys // base - 1)
        taken.append(keys % base)
        node_of[active] = made + codes
        made += len(keys)
        depth += 1
        active = active[lengths[active] > depth]
    if not made:
        return Tree(np.zeros(0, np.int64), np.zeros(0, np.int64), node_of)
    order, parent = preorder(np.concatenate(parents))
    return Tree(parent, np.concatenate(taken)[order], _moved(order, node_of))


def preorder(parent: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put a tree whose parents come before their children, in any such order, into preorder.

    Returns ``order`` (old position of each new node) and the new ``parent`` array. Siblings keep their order.
    """
    sizes = subtree_sizes(parent)
    start = np.zeros(len(parent), dtype=np.int64)
    for level in levels(parent):
        # siblings side by side, in their order; a sibling starts where those before it end
        level = level[np.argsort(parent[level], kind="stable")]
        before = np.cumsum(sizes[level]) - sizes[level]
        ups = parent[level]
        first = np.flatnonzero(np.concatenate(([True], ups[1:] != ups[:-1])))
        base = np.repeat(before[first], np.diff(np.concatenate((first, [len(level)]))))
        start[level] = before - base + np.where(ups >= 0, start[ups] + 1, 0)
    order = np.empty(len(parent), dtype=np.int64)
    order[start] = np.arange(len(parent))
    ups = parent[order]
    return order, np.where(ups >= 0, start[ups], NO_PARENT)


def levels(parent: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The positions of the nodes of each depth, in ascending order. Parents come before their children."""
    if not len(parent):
        return []
    children = np.argsort(parent, kind="stable")
    sorted_parents = parent[children]
    level = children[: np.searchsorted(sorted_parents, 0)]
    found = []
    while len(level):
        found.append(level)
        low = np.searchsorted(sorted_parents, level, side="left")
        high = np.searchsorted(sorted_parents, level, side="right")
        counts = high - low
        total = int(counts.sum())
        inside = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        level = np.sort(children[np.repeat(low, counts) + inside])
    return found


def depths(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Depth of each node, roots 0. Parents come before their children."""
    depth = np.zeros(len(parent), dtype=np.int64)
    for number, level in enumerate(levels(parent)):
        depth[level] = number
    return depth


def subtree_sums(parent: NDArray[np.int64], costs: NDArray[Any]) -> NDArray[Any]:
    """Each node's costs with those of all nodes below it; ``costs`` has one row a node. Exact for integers."""
    sums = costs.copy()
    for level in reversed(levels(parent)[1:]):
        level = level[np.argsort(parent[level], kind="stable")]
        ups = parent[level]
        first = np.flatnonzero(np.concatenate(([True], ups[1:] != ups[:-1])))
        sums[ups[first]] += np.add.reduceat(sums[level], first, axis=0)
    return sums


def subtree_sizes(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many nodes each node's subtree has, itself included."""
    return subtree_sums(parent, np.ones(len(parent), dtype=np.int64))


def add_at(size: int, node: NDArray[np.int64], costs: NDArray[Any]) -> NDArray[Any]:
    """Sum rows of ``costs`` (rows x metrics) into ``size`` nodes; rows whose node is -1 are left out."""
    keep = node >= 0
    if not keep.all():
        node, costs = node[keep], costs[keep]
    out = np.zeros((size, costs.shape[1]), dtype=costs.dtype)
    if len(node):
        order = np.argsort(node, kind="stable")
        ordered = node[order]
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        out[ordered[first]] = np.add.reduceat(costs[order], first, axis=0)
    return out


def regrow(parent: NDArray[np.int64], frame: NDArray[np.int64], keep: NDArray[np.bool_]) -> Tree:
    """The tree without the nodes that are not kept: their children move up to the nearest kept ancestor, and siblings
    that now have the same frame become one. ``node_of`` maps each old node to the node that takes its place (its
    nearest kept ancestor where it was dropped, -1 where there is none).

    With all nodes kept and new frame numbers, this is how frames are grouped.
    """
    base = int(frame.max()) + 1 if len(frame) else 1
    node_of = np.full(len(parent), NO_PARENT, dtype=np.int64)
    parents: list[NDArray[np.int64]] = []
    frames: list[NDArray[np.int64]] = []
    seen: dict[int, int] = {}
    made = 0
    for level in levels(parent):
        ups = parent[level]
        above = np.where(ups >= 0, node_of[ups], NO_PARENT)
        kept = keep[level]
        node_of[level[~kept]] = above[~kept]
        # a new parent can get children from several old levels: keys stay known across levels
        codes, keys = numbered((above[kept] + 1) * base + frame[level[kept]])
        numbers = np.empty(len(keys), dtype=np.int64)
        fresh: list[int] = []
        for position, key in enumerate(keys.tolist()):
            number = seen.get(key)
            if number is None:
                number = seen[key] = made + len(fresh)
                fresh.append(key)
            numbers[position] = number
        made += len(fresh)
        new = np.asarray(fresh, dtype=np.int64)
        parents.append(new // base - 1)
        frames.append(new % base)
        node_of[level[kept]] = numbers[codes]
    if not made:
        return Tree(np.zeros(0, np.int64), np.zeros(0, np.int64), node_of)
    order, ordered = preorder(np.concatenate(parents))
    return Tree(ordered, np.concatenate(frames)[order], _moved(order, node_of))


def outermost(parent: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which nodes have no ancestor of their own group: those whose totals may be summed, so that recursion counts
    once. The tree is in preorder.
    """
    size = len(parent)
    end = np.arange(size) + subtree_sizes(parent)
    order = np.argsort(group, kind="stable")
    rank = np.cumsum(np.concatenate(([0], np.diff(group[order]) != 0))) if size else order
    # within a group a node is nested when a subtree that began before it has not ended yet
    reach = np.maximum.accumulate(rank * (size + 1) + end[order])
    nested = np.zeros(size, dtype=bool)
    if size > 1:
        nested[1:] = (reach[:-1] // (size + 1) == rank[1:]) & (reach[:-1] % (size + 1) > order[1:])
    out = np.empty(size, dtype=bool)
    out[order] = ~nested
    return out


def node_table(
    names: Sequence[str],
    parent: NDArray[np.int64],
    frame: NDArray[np.int64],
    self_costs: NDArray[Any],
    exact: NDArray[np.bool_] | None = None,
) -> Table:
    """The ``nodes`` of a Profile. ``self_costs`` has one row a node and one column a metric of ``names``."""
    parent = np.asarray(parent, dtype=np.int64)
    totals = subtree_sums(parent, self_costs)
    columns: dict[str, Any] = {
        "parent_id": parent,
        "depth": depths(parent),
        "frame_id": np.asarray(frame, dtype=np.int64),
        "exact": np.ones(len(parent), dtype=bool) if exact is None else exact,
    }
    for position, name in enumerate(names):
        columns[self_(name)] = self_costs[:, position]
        columns[total_(name)] = totals[:, position]
    return Table(columns)


def costs_of(table: TableLike, names: Sequence[str]) -> NDArray[Any]:
    """The self costs of a table as an array: one row a row, one column a metric."""
    return columns_of(table, [self_(name) for name in names])


def sizes_of(nodes: Any, name: str) -> NDArray[Any]:
    """How much was spent at each node and below, whatever its sign: the total, where no cost is below 0."""
    own, total = (np.asarray(nodes[column(name)]) for column in (self_, total_))
    if not (own < 0).any():
        return total
    return subtree_sums(np.asarray(nodes["parent_id"]), np.abs(own)[:, None])[:, 0]


def totals_of(table: TableLike, names: Sequence[str]) -> NDArray[Any]:
    """The total costs of a table as an array: one row a row, one column a metric."""
    return columns_of(table, [total_(name) for name in names])


def columns_of(table: TableLike, columns: Sequence[str]) -> NDArray[Any]:
    """Columns of a table as an array, also where there are none."""
    if not columns:
        return np.zeros((len(table), 0), dtype=np.int64)
    return np.column_stack([np.asarray(table[column]) for column in columns])


def functions_of(nodes: Table, frames: Table, names: Sequence[str]) -> Table:
    """The ``functions`` of a profile of stacks, summed from its nodes; recursion is counted once."""
    ids = frames["function_id"]
    function = ids[nodes["frame_id"]]
    count = int(ids.max()) + 1 if len(frames) else 0
    _, first = np.unique(ids, return_index=True)
    own, totals = group_sums(nodes, function, count, names)
    columns: dict[str, Any] = {
        "calls": Counts.unknown(count),
        "cycle": np.full(count, -1, dtype=np.int64),
        "total_exact": np.ones(count, dtype=bool),
    }
    for position, name in enumerate(names):
        columns[self_(name)] = own[:, position]
        columns[total_(name)] = totals[:, position]
    return frames.select(FUNCTION_COLUMNS).take(first).assign(**columns)


def group_sums(
    nodes: Table, group: NDArray[np.int64], count: int, names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Self and total costs of ``count`` groups of nodes, ``group`` is the one of each node. A node inside another of
    its group counts once in the total."""
    outer = outermost(nodes["parent_id"], group)
    own = add_at(count, group, costs_of(nodes, names))
    return own, add_at(count, np.where(outer, group, -1), totals_of(nodes, names))


def edges_of(nodes: Table, frames: Table, names: Sequence[str]) -> Table:
    """The ``edges`` of a profile of stacks, summed from its nodes; each stack counts once for an edge."""
    parent = nodes["parent_id"]
    function = frames["function_id"][nodes["frame_id"]]
    width = int(frames["function_id"].max()) + 1 if len(frames) else 1
    # a root gets a key of its own, which is no edge
    key = np.where(parent >= 0, function[parent] * width + function, width * width) if len(parent) else parent
    codes, keys = numbered(key)
    outer = outermost(parent, codes) & (parent >= 0)
    sums = add_at(len(keys), np.where(outer, codes, -1), totals_of(nodes, names))
    edge = keys < width * width
    ends = {"caller_id": keys[edge] // width, "callee_id": keys[edge] % width}
    costs = {cost_(name): sums[edge, position] for position, name in enumerate(names)}
    return Table({**ends, "calls": Counts.unknown(int(edge.sum())), **costs})


def _moved(order: NDArray[np.int64], node_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions before a reordering as positions after it; -1 stays."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return np.where(node_of >= 0, place[node_of], NO_PARENT)

"""Trees of stacks as flat arrays: building one from stacks, merging siblings, summing, counting recursion once.

A tree is three arrays of one length: ``parent`` (position of the parent, -1 for a root), ``frame`` and the costs. In
preorder a node comes before its children and its subtree is one slice. All work is done level by level on whole arrays,
so a tree of a million nodes takes seconds, and its depth does not use Python's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.chains import chains_of, level_sums, levels
from workbench.profiles.columns import FUNCTION_COLUMNS, NO_PARENT, cost_, self_, total_
from workbench.profiles.columns import MAX_DEPTH as MAX_DEPTH
from workbench.profiles.distinct import numbered, stable_order
from workbench.profiles.memory import require
from workbench.profiles.table import Counts, Late, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike

# Bytes per node while its tree is built and ordered, and in a table of two metrics. Measured.
_GROWN_BYTES = 100
_NODE_BYTES = 80


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree in preorder. ``node_of`` maps the input (stacks or old nodes) to nodes, -1: dropped."""

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
    alone = np.zeros(len(lengths), dtype=np.int64)
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
        # if no other stack shares it, the rest of a stack is a chain
        single = np.bincount(codes, minlength=len(keys))[codes] == 1
        alone[active[single]] = lengths[active[single]] - depth
        active = active[(lengths[active] > depth) & ~single]
    require((made + int(alone.sum())) * _GROWN_BYTES)
    if not made:
        return Tree(np.zeros(0, np.int64), np.zeros(0, np.int64), node_of)
    rest = np.flatnonzero(alone)
    if len(rest):
        count = alone[rest]
        behind = np.cumsum(count)
        place = np.arange(made, made + int(behind[-1]))
        above = place - 1
        above[behind - count] = node_of[rest]
        node_of[rest] = made + behind - 1
        parents.append(above)
        taken.append(frames[np.repeat(offsets[1:][rest] - behind, count) + place - made].astype(np.int64))
    order, parent = preorder(np.concatenate(parents))
    return Tree(parent, np.concatenate(taken)[order], _moved(order, node_of))


def preorder(parent: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put a tree whose parents come before their children, in any such order, into preorder.

    Returns ``order`` (old position of each new node) and the new ``parent`` array. Siblings keep their order.
    """
    chains = chains_of(parent)
    sizes = level_sums(chains.parent, chains.size)
    begin = np.zeros(len(sizes), dtype=np.int64)
    for level in levels(chains.parent):
        # siblings side by side, in their order; a sibling starts where those before it end
        level = level[np.argsort(chains.parent[level], kind="stable")]
        before = np.cumsum(sizes[level]) - sizes[level]
        ups = chains.parent[level]
        first = np.flatnonzero(np.concatenate(([True], ups[1:] != ups[:-1])))
        base = np.repeat(before[first], np.diff(np.concatenate((first, [len(level)]))))
        begin[level] = before - base + np.where(ups >= 0, begin[ups] + chains.size[ups], 0)
    ups = chains.parent
    above = np.where(ups >= 0, begin[ups] + chains.size[ups] - 1, NO_PARENT)
    ordered = np.arange(-1, len(parent) - 1)
    ordered[begin] = above
    sequence = np.argsort(begin)
    order = np.repeat(chains.head[sequence] - begin[sequence], chains.size[sequence])
    order += np.arange(len(parent))
    return order, ordered


def depths(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Depth of each node, roots 0. Parents come before their children."""
    chains = chains_of(parent)
    depth = np.zeros(len(chains.head), dtype=np.int64)
    for level in levels(chains.parent)[1:]:
        ups = chains.parent[level]
        depth[level] = depth[ups] + chains.size[ups]
    return chains.spread(depth)


def subtree_sums(parent: NDArray[np.int64], costs: NDArray[Any]) -> NDArray[Any]:
    """Each node's costs with those of all nodes below it; ``costs`` has one row per node. Exact for integers."""
    if costs.dtype.kind not in "iu" or not len(parent):
        return level_sums(parent, costs)
    chains = chains_of(parent)
    below = level_sums(chains.parent, np.add.reduceat(costs, chains.head, axis=0))
    sums = np.empty_like(costs)
    for column in range(costs.shape[1]):
        sums[:, column] = chains.suffix_sums(costs[:, column], below[:, column])
    return sums


def subtree_sizes(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many nodes each node's subtree has, itself included."""
    chains = chains_of(parent)
    sizes = np.repeat(level_sums(chains.parent, chains.size) + chains.head, chains.size)
    sizes -= np.arange(len(parent))
    return sizes


def add_at(size: int, node: NDArray[np.int64], costs: NDArray[Any]) -> NDArray[Any]:
    """Sum rows of ``costs`` (rows x metrics) into ``size`` nodes; rows whose node is -1 are left out."""
    out = np.zeros((costs.shape[1], size), dtype=costs.dtype).T
    if costs.dtype == np.int64:
        # most nodes of a tree cost nothing themselves
        for column in range(costs.shape[1]):
            some = np.flatnonzero((costs[:, column] != 0) & (node >= 0))
            np.add.at(out[:, column], node[some], costs[some, column])
        return out
    keep = node >= 0
    node, costs = node[keep], costs[keep]
    if len(node):
        order = np.argsort(node, kind="stable")
        ordered = node[order]
        first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        out[ordered[first]] = np.add.reduceat(costs[order], first, axis=0)
    return out


def regrow(parent: NDArray[np.int64], frame: NDArray[np.int64], keep: NDArray[np.bool_]) -> Tree:
    """The tree without the nodes that are not kept: their children move up to the nearest kept ancestor, and siblings
    that now have the same frame become one. ``node_of`` maps each old node to the node that takes its place (if it was
    dropped its nearest kept ancestor, -1 if there is none).

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
    """Which nodes have no ancestor of their own group: only their totals are summed, so that recursion counts once. The
    tree is in preorder.
    """
    size = len(parent)
    end = np.arange(size) + subtree_sizes(parent)
    order = stable_order(group)
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
    """The ``nodes`` of a Profile. ``self_costs`` has one row per node and one column per metric of ``names``."""
    require(len(parent) * _NODE_BYTES)
    parent = np.asarray(parent, dtype=np.int64)
    columns: dict[str, Any] = {
        "parent_id": parent,
        "depth": Late(len(parent), partial(depths, parent)),
        "frame_id": np.asarray(frame, dtype=np.int64),
        "exact": np.ones(len(parent), dtype=bool) if exact is None else exact,
    }
    for position, name in enumerate(names):
        own = self_costs[:, position]
        columns[self_(name)] = own
        columns[total_(name)] = Late(len(parent), partial(_sums, parent, own))
    return Table(columns)


def _sums(parent: NDArray[np.int64], own: NDArray[Any]) -> NDArray[Any]:
    return subtree_sums(parent, own[:, None])[:, 0]


def costs_of(table: TableLike, names: Sequence[str]) -> NDArray[Any]:
    """The self costs of a table as an array with the same rows and one column per metric."""
    return columns_of(table, [self_(name) for name in names])


def sizes_of(nodes: Any, name: str) -> NDArray[Any]:
    """The sum of absolute costs of each node and those below it: the total if no cost is below 0."""
    own, total = (np.asarray(nodes[column(name)]) for column in (self_, total_))
    if not (own < 0).any():
        return total
    return subtree_sums(np.asarray(nodes["parent_id"]), np.abs(own)[:, None])[:, 0]


def totals_of(table: TableLike, names: Sequence[str]) -> NDArray[Any]:
    """The total costs of a table as an array with the same rows and one column per metric."""
    return columns_of(table, [total_(name) for name in names])


def columns_of(table: TableLike, columns: Sequence[str]) -> NDArray[Any]:
    """Columns of a table as an array; with no columns, an array of width 0."""
    if not columns:
        return np.zeros((len(table), 0), dtype=np.int64)
    return np.column_stack([np.asarray(table[column]) for column in columns])


def functions_of(nodes: Table, frames: Table, names: Sequence[str]) -> Table:
    """The ``functions`` of a profile of stacks, summed from its nodes; recursion is counted once."""
    ids = frames["function_id"]
    function = ids[nodes["frame_id"]]
    count = int(ids.max()) + 1 if len(frames) else 0
    counted = Late(len(nodes), lambda: np.where(outermost(nodes["parent_id"], function), function, -1))
    columns: dict[str, Any] = {}
    for name in names:
        columns[self_(name)] = Late(count, partial(_added, count, lambda: function, nodes, self_(name)))
        columns[total_(name)] = Late(count, partial(_added, count, counted.array, nodes, total_(name)))
    return function_table(frames, count, columns)


def function_table(frames: Table, count: int, costs: Mapping[str, Any]) -> Table:
    """The ``functions`` of a profile of stacks: ``count`` functions with the names of their first frames, and their
    ``costs`` by column."""
    ids = frames["function_id"]
    # of several assignments to one place the last stays: in reverse order, the first frame
    first = np.zeros(count, dtype=np.int64)
    first[ids[::-1]] = np.arange(len(ids))[::-1]
    known = {
        "calls": Counts.unknown(count),
        "cycle": np.full(count, -1, dtype=np.int64),
        "total_exact": np.ones(count, dtype=bool),
    }
    return frames.select(FUNCTION_COLUMNS).take(first).assign(**known, **costs)


def _added(count: int, group: Callable[[], NDArray[np.int64]], nodes: Table, column: str) -> NDArray[Any]:
    return add_at(count, group(), nodes[column][:, None])[:, 0]


def group_sums(
    nodes: Table, group: NDArray[np.int64], count: int, names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Self and total costs of ``count`` groups of nodes; ``group`` is the group of each node. A node below another of
    its group is not counted again in the total."""
    outer = outermost(nodes["parent_id"], group)
    own = add_at(count, group, costs_of(nodes, names))
    return own, add_at(count, np.where(outer, group, -1), totals_of(nodes, names))


def edges_of(nodes: Table, frames: Table, names: Sequence[str]) -> Table:
    """The ``edges`` of a profile of stacks, summed from its nodes; each stack counts once for an edge."""
    parent = nodes["parent_id"]
    function = frames["function_id"][nodes["frame_id"]]
    width = int(frames["function_id"].max()) + 1 if len(frames) else 1
    # roots get one more key, which is not an edge
    key = np.where(parent >= 0, function[parent] * width + function, width * width) if len(parent) else parent
    codes, keys = numbered(key)
    outer = outermost(parent, codes) & (parent >= 0)
    sums = add_at(len(keys), np.where(outer, codes, -1), totals_of(nodes, names))
    edge = keys < width * width
    ends = {"caller_id": keys[edge] // width, "callee_id": keys[edge] % width}
    costs = {cost_(name): sums[edge, position] for position, name in enumerate(names)}
    return Table({**ends, "calls": Counts.unknown(int(edge.sum())), **costs})


def _moved(order: NDArray[np.int64], node_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """Converts positions before a reordering to positions after it; -1 stays."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return np.where(node_of >= 0, place[node_of], NO_PARENT)

"""Builds an approximate call tree for a call graph, which does not determine one.

The tree splits a callee over its callers in proportion to the cost of their calls (*pro rata*), and marks each node for
which this was assumed. A cycle is entered only once on a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import NO_PARENT, self_
from workbench.profiles.cycles import components
from workbench.profiles.distinct import ascending
from workbench.profiles.graph import arcs
from workbench.profiles.notes import Note
from workbench.profiles.tree import MAX_DEPTH, add_at, costs_of, node_table, preorder, subtree_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.metrics import Metric
    from workbench.profiles.table import Table

# A node with less than this share of every metric is left out. MAX_NODES bounds the tree; this limit only
# ends splitting where nothing would be visible: with 1e-4 a tree of hundreds of nodes lost 2 to 6 % of self costs.
CUT_SHARE = 1e-6
MAX_NODES = 20_000
# Rounds a product of floats down to surely not above the true value, so that the sum of shares is never too large.
_DOWN = 1.0 - 2.0**-50


def nodes_of(functions: Table, edges: Table, metrics: Sequence[Metric]) -> Table:
    """The call tree of a graph, as :func:`workbench.profiles.tree.node_table` gives it; frames are the functions.

    Roots are the functions that cost more than their callers account for: ``main``, and each thread's first function. A
    callee with several callers is split pro rata, and ``exact`` is False there and below. Calls below CUT_SHARE of
    every metric are left out, as are the smallest beyond MAX_NODES; their cost becomes self cost of the caller, so that
    the roots' totals still add up to the sum of all self costs. :func:`tree_notes` tells how much was assumed or cut.
    """
    tree = _call_tree(functions, edges, metrics)
    return node_table([metric.name for metric in metrics], tree.parent, tree.function, tree.own, tree.exact)


def tree_notes(functions: Table, edges: Table, metrics: Sequence[Metric], metric: str) -> tuple[Note, ...]:
    """Notes on what the tree of :func:`nodes_of` assumes and leaves out, with weights in ``metric``, one of
    ``metrics``."""
    tree = _call_tree(functions, edges, metrics)
    column = [each.name for each in metrics].index(metric)
    own = functions[self_(metric)]
    kept = tree.own[:, column]
    notes = []
    if count := int((~tree.exact).sum()):
        notes.append(
            _note("a call graph has no stacks: costs are split over callers pro rata", count, metric, kept[~tree.exact])
        )
    moved = tree.cut[column].item()
    # whole numbers are compared with true shares, which are fractions
    moved = round(moved) if kept.dtype.kind == "i" else moved
    if tree.cut_calls:
        what = "too small for the call tree: added to the caller's self cost"
        notes.append(Note(what, tree.cut_calls, None, metric, moved))
    elif kept.dtype.kind == "i" and moved >= 1:
        what = "shares are rounded down to whole numbers: the remainder is added to the caller's self cost"
        notes.append(Note(what, metric=metric, weight=moved))
    cycle = functions["cycle"]
    if (cycle >= 0).any():
        what = "cycle of functions that call each other: entered once in the tree"
        notes.append(_note(what, int(cycle.max()) + 1, metric, own[cycle >= 0]))
    if tree.scaled:
        what = "calls to a function cost more than the function itself: they are scaled down in the tree"
        notes.append(Note(what, tree.scaled, None, metric, tree.claimed[column].item()))
    return tuple(notes)


def _note(what: str, count: int, metric: str, costs: NDArray[Any]) -> Note:
    return Note(what, count, None, metric, costs.sum().item())


@dataclass(frozen=True, slots=True)
class _CallTree:
    """The tree in preorder; ``scaled`` functions had their callers' claims cut down by ``claimed`` in all."""

    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    own: NDArray[Any]
    exact: NDArray[np.bool_]
    cut_calls: int
    cut: NDArray[Any]
    scaled: int
    claimed: NDArray[Any]


def _call_tree(functions: Table, edges: Table, metrics: Sequence[Metric]) -> _CallTree:
    names = [metric.name for metric in metrics]
    own = costs_of(functions, names)
    caller, callee, costs = arcs(edges, names)
    graph = _condense(caller, callee, costs, own)
    # the size of a difference is the sum of increases and decreases
    whole = np.abs(own).sum(axis=0)
    weigh = np.asarray([metric.additive for metric in metrics], dtype=bool) & (whole > 0)
    scale = np.where(weigh, 1.0 / np.where(weigh, whole, 1), 0.0)
    entries = _Entries(graph, scale)
    grown, cut_calls = _grow(graph, entries, scale)
    left = grown.amount - add_at(len(grown.parent), grown.parent, grown.amount)
    true_left = entries.own[grown.vertex] * _ratio(grown.amount, entries.total[grown.vertex])
    order, ordered = preorder(grown.parent)
    return _CallTree(
        parent=ordered,
        function=entries.function[grown.vertex][order],
        own=left[order],
        exact=grown.exact[order],
        cut_calls=cut_calls,
        cut=(left - true_left).sum(axis=0),
        scaled=int(graph.scaled.sum()),
        claimed=graph.claimed,
    )


@dataclass(frozen=True, slots=True)
class _Graph:
    """A call graph with condensed components. The calls to a component never cost more than it.

    ``caller``, ``callee`` and ``costs`` are the calls between components, by caller; ``inner_`` are those inside one.
    ``total`` and ``root`` (what no caller accounts for) are by component, the rest by function.
    """

    component: NDArray[np.int64]
    cyclic: NDArray[np.bool_]
    caller: NDArray[np.int64]
    callee: NDArray[np.int64]
    costs: NDArray[Any]
    inner_caller: NDArray[np.int64]
    inner_callee: NDArray[np.int64]
    inner_costs: NDArray[Any]
    own: NDArray[Any]
    total: NDArray[Any]
    root: NDArray[Any]
    scaled: NDArray[np.bool_]
    claimed: NDArray[Any]


def _condense(caller: NDArray[np.int64], callee: NDArray[np.int64], costs: NDArray[Any], own: NDArray[Any]) -> _Graph:
    component = components(len(own), caller, callee)
    count = int(component.max()) + 1 if len(component) else 0
    between = component[caller] != component[callee]
    inner = np.flatnonzero(~between & (caller != callee))
    inner = inner[np.argsort(caller[inner], kind="stable")]
    order = np.flatnonzero(between)[np.argsort(caller[between], kind="stable")]
    above, below = component[caller[order]], component[callee[order]]
    costs_between, scaled = _capped(count, above, below, costs[order], add_at(count, component, own))
    total = add_at(count, component, own) + add_at(count, above, costs_between)
    root = total - add_at(count, below, costs_between)
    return _Graph(
        component=component,
        cyclic=np.bincount(component, minlength=count)[component] > 1,
        caller=caller[order],
        callee=callee[order],
        costs=costs_between,
        inner_caller=caller[inner],
        inner_callee=callee[inner],
        inner_costs=costs[inner],
        own=own,
        total=total,
        root=np.where((root < 0) & (root >= -_slack(total)), 0, root),
        scaled=scaled,
        claimed=costs[order].sum(axis=0) - costs_between.sum(axis=0),
    )


def _capped(
    count: int, above: NDArray[np.int64], below: NDArray[np.int64], costs: NDArray[Any], own: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The costs of calls, scaled so that calls to a component never cost more than it, and which components needed
    scaling.

    A component's cost depends on its own calls, so callees are handled before callers.
    """
    scaled = np.zeros(count, dtype=bool)
    if not np.any(_overdrawn(own + add_at(count, above, costs), add_at(count, below, costs))):
        return costs, scaled
    costs = costs.copy()
    total = own.copy()
    by_caller, by_callee = np.argsort(above, kind="stable"), np.argsort(below, kind="stable")
    steps = np.arange(count + 1)
    caller_bounds = np.searchsorted(above[by_caller], steps).tolist()
    callee_bounds = np.searchsorted(below[by_callee], steps).tolist()
    for here in range(count):
        total[here] += costs[by_caller[caller_bounds[here] : caller_bounds[here + 1]]].sum(axis=0)
        claims = by_callee[callee_bounds[here] : callee_bounds[here + 1]]
        claimed = costs[claims].sum(axis=0)
        if np.any(_overdrawn(total[here], claimed)):
            scaled[here] = True
            costs[claims] = _part(costs[claims], np.minimum(total[here], claimed), claimed)
    return costs, scaled


def _overdrawn(total: NDArray[Any], claimed: NDArray[Any]) -> NDArray[np.bool_]:
    """Costs of calls above the total; for floats by more than rounding."""
    return np.asarray(claimed > total + _slack(total))


def _slack(total: NDArray[Any]) -> Any:
    return 0 if total.dtype.kind == "i" else 1e-9 * np.abs(total)


class _Entries:
    """The vertices of the tree: every function, and the members of each cycle as seen from its entry.

    A cycle is spanned breadth first from its entry: each member is placed where the fewest calls lead to it (if
    several, the most expensive), with its self cost and its calls out of the cycle. Vertices below ``len(functions)``
    are the functions themselves. Entries are spanned when the tree first reaches them.
    """

    def __init__(self, graph: _Graph, scale: NDArray[np.float64]) -> None:
        self._graph = graph
        self._scale = scale
        size = len(graph.own)
        self.function = np.arange(size, dtype=np.int64)
        self.own = graph.own
        self.total = graph.total[graph.component]
        bounds = np.searchsorted(graph.caller, np.arange(size + 1))
        self.start, self.stop = bounds[:-1].copy(), bounds[1:].copy()
        self.target, self.costs = graph.callee, graph.costs
        self._spanned = ~graph.cyclic
        self._entered = add_at(size, graph.callee, graph.costs)
        self._inner_weight = (np.abs(graph.inner_costs) * scale).sum(axis=1)
        self._inner_bounds = np.searchsorted(graph.inner_caller, np.arange(size + 1))

    def reach(self, vertices: NDArray[np.int64]) -> None:
        """Make sure that the calls of these vertices are known."""
        functions = ascending(vertices[vertices < len(self._spanned)])
        fresh = functions[~self._spanned[functions]]
        if len(fresh):
            self._extend([self._span(int(entry)) for entry in fresh])
            self._spanned[fresh] = True

    def _span(self, entry: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """The members of a cycle from one entry on: parent (position, -1: the entry itself), function, total below.

        Members too small to show, however often this entry is called, are left out.
        """
        graph = self._graph
        reached, parents = [np.asarray([entry])], [np.asarray([NO_PARENT])]
        seen = np.zeros(len(graph.own), dtype=bool)
        seen[entry] = True
        base = 0
        while len(reached[-1]):
            level = reached[-1]
            calls, row = _ranges(self._inner_bounds[level], self._inner_bounds[level + 1])
            fresh = np.flatnonzero(~seen[graph.inner_callee[calls]])
            fresh = fresh[np.argsort(-self._inner_weight[calls[fresh]], kind="stable")]
            members, first = np.unique(graph.inner_callee[calls[fresh]], return_index=True)
            seen[members] = True
            reached.append(members)
            parents.append(base + row[fresh[first]])
            base += len(level)
        function, parent = np.concatenate(reached), np.concatenate(parents)
        calls, row = _ranges(*self._bounds(function))
        total = subtree_sums(parent, graph.own[function] + add_at(len(function), row, graph.costs[calls]))
        component = graph.component[entry]
        most = self._entered[entry] + graph.root[component]
        shown = _share(_ratio(most, graph.total[component]) * total, self._scale) >= CUT_SHARE
        shown[0] = True
        place = np.cumsum(shown) - 1
        kept = parent[shown]
        return np.where(kept >= 0, place[kept], NO_PARENT), function[shown], total[shown]

    def _bounds(self, function: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The positions of calls that leave their component."""
        caller = self._graph.caller
        return np.searchsorted(caller, function, side="left"), np.searchsorted(caller, function, side="right")

    def _extend(self, spans: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]) -> None:
        """Append the vertices and arcs of these spans."""
        added = []
        vertices, arcs = len(self.function), len(self.target)
        for parent, function, total in spans:
            span = self._arcs_of(parent, function, total, vertices)
            # the entry keeps its vertex; the other members get new ones
            bounds = arcs + span.bounds
            self.start[function[0]], self.stop[function[0]] = bounds[0], bounds[1]
            added.append((function[1:], total[1:], span.target, span.costs, bounds[1:-1], bounds[2:]))
            vertices += len(function) - 1
            arcs += len(span.target)
        functions, totals, targets, costs, starts, stops = (list(column) for column in zip(*added, strict=True))
        self.function = np.concatenate([self.function, *functions])
        self.own = self._graph.own[self.function]
        self.total = np.concatenate([self.total, *totals])
        self.target, self.costs = np.concatenate([self.target, *targets]), np.concatenate([self.costs, *costs])
        self.start, self.stop = np.concatenate([self.start, *starts]), np.concatenate([self.stop, *stops])

    def _arcs_of(self, parent: NDArray[np.int64], function: NDArray[np.int64], total: NDArray[Any], made: int) -> _Arcs:
        """The calls of a span's members, by member: out of the cycle, and to the members below. ``made`` vertices are
        there already."""
        graph = self._graph
        size = len(function)
        vertex = np.concatenate((function[:1], made + np.arange(size - 1)))
        calls, row = _ranges(*self._bounds(function))
        caller = np.concatenate((row, parent[1:]))
        order = np.argsort(caller, kind="stable")
        return _Arcs(
            target=np.concatenate((graph.callee[calls], vertex[1:]))[order],
            costs=np.concatenate((graph.costs[calls], total[1:]))[order],
            bounds=np.searchsorted(caller[order], np.arange(size + 1)),
        )


@dataclass(frozen=True, slots=True)
class _Arcs:
    """Calls by caller: those of caller ``i`` are at ``bounds[i]`` to ``bounds[i + 1]``."""

    target: NDArray[np.int64]
    costs: NDArray[Any]
    bounds: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Level:
    """Nodes of one depth. ``parent`` is the position in the whole tree, ``amount`` is a node's total cost, ``share``
    its largest share in any metric; above a ``whole`` node nothing was split."""

    parent: NDArray[np.int64]
    vertex: NDArray[np.int64]
    amount: NDArray[Any]
    share: NDArray[np.float64]
    exact: NDArray[np.bool_]
    whole: NDArray[np.bool_]

    def of(self, rows: NDArray[Any]) -> _Level:
        """Only these nodes."""
        return _Level(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(slots=True)
class _Grown:
    """The tree so far. ``cut`` is the share below which calls are left out, ``left_out`` how many were."""

    levels: list[_Level]
    size: int
    cut: float = CUT_SHARE
    left_out: int = 0

    def add(self, level: _Level) -> None:
        """Add a level; beyond MAX_NODES nodes, only the largest are kept from now on."""
        self.levels.append(level)
        self.size += len(level.parent)
        if self.size > MAX_NODES:
            # no descendant of a smaller node can be among the largest; strictly above, or ties would never end
            shares = np.concatenate([each.share for each in self.levels])
            least = np.partition(shares, -MAX_NODES)[-MAX_NODES]
            self.cut = max(self.cut, np.nextafter(least, np.inf))

    def tree(self) -> _Level:
        """All levels as one."""
        joined = (np.concatenate([getattr(each, name) for each in self.levels]) for name in _Level.__slots__)
        return _Level(*joined)


def _grow(graph: _Graph, entries: _Entries, scale: NDArray[np.float64]) -> tuple[_Level, int]:
    """The nodes of the tree, parents before children, and how many calls were left out."""
    vertex, amount = _roots(graph, scale)
    entries.reach(vertex)
    forced, leaf = _forced(graph), _leaves(graph)
    whole = forced[vertex]
    roots = _Level(
        parent=np.full(len(vertex), NO_PARENT, dtype=np.int64),
        vertex=vertex,
        amount=amount,
        share=_share(amount, scale),
        exact=whole | leaf[vertex],
        whole=whole,
    )
    grown = _Grown([roots], len(vertex))
    for _ in range(MAX_DEPTH - 1):
        above = grown.levels[-1]
        calls, row = _ranges(entries.start[above.vertex], entries.stop[above.vertex])
        part = _part(entries.costs[calls], above.amount[row], entries.total[above.vertex[row]])
        # never larger than the parent, even if increases and decreases below it cancel out
        share = np.minimum(_share(part, scale), above.share[row])
        keep = share >= grown.cut
        grown.left_out += int((~keep & (share > 0)).sum())
        if not keep.any():
            break
        vertex = entries.target[calls][keep]
        entries.reach(vertex)
        # a cycle's member below the entry is a separate vertex, whose place was assumed
        function = vertex < len(forced)
        known = above.whole[row[keep]] & function
        inside = np.where(function, vertex, 0)
        grown.add(
            _Level(
                parent=grown.size - len(above.parent) + row[keep],
                vertex=vertex,
                amount=part[keep],
                share=share[keep],
                exact=known & (forced | leaf)[inside],
                whole=known & forced[inside],
            )
        )
    return _heaviest(grown, len(roots.parent))


def _heaviest(grown: _Grown, roots: int) -> tuple[_Level, int]:
    """The MAX_NODES largest nodes and all roots. A node is never larger than its parent, which comes before it."""
    tree = grown.tree()
    if grown.size <= MAX_NODES:
        return tree, grown.left_out
    weight = np.where(tree.parent < 0, np.inf, tree.share)
    keep = np.sort(np.argsort(-weight, kind="stable")[: max(MAX_NODES, roots)])
    place = np.full(grown.size, NO_PARENT, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    kept = tree.of(keep)
    moved = np.where(kept.parent >= 0, place[kept.parent], NO_PARENT)
    return replace(kept, parent=moved), grown.left_out + grown.size - len(keep)


def _share(costs: NDArray[Any], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest share in any metric of each row of costs, regardless of sign."""
    return np.asarray((np.abs(costs) * scale).max(axis=1, initial=0.0))


def _roots(graph: _Graph, scale: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The functions whose cost their callers do not explain, largest first, and that cost. A cycle is entered at the
    member whose calls cost most compared to calls to it."""
    size = len(graph.own)
    inner = add_at(size, graph.inner_caller, graph.inner_costs) - add_at(size, graph.inner_callee, graph.inner_costs)
    surplus = (
        (graph.own + inner + add_at(size, graph.caller, graph.costs) - add_at(size, graph.callee, graph.costs)) * scale
    ).sum(axis=1)
    best = np.lexsort((np.arange(size), -surplus, graph.component))
    entry = best[np.searchsorted(graph.component[best], np.arange(len(graph.root)))]
    share = _share(graph.root, scale)
    component = np.flatnonzero(np.any(graph.root != 0, axis=1))
    component = component[np.lexsort((entry[component], -share[component]))]
    return entry[component], graph.root[component]


def _forced(graph: _Graph) -> NDArray[np.bool_]:
    """The functions with only one node in the tree, so that nothing is split: at most one caller, no cycle."""
    size = len(graph.own)
    called = np.any(graph.costs != 0, axis=1)
    callers = np.bincount(graph.callee[called], minlength=size)
    is_root = np.any(graph.root != 0, axis=1)[graph.component]
    return np.asarray((callers + is_root <= 1) & ~graph.cyclic & ~graph.scaled[graph.component])


def _leaves(graph: _Graph) -> NDArray[np.bool_]:
    """The functions that call nothing."""
    calls = np.bincount(graph.caller, minlength=len(graph.own))
    return np.asarray((calls == 0) & ~graph.cyclic & ~graph.scaled[graph.component])


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    out = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=out, where=whole != 0)
    # in a difference parts can have the other sign, or exceed the net of the whole
    return np.clip(out, 0.0, 1.0)


def _part(costs: NDArray[Any], amount: NDArray[Any], total: NDArray[Any]) -> NDArray[Any]:
    """The share ``amount / total`` of ``costs``; integers are never rounded up, so that parts never exceed a whole."""
    share = costs * _ratio(amount, total)
    if costs.dtype.kind != "i":
        return np.where(amount == total, costs, share)
    fits = (np.abs(costs.astype(np.float64) * amount) < 2.0**62) & (amount >= 0) & (amount <= total)
    part = np.where(fits, costs * amount // np.maximum(total, 1), np.floor(share * _DOWN).astype(np.int64))
    return np.where(amount == total, costs, part)


def _ranges(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of several slices one after another, and which slice each is of."""
    sizes = stop - start
    row = np.repeat(np.arange(len(sizes)), sizes)
    inside = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return start[row] + inside, row

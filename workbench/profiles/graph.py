"""Call graphs: totals with cycles counted once, and a call tree that a graph alone does not determine.

A graph knows what each pair of caller and callee cost, not whole stacks. So the tree splits a callee over its callers
in proportion to the cost of their calls (*pro rata*), and says of each node whether that had to be assumed. Mutually
recursive functions are one **cycle** (a strongly connected component): the costs of calls inside a cycle repeat at
every level of the recursion, so they are never summed. In the tree a cycle is entered once and never entered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import NO_PARENT, cost_, self_, total_
from workbench.profiles.cycles import components, cycle_numbers
from workbench.profiles.metrics import Metric
from workbench.profiles.notes import Note
from workbench.profiles.table import Table
from workbench.profiles.tree import MAX_DEPTH, add_at, columns_of, costs_of, node_table, preorder, subtree_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A node is left out of the tree when it has less than this share of every metric. MAX_NODES bounds the tree; this only
# ends splitting where nothing can be seen any more: with 1e-4 a tree of hundreds of nodes lost 2 to 6 % of self costs.
CUT_SHARE = 1e-6
MAX_NODES = 20_000
# Rounds a product of floats down to what is surely not above the true one, so that shares never add up to too much.
_DOWN = 1.0 - 2.0**-50


def with_totals(functions: Table, edges: Table, names: Sequence[str]) -> Table:
    """``functions`` with ``cycle``, and where they have none ``total_exact`` and the ``total_`` of each of ``names``.

    The total of a function is its self cost and that of its calls, without calls to itself. Functions of a cycle share
    the cycle's total: their self costs and what they call outside. ``cycle`` numbers the cycles from 0 in the order of
    their first function, -1: in none.
    """
    caller, callee, costs = arcs(edges, names)
    component = components(len(functions), caller, callee)
    cycle = cycle_numbers(component)
    added: dict[str, Any] = {"cycle": cycle}
    known = all(total_(name) in functions for name in names)
    if not known or "total_exact" not in functions:
        added["total_exact"] = cycle < 0
    if known:
        return functions.assign(**added)
    outside = component[caller] != component[callee]
    count = int(component.max()) + 1 if len(component) else 0
    totals = add_at(count, component, costs_of(functions, names))
    totals = totals + add_at(count, component[caller[outside]], costs[outside])
    added |= {total_(name): totals[component, position] for position, name in enumerate(names)}
    return functions.assign(**added)


def nodes_of(functions: Table, edges: Table, metrics: Sequence[Metric]) -> Table:
    """The call tree of a graph, as :func:`workbench.profiles.tree.node_table` gives it; frames are the functions.

    Roots are the functions that cost more than their callers account for: ``main``, and each thread's first function.
    A callee with several callers is split pro rata, and ``exact`` is False there and below. Calls below CUT_SHARE of
    every metric are left out, as are the lightest beyond MAX_NODES; their cost stays as self cost of the caller, so
    that the roots' totals add up to the sum of all self costs. :func:`tree_notes` says how much was assumed or cut.
    """
    tree = _call_tree(functions, edges, metrics)
    return node_table([metric.name for metric in metrics], tree.parent, tree.function, tree.own, tree.exact)


def tree_notes(functions: Table, edges: Table, metrics: Sequence[Metric], metric: str) -> tuple[Note, ...]:
    """What the tree of :func:`nodes_of` assumes and leaves out, with weights in ``metric``, one of ``metrics``."""
    tree = _call_tree(functions, edges, metrics)
    column = [each.name for each in metrics].index(metric)
    own = functions[self_(metric)]
    kept = tree.own[:, column]
    notes = []
    if count := int((~tree.exact).sum()):
        notes.append(_note("a call graph has no stacks: split over callers pro rata", count, metric, kept[~tree.exact]))
    moved = tree.cut[column].item()
    # whole numbers are compared with true shares, which are fractions
    moved = round(moved) if kept.dtype.kind == "i" else moved
    if tree.cut_calls:
        what = "too light for the call tree: added to the caller's self cost"
        notes.append(Note(what, tree.cut_calls, None, metric, moved))
    elif kept.dtype.kind == "i" and moved >= 1:
        what = "shares are rounded down to whole numbers: what is left over is added to the caller's self cost"
        notes.append(Note(what, metric=metric, weight=moved))
    cycle = functions["cycle"]
    if (cycle >= 0).any():
        what = "cycle of functions that call each other: entered once in the tree"
        notes.append(_note(what, int(cycle.max()) + 1, metric, own[cycle >= 0]))
    if tree.scaled:
        what = "function whose callers claim more than it cost: their claims are scaled down in the tree"
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
    whole = own.sum(axis=0)
    weigh = np.asarray([metric.additive for metric in metrics], dtype=bool) & (whole > 0)
    scale = np.where(weigh, 1.0 / np.where(weigh, whole, 1), 0.0)
    entries = _Entries(graph, scale)
    parent, vertex, amount, exact, cut_calls = _grow(graph, entries, scale)
    left = amount - add_at(len(parent), parent, amount)
    true_left = entries.own[vertex] * _ratio(amount, entries.total[vertex])
    order, ordered = preorder(parent)
    return _CallTree(
        parent=ordered,
        function=entries.function[vertex][order],
        own=left[order],
        exact=exact[order],
        cut_calls=cut_calls,
        cut=(left - true_left).sum(axis=0),
        scaled=int(graph.scaled.sum()),
        claimed=graph.claimed,
    )


@dataclass(frozen=True, slots=True)
class _Graph:
    """A call graph whose components are condensed. No component's callers claim more than it cost.

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
        root=total - add_at(count, below, costs_between),
        scaled=scaled,
        claimed=costs[order].sum(axis=0) - costs_between.sum(axis=0),
    )


def _capped(
    count: int, above: NDArray[np.int64], below: NDArray[np.int64], costs: NDArray[Any], own: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The costs of calls such that no component's callers claim more than it cost, and which components needed that.

    What a component cost depends on the claims it makes itself, so those called come before their callers.
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
    """Claims above the total; for floats by more than rounding."""
    slack = 0 if total.dtype.kind == "i" else 1e-9 * np.abs(total)
    return np.asarray(claimed > total + slack)


class _Entries:
    """The vertices the tree is grown from: every function, and the members of a cycle as seen from where it is entered.

    A cycle entered at a function is spanned breadth first from there: each member hangs where the fewest calls lead to
    it (the heaviest, if several do), with its self cost and its calls out of the cycle. Vertices below
    ``len(functions)`` are the functions themselves. Entries are spanned when the tree first reaches them.
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
        self._inner_weight = (graph.inner_costs * scale).sum(axis=1)
        self._inner_bounds = np.searchsorted(graph.inner_caller, np.arange(size + 1))

    def reach(self, vertices: NDArray[np.int64]) -> None:
        """Make sure that the calls of these vertices are known."""
        functions = np.unique(vertices[vertices < len(self._spanned)])
        fresh = functions[~self._spanned[functions]]
        if len(fresh):
            self._extend([self._span(int(entry)) for entry in fresh])
            self._spanned[fresh] = True

    def _span(self, entry: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """The members of a cycle from one entry on: parent (position, -1: the entry itself), function, total below.

        Members too light to show however often this entry is called are left out.
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
        shown = (_ratio(most, graph.total[component]) * total * self._scale).max(axis=1, initial=0.0) >= CUT_SHARE
        shown[0] = True
        place = np.cumsum(shown) - 1
        kept = parent[shown]
        return np.where(kept >= 0, place[kept], NO_PARENT), function[shown], total[shown]

    def _bounds(self, function: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the calls of functions out of their components are."""
        caller = self._graph.caller
        return np.searchsorted(caller, function, side="left"), np.searchsorted(caller, function, side="right")

    def _extend(self, spans: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]) -> None:
        graph = self._graph
        made, arcs = len(self.function), len(self.target)
        functions, owns, totals = [self.function], [self.own], [self.total]
        targets, costs = [self.target], [self.costs]
        starts, stops = [self.start], [self.stop]
        for parent, function, total in spans:
            size = len(function)
            # the entry keeps its vertex; the other members get new ones
            vertex = np.concatenate((function[:1], made + np.arange(size - 1)))
            calls, row = _ranges(*self._bounds(function))
            caller = np.concatenate((row, parent[1:]))
            order = np.argsort(caller, kind="stable")
            targets.append(np.concatenate((graph.callee[calls], vertex[1:]))[order])
            costs.append(np.concatenate((graph.costs[calls], total[1:]))[order])
            bounds = arcs + np.searchsorted(caller[order], np.arange(size + 1))
            self.start[function[0]], self.stop[function[0]] = bounds[0], bounds[1]
            starts.append(bounds[1:-1])
            stops.append(bounds[2:])
            functions.append(function[1:])
            owns.append(graph.own[function[1:]])
            totals.append(total[1:])
            made += size - 1
            arcs += len(order)
        self.function, self.own, self.total = np.concatenate(functions), np.concatenate(owns), np.concatenate(totals)
        self.target, self.costs = np.concatenate(targets), np.concatenate(costs)
        self.start, self.stop = np.concatenate(starts), np.concatenate(stops)


def _grow(
    graph: _Graph, entries: _Entries, scale: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[np.bool_], int]:
    """The tree level by level: parent, vertex, amount (the node's total), exact, and how many calls were left out."""
    vertex, amount = _roots(graph, scale)
    entries.reach(vertex)
    forced = _forced(graph)
    leaf = _leaves(graph)
    parent = np.full(len(vertex), NO_PARENT, dtype=np.int64)
    whole = forced[vertex]
    parents, vertices, amounts = [parent], [vertex], [amount]
    exacts, shares = [whole | leaf[vertex]], [(amount * scale).max(axis=1, initial=0.0)]
    cut, left_out, base, made = CUT_SHARE, 0, 0, len(vertex)
    for _ in range(MAX_DEPTH - 1):
        calls, row = _ranges(entries.start[vertex], entries.stop[vertex])
        part = _part(entries.costs[calls], amount[row], entries.total[vertex[row]])
        share = (part * scale).max(axis=1, initial=0.0)
        keep = share >= cut
        left_out += int((~keep & (share > 0)).sum())
        if not keep.any():
            break
        parents.append(base + row[keep])
        base += len(vertex)
        known = whole[row[keep]]
        vertex, amount = entries.target[calls][keep], part[keep]
        entries.reach(vertex)
        # a member of a cycle below its entry is a vertex of its own, whose place was assumed
        function = vertex < len(forced)
        inside = np.where(function, vertex, 0)
        whole = known & function & forced[inside]
        vertices.append(vertex)
        amounts.append(amount)
        exacts.append(known & function & (forced | leaf)[inside])
        shares.append(share[keep])
        made += len(vertex)
        if made > MAX_NODES:
            # no descendant of a lighter node can be among the heaviest: strictly above, or ties would never end
            least = np.partition(np.concatenate(shares), -MAX_NODES)[-MAX_NODES]
            cut = max(cut, np.nextafter(least, np.inf))
    return _heaviest(parents, vertices, amounts, exacts, shares, left_out)


def _heaviest(
    parents: list[NDArray[np.int64]],
    vertices: list[NDArray[np.int64]],
    amounts: list[NDArray[Any]],
    exacts: list[NDArray[np.bool_]],
    shares: list[NDArray[np.float64]],
    left_out: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[np.bool_], int]:
    """The MAX_NODES heaviest nodes and all roots. A node is never heavier than its parent, which comes before it."""
    parent, share = np.concatenate(parents), np.concatenate(shares)
    vertex, amount, exact = np.concatenate(vertices), np.concatenate(amounts), np.concatenate(exacts)
    if len(parent) <= MAX_NODES:
        return parent, vertex, amount, exact, left_out
    share[parent < 0] = np.inf
    keep = np.sort(np.argsort(-share, kind="stable")[: max(MAX_NODES, len(parents[0]))])
    place = np.full(len(parent), NO_PARENT, dtype=np.int64)
    place[keep] = np.arange(len(keep))
    ups = parent[keep]
    moved = np.where(ups >= 0, place[ups], NO_PARENT)
    return moved, vertex[keep], amount[keep], exact[keep], left_out + len(parent) - len(keep)


def _roots(graph: _Graph, scale: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The functions no caller accounts for, heaviest first, and what they cost. A cycle is entered at the member that
    gives most and takes least."""
    size = len(graph.own)
    inner = add_at(size, graph.inner_caller, graph.inner_costs) - add_at(size, graph.inner_callee, graph.inner_costs)
    surplus = (
        (graph.own + inner + add_at(size, graph.caller, graph.costs) - add_at(size, graph.callee, graph.costs)) * scale
    ).sum(axis=1)
    best = np.lexsort((np.arange(size), -surplus, graph.component))
    entry = best[np.searchsorted(graph.component[best], np.arange(len(graph.root)))]
    share = (graph.root * scale).max(axis=1, initial=0.0)
    component = np.flatnonzero(np.any(graph.root > 0, axis=1))
    component = component[np.lexsort((entry[component], -share[component]))]
    return entry[component], graph.root[component]


def _forced(graph: _Graph) -> NDArray[np.bool_]:
    """The functions of which a tree has one node, so that nothing of them is split: one caller or none, no cycle."""
    size = len(graph.own)
    called = np.any(graph.costs != 0, axis=1)
    callers = np.bincount(graph.callee[called], minlength=size)
    is_root = np.any(graph.root > 0, axis=1)[graph.component]
    return np.asarray((callers + is_root <= 1) & ~graph.cyclic & ~graph.scaled[graph.component])


def _leaves(graph: _Graph) -> NDArray[np.bool_]:
    """The functions that call nothing: a call's cost is theirs alone, however many callers they have."""
    calls = np.bincount(graph.caller, minlength=len(graph.own))
    return np.asarray((calls == 0) & ~graph.cyclic & ~graph.scaled[graph.component])


def arcs(edges: Table, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """The edges as arrays: caller, callee and costs, a column a metric."""
    caller, callee = (np.asarray(edges[end], dtype=np.int64) for end in ("caller_id", "callee_id"))
    return caller, callee, columns_of(edges, [cost_(name) for name in names])


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    out = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _part(costs: NDArray[Any], amount: NDArray[Any], total: NDArray[Any]) -> NDArray[Any]:
    """The share ``amount / total`` of ``costs``; integers are never rounded up, so that parts never exceed a whole."""
    share = costs * _ratio(amount, total)
    if costs.dtype.kind != "i":
        return np.where(amount == total, costs, share)
    fits = costs.astype(np.float64) * amount < 2.0**62
    part = np.where(fits, costs * amount // np.maximum(total, 1), np.floor(share * _DOWN).astype(np.int64))
    return np.where(amount == total, costs, part)


def _ranges(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of several slices one after another, and which slice each is of."""
    sizes = stop - start
    row = np.repeat(np.arange(len(sizes)), sizes)
    inside = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return start[row] + inside, row

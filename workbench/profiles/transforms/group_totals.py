"""Total costs of groups of functions in a call graph, counting each cost once.

A group that calls itself through others is entered again, and that cost is already in its total. The graph of the
*functions* shows this: an arc into the group adds only the part of its cost that is not yet below the group. Going down
from the roots, the part of each function's cost that is below the group follows from its callers' parts.

Three cases, from sure to assumed:

- Each outside caller of the group is either completely below the group or not at all: the total is exact.
- An intermediate function is called both from below the group and from elsewhere: its calls are split pro rata, as in
  the call tree (:mod:`workbench.profiles.graph`).
- A cycle of functions has members in the group and others: the part of the cycle that is below the group is bounded by
  the arcs that enter those members, and by the cycle's total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.cycles import components
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

# groups handled together: two numbers each for every component of the graph
_TOGETHER = 128
# sums of callers' floats match the callee's only to this precision
_SLACK = 1e-9


def group_totals(
    group: NDArray[np.int64],
    own: NDArray[Any],
    caller: NDArray[np.int64],
    callee: NDArray[np.int64],
    costs: NDArray[Any],
    known: NDArray[Any],
    known_exact: NDArray[np.bool_],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Total cost of each group, a column per metric, and whether it is exact in all of them.

    ``group`` is the group of each function, ``own`` their self costs, ``known`` their totals, ``known_exact`` whether
    these are exact, and ``costs`` the arcs', a column per metric. A total is never above the sum of all self costs or
    below the group's own; that of a single function is the function's, if exact.
    """
    count = int(group.max()) + 1 if len(group) else 0
    graph = _condensed(count, group, caller, callee)
    totals = np.zeros((count, own.shape[1]), dtype=own.dtype)
    exact = np.ones(count, dtype=bool)
    for position in range(own.shape[1]):
        totals[:, position], sure = _totals_of(graph, own[:, position], costs[:, position])
        exact &= sure
    least = np.zeros_like(totals)
    np.maximum.at(least, group[known_exact], known[known_exact])
    bounded = np.maximum(np.minimum(np.maximum(totals, least), own.sum(axis=0)), add_at(count, group, own))
    # negative costs cancel out: then a total can be anything
    cancel = (own < 0).any(axis=0) | (costs < 0).any(axis=0)
    totals = np.where(cancel, totals, bounded)
    alone = known_exact & (np.bincount(group, minlength=count)[group] == 1)
    totals[group[alone]], exact[group[alone]] = known[alone], True
    return totals, exact


@dataclass(frozen=True, slots=True)
class _Graph:
    """The functions' graph with its cycles as components, and which groups have members in which of them.

    ``pair_`` arrays are the pairs of a component and a group with members in it, ``pair`` the pair of each function.
    ``again``: groups that may be left and entered again across components; ``levels`` are the arcs between components
    of such groups, by level of the callee.
    """

    groups: int
    group: NDArray[np.int64]
    caller: NDArray[np.int64]
    callee: NDArray[np.int64]
    component: NDArray[np.int64]
    size: int
    pair: NDArray[np.int64]
    pair_component: NDArray[np.int64]
    pair_group: NDArray[np.int64]
    pair_whole: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    again: NDArray[np.int64]
    levels: list[NDArray[np.int64]]


def _condensed(count: int, group: NDArray[np.int64], caller: NDArray[np.int64], callee: NDArray[np.int64]) -> _Graph:
    component = components(len(group), caller, callee)
    size = int(component.max()) + 1 if len(component) else 0
    keys, pair, members = np.unique(component * max(count, 1) + group, return_inverse=True, return_counts=True)
    pair_component, pair_group = keys // max(count, 1), keys % max(count, 1)
    # cycles of groups: only there a group can be entered again
    circle = components(count, group[caller], group[callee])
    closed = np.bincount(circle, minlength=count)[circle] > 1 if count else np.zeros(0, dtype=bool)
    spread = np.bincount(pair_group, minlength=count) > 1
    above, below = group[caller], group[callee]
    relevant = np.flatnonzero(
        closed[above] & (circle[above] == circle[below]) & (component[caller] != component[callee])
    )
    return _Graph(
        groups=count,
        group=group,
        caller=caller,
        callee=callee,
        component=component,
        size=size,
        pair=pair.reshape(-1),
        pair_component=pair_component,
        pair_group=pair_group,
        pair_whole=members == np.bincount(component, minlength=size)[pair_component],
        closed=closed,
        again=np.flatnonzero(closed & spread),
        levels=_levels(size, component[caller[relevant]], component[callee[relevant]], relevant),
    )


def _levels(
    size: int, above: NDArray[np.int64], below: NDArray[np.int64], arcs: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """The arcs ordered so that all into a component are together, after all into its callers."""
    # a component is called only by those with a higher number
    order = np.argsort(-above, kind="stable")
    level = [0] * size
    for up, down in zip(above[order].tolist(), below[order].tolist(), strict=True):
        if level[up] >= level[down]:
            level[down] = level[up] + 1
    of_arc = np.asarray(level, dtype=np.int64)[below]
    order = np.lexsort((below, of_arc))
    bounds = np.flatnonzero(np.diff(of_arc[order], prepend=-1))
    return [arcs[part] for part in np.split(order, bounds[1:])] if len(arcs) else []


def _totals_of(graph: _Graph, own: NDArray[Any], costs: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    component, group = graph.component, graph.group
    above, below = component[graph.caller], component[graph.callee]
    between = above != below
    total = _sums(graph.size, component, own) + _sums(graph.size, above[between], costs[between])
    claimed = _sums(graph.size, below[between], costs[between])
    mixed_share = _mixed_shares(graph, own, costs, total, total - claimed)
    mixed = ~graph.pair_whole & (mixed_share > 0)
    outward = group[graph.caller] != group[graph.callee]
    mine = _sums(graph.groups, group, own)
    # a group that is never entered again: its own cost and its calls
    totals = mine + _sums(graph.groups, group[graph.caller[outward]], costs[outward])
    exact = np.ones(graph.groups, dtype=bool)
    if (own < 0).any() or (costs < 0).any():
        # shares mean nothing if costs cancel out
        return totals, ~graph.closed
    counted = _part(total[graph.pair_component], mixed_share)
    within = np.flatnonzero(graph.closed)
    entered = _sums(graph.groups, graph.pair_group, counted)
    totals[within] = entered[within]
    exact[graph.pair_group[mixed]] = False
    for start in range(0, len(graph.again), _TOGETHER):
        chosen = graph.again[start : start + _TOGETHER]
        totals[chosen], sure = _entered_once(graph, chosen, costs, total, claimed, mixed_share)
        exact[chosen] &= sure
    return totals, exact


def _mixed_shares(
    graph: _Graph, own: NDArray[Any], costs: NDArray[Any], total: NDArray[Any], root: NDArray[Any]
) -> NDArray[np.float64]:
    """By pair, how much of the component is below the group once the component is entered: 1 for all of it, otherwise
    the cost that enters its members, and at least what these cost and call."""
    pairs = len(graph.pair_component)
    share = np.ones(pairs)
    partly = ~graph.pair_whole
    if not partly.any():
        return share
    caller, callee, pair = graph.caller, graph.callee, graph.pair
    inward = graph.group[caller] != graph.group[callee]
    enters = _sums(pairs, pair[callee[inward]], costs[inward]) + np.maximum(root, 0)[graph.pair_component]
    leaves = graph.component[caller] != graph.component[callee]
    least = _sums(pairs, pair, own) + _sums(pairs, pair[caller[leaves]], costs[leaves])
    whole = total[graph.pair_component]
    known = partly & (whole > 0)
    share[known] = np.clip(np.maximum(enters, least)[known] / whole[known], 0.0, 1.0)
    share[partly & ~known] = 0.0
    return share


def _entered_once(
    graph: _Graph,
    chosen: NDArray[np.int64],
    costs: NDArray[Any],
    total: NDArray[Any],
    claimed: NDArray[Any],
    mixed_share: NDArray[np.float64],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Totals of some groups, and whether they are exact.

    ``below`` is the amount of each component's cost, by group, that comes from callers below the group; ``unsure``
    whether any of it comes through an arc of which only a share, or an assumed part, is below it. ``part``: which part
    of a component's calls is below a group that the caller does not belong to; ``split``: whether that is only a part.
    """
    width = len(chosen)
    column = np.full(graph.groups, -1, dtype=np.int64)
    column[chosen] = np.arange(width)
    own_column = column[graph.group]
    listed = column[graph.pair_group] >= 0
    at, of = graph.pair_component[listed], column[graph.pair_group[listed]]
    share, whole = mixed_share[listed], graph.pair_whole[listed]
    below = np.zeros((graph.size, width))
    unsure = np.zeros((graph.size, width), dtype=bool)
    part = np.zeros((graph.size, width))
    part[at[~whole], of[~whole]] = share[~whole]
    split = part > 0
    scale = np.maximum(total, claimed).astype(np.float64)
    for arcs in graph.levels:
        carrying = arcs[costs[arcs] != 0]
        if not len(carrying):
            continue
        callers, callees = graph.caller[carrying], graph.component[graph.callee[carrying]]
        above = graph.component[callers]
        arc_part, arc_split = part[above], split[above]
        inside = np.flatnonzero(own_column[callers] >= 0)
        mine = own_column[callers[inside]]
        arc_part[inside, mine], arc_split[inside, mine] = 1.0, False
        arc_part *= costs[carrying][:, None]
        first = np.flatnonzero(np.diff(callees, prepend=-1))
        here = callees[first]
        below[here] = np.add.reduceat(arc_part, first, axis=0)
        unsure[here] = np.logical_or.reduceat(arc_split, first, axis=0)
        entered = np.clip(below[here] / np.where(scale[here] > 0, scale[here], 1.0)[:, None], 0.0, 1.0)
        entered[entered >= 1 - _SLACK] = 1.0
        split[here] |= (entered > _SLACK) & (entered < 1) | unsure[here]
        part[here] = entered + (1 - entered) * part[here]
    fresh = total[at].astype(np.float64) * (
        1 - np.minimum(1.0, below[at, of] / np.where(scale[at] > 0, scale[at], 1.0))
    )
    if total.dtype.kind == "i":
        # an exact amount, if calls do not cost more than the callee: no rounding
        fits = scale[at] == total[at]
        left = total[at] - np.rint(below[at, of]).astype(np.int64)
        counted = np.where(fits, np.maximum(left, 0), np.rint(fresh).astype(np.int64))
    else:
        counted = fresh
    totals = _sums(width, of, _part(counted, share))
    exact = np.ones(width, dtype=bool)
    exact[of[unsure[at, of] | ~whole & (share > 0)]] = False
    return totals, exact


def _part(amount: NDArray[Any], share: NDArray[np.float64]) -> NDArray[Any]:
    """``amount * share``; whole amounts stay exact."""
    part = amount * share
    return np.where(share == 1, amount, np.rint(part).astype(np.int64) if amount.dtype.kind == "i" else part)


def _sums(size: int, at: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    out: NDArray[Any] = add_at(size, at, values[:, None])[:, 0]
    return out

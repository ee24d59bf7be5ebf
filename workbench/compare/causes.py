"""Which changes in a program changed its cost, and which functions are only symptoms.

A function costs more for one of three reasons: it does more in each call, code that changed calls it more often, or its
callers are called more often themselves. Only the first two are causes. So the change in each function's own cost is
split. The part that the number of its calls does not explain stays at the function. The part that it explains moves up
to the callers, and further up for as long as a caller's own number of calls explains it. It ends at a call that its
caller now makes more or less often: this is the change. The effects of all causes add up to the change of the whole.

This is a structural decomposition, as in input-output economics (Dietzenbacher and Los 1998), of a call graph in which
each caller has its own price per call: removing one large copy does not make other copies look cheaper. A number of
calls explains at most the change that was observed: a call that is as frequent as before explains nothing, even if its
caller is called more often. All changes in one function are one cause: if a build inlines a helper there, the removed
call and the added own cost nearly cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.compare.joint import Joint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

Kind = Literal["own", "calls"]
# Calls moved from one caller to another if the added and removed cost together is more than this many times the net
# change. The net change then does not show what a call costs.
_MOVED = 4.0
# how far calls per receipt may be from a whole number, and calls that may be cut off at the edges of a window
WHOLE, EDGES = 0.005, 1.5
# if the allowed distance is more than this, because of few receipts, no number counts as whole
MOST_SLACK = 0.15
# most symptoms and parts kept of one cause
_SYMPTOMS = 30
_PARTS = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One change in the code of a function: what it does itself in each call (``own``, ``callee`` is ""), or how often
    it calls another (``calls``). ``before`` and ``after``: own cost a call, or calls per receipt. ``effect``: how much
    it changed the cost of a receipt (below 0: cheaper). ``whole``: the calls per receipt are different whole numbers
    before and after, so the program changed; a fraction may be due to timing."""

    kind: Kind
    callee: str
    before: float
    after: float
    effect: float
    whole: bool = False

    @property
    def change_pct(self) -> float:
        """From before to after, in percent; NaN if ``before`` is 0."""
        return 100 * (self.after - self.before) / self.before if self.before else math.nan


@dataclass(frozen=True, slots=True)
class Cause:
    """What changed in the code of one function. ``effect``: its change of the cost of a receipt, in the unit of the
    metric; ``parts``: the changes, the largest first; ``symptoms``: functions whose own cost changed only because of
    it, and by how much; ``system``: the function belongs to a system library; ``own`` and ``times``: the function's own
    cost and calls per receipt, before and after."""

    function: str
    file: str
    crate: str
    role: str
    system: bool
    effect: float
    parts: tuple[Part, ...]
    symptoms: tuple[tuple[str, float], ...]
    own: tuple[float, float]
    times: tuple[float, float]

    @property
    def main(self) -> Part:
        """The part with the largest effect."""
        return self.parts[0]


@dataclass(frozen=True, slots=True)
class Causes:
    """``causes``, the largest effect first; ``before`` and ``after``: what a receipt costs; ``rest``: the total effect
    of the ``small`` causes that are too small to be named."""

    before: float
    after: float
    causes: tuple[Cause, ...]
    rest: float
    small: int


@dataclass(frozen=True, slots=True, eq=False)
class _Flows:
    """Where the change of each function's own cost goes. Per function: ``stays`` (change within each call) and
    ``rises`` (change that the number of its calls explains). Per call: ``caused``: effect that ends at this call;
    ``weight``: the share of the callee's ``rises`` that goes through it; ``up``: the share of that which rises on."""

    stays: Floats
    rises: Floats
    caused: Floats
    weight: Floats
    up: Floats


def causes(graph: Joint, *, least: float) -> Causes:
    """The causes of the change; those with an effect of at least ``least``, in the unit of the metric, are named."""
    flows = _flows(graph)
    count = len(graph.names)
    effects = flows.stays + np.bincount(graph.caller, flows.caused, count)
    order = np.argsort(-np.abs(effects), kind="stable").tolist()
    named = [one for one in order if abs(effects[one]) >= least]
    rest = [one for one in order if 0 < abs(effects[one]) < least]
    found = tuple(_cause(graph, flows, one, float(effects[one]), least) for one in named)
    return Causes(*graph.whole, found, float(effects[rest].sum()), len(rest))


def _flows(graph: Joint) -> _Flows:
    ratio, new = _expected(graph)
    own, calls = graph.own, graph.calls
    stays, rises = np.zeros(len(graph.names)), np.zeros(len(graph.names))
    explained = np.where(new, own[1], _between(ratio * own[0], own[0], own[1]))
    rises[:] = explained - own[0]
    stays[:] = own[1] - explained
    expected = np.where(new[graph.caller], calls[1], _between(ratio[graph.caller] * calls[0], calls[0], calls[1]))
    moved = calls[1] - calls[0]
    up = np.divide(expected - calls[0], moved, out=np.zeros_like(moved), where=moved != 0)
    price = _price(graph)
    by_callee = np.argsort(graph.callee, kind="stable")
    bounds = np.searchsorted(graph.callee[by_callee], np.arange(len(graph.names) + 1))
    caused, weight = np.zeros(len(moved)), np.zeros(len(moved))
    for function in graph.order[::-1].tolist():
        edges = by_callee[bounds[function] : bounds[function + 1]]
        edges = edges[~graph.back[edges]]
        parts = moved[edges] * price[edges]
        net = float(parts.sum())
        if not rises[function] or not net or np.abs(parts).sum() > _MOVED * abs(net) or net * rises[function] < 0:
            # no change in its calls is known that explains it: the change stays here
            stays[function] += rises[function]
            rises[function] = 0
            continue
        weight[edges] = parts / net
        amounts = rises[function] * weight[edges]
        caused[edges] = amounts * (1 - up[edges])
        np.add.at(rises, graph.caller[edges], amounts * up[edges])
    return _Flows(stays, rises, caused, weight, up)


def _expected(graph: Joint) -> tuple[Floats, NDArray[np.bool_]]:
    """The factor by which each function's cost should change, given its calls: each caller's calls weighted by their
    cost; in a cycle, where this is not known, the number of calls alone. And which functions are new."""
    count = len(graph.names)
    usable = ~graph.inner
    calls, cost = graph.calls, graph.cost
    times = np.divide(calls[1], calls[0], out=np.ones(len(calls[0])), where=calls[0] > 0)
    scaled = np.where(calls[0] > 0, cost[0] * times, cost[1])
    was = np.bincount(graph.callee[usable], cost[0][usable], count)
    will = np.bincount(graph.callee[usable], scaled[usable], count)
    ratio = np.divide(will, was, out=np.ones(count), where=was > 0)
    cyclic = np.zeros(count, dtype=bool)
    cyclic[graph.caller[graph.inner]] = cyclic[graph.callee[graph.inner]] = True
    counted = np.divide(graph.times[1], graph.times[0], out=np.ones(count), where=graph.times[0] > 0)
    ratio = np.where(cyclic, counted, ratio)
    ratio = np.where(graph.state == "removed", 0.0, ratio)
    return ratio, graph.state == "added"


def _price(graph: Joint) -> Floats:
    """The cost of one call from this caller, with everything below it: the mean of both sides if both make the call. In
    a cycle every call has the same price."""
    both = np.divide(graph.cost, graph.calls, out=np.full(graph.cost.shape, np.nan), where=graph.calls > 0)
    with np.errstate(all="ignore"):
        price = np.where(np.isnan(both[0]), both[1], np.where(np.isnan(both[1]), both[0], both.mean(axis=0)))
    into_cycle = np.zeros(len(graph.names), dtype=bool)
    into_cycle[graph.callee[graph.inner]] = True
    return np.where(into_cycle[graph.callee] | np.isnan(price), 1.0, price)


def _whole(calls: Sequence[float], receipts: Sequence[float]) -> bool:
    """Whether both numbers of calls per receipt are whole, apart from the edges of the windows, and differ."""
    slack = [WHOLE + EDGES / sent for sent in receipts]
    near = [off <= MOST_SLACK and abs(one - round(one)) <= off for one, off in zip(calls, slack, strict=True)]
    return all(near) and round(calls[0]) != round(calls[1])


def _between(value: Floats, one: Floats, other: Floats) -> Floats:
    return np.clip(value, np.minimum(one, other), np.maximum(one, other))


def _cause(graph: Joint, flows: _Flows, function: int, effect: float, least: float) -> Cause:
    edges = np.flatnonzero((graph.caller == function) & (flows.caused != 0))
    edges = edges[np.argsort(-np.abs(flows.caused[edges]), kind="stable")]
    parts = [
        Part(
            "calls",
            graph.names[int(graph.callee[edge])],
            float(graph.calls[0, edge]),
            float(graph.calls[1, edge]),
            float(flows.caused[edge]),
            _whole(graph.calls[:, edge].tolist(), graph.receipts),
        )
        for edge in edges.tolist()
    ]
    times = graph.times[:, function]
    if flows.stays[function]:
        each = np.divide(graph.own[:, function], times, out=graph.own[:, function].copy(), where=times > 0)
        parts.append(Part("own", "", float(each[0]), float(each[1]), float(flows.stays[function])))
    parts.sort(key=lambda part: -abs(part.effect))
    return Cause(
        function=graph.names[function],
        file=graph.files[function],
        crate=graph.crates[function],
        role=str(graph.role[function]),
        system=graph.system[function],
        effect=effect,
        parts=tuple(parts[:_PARTS]),
        symptoms=_symptoms(graph, flows, edges, least),
        own=(float(graph.own[0, function]), float(graph.own[1, function])),
        times=(float(times[0]), float(times[1])),
    )


def _symptoms(graph: Joint, flows: _Flows, edges: Whole, least: float) -> tuple[tuple[str, float], ...]:
    """The functions whose own cost changed because of these calls, and by how much: found by following the calls down,
    along the paths on which their changes rose."""
    count = len(graph.names)
    reach = np.zeros(count)
    np.add.at(reach, graph.callee[edges], flows.weight[edges] * (1 - flows.up[edges]))
    by_caller = np.argsort(graph.caller, kind="stable")
    bounds = np.searchsorted(graph.caller[by_caller], np.arange(count + 1))
    ratio, new = _expected(graph)
    explained = np.where(new, graph.own[1], _between(ratio * graph.own[0], graph.own[0], graph.own[1]))
    amounts = np.zeros(count)
    for function in graph.order.tolist():
        if not reach[function]:
            continue
        amounts[function] = reach[function] * (explained[function] - graph.own[0, function])
        below = by_caller[bounds[function] : bounds[function + 1]]
        below = below[~graph.back[below] & (flows.weight[below] != 0)]
        np.add.at(reach, graph.callee[below], reach[function] * flows.weight[below] * flows.up[below])
    order = np.argsort(-np.abs(amounts), kind="stable")[:_SYMPTOMS].tolist()
    return tuple((graph.names[one], float(amounts[one])) for one in order if abs(amounts[one]) > least * 0.01)

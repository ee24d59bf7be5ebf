"""Facts of a call graph for finding repeated work: the share of a function's cost that every call of it has, the
functions that all its calls go through, and how deep inside a library it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.findings.code import LIBRARY, roles
from workbench.profiles.columns import cost_, self_, total_
from workbench.profiles.cycles import components

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

ROOT = -1
# calls with a smaller share of the callee's cost are ignored as paths to it
_LEAST_EDGE = 0.01
# a call made in at least this share of the caller's calls counts as made in each
_EACH = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """A call graph of one metric. ``role`` of each function; ``same``: the share of its cost that every call of it
    has; ``dominator``: the nearest function that all calls of it go through (ROOT: none); ``depth``: library calls
    between it and the code that called the library (0: not in a library)."""

    functions: pd.DataFrame
    role: NDArray[np.object_]
    own: Floats
    total: Floats
    calls: Floats
    caller: Whole
    callee: Whole
    edge_calls: Floats
    edge_cost: Floats
    cyclic: NDArray[np.bool_]
    same: Floats
    dominator: Whole
    depth: Whole

    @classmethod
    def of(cls, profile: Profile, metric: str) -> Calls:
        """The call graph of a profile with these facts."""
        functions, edges = profile.functions, profile.edges
        own = functions[self_(metric)].to_numpy(dtype=np.float64)
        total = functions[total_(metric)].to_numpy(dtype=np.float64)
        calls = functions["calls"].astype("Float64").fillna(0).to_numpy(dtype=np.float64)
        caller = edges["caller_id"].to_numpy(dtype=np.int64)
        callee = edges["callee_id"].to_numpy(dtype=np.int64)
        times = edges["calls"].astype("Float64").fillna(0).to_numpy(dtype=np.float64)
        cost = edges[cost_(metric)].to_numpy(dtype=np.float64)
        apart = caller != callee
        caller, callee, times, cost = caller[apart], callee[apart], times[apart], cost[apart]
        component = components(len(own), caller, callee)
        cyclic = np.bincount(component)[component] > 1 if len(component) else np.zeros(0, dtype=bool)
        role = roles(functions)
        ways = cost >= _LEAST_EDGE * total[callee]
        order = np.argsort(component, kind="stable")
        return cls(
            functions, role, own, total, calls, caller, callee, times, cost, cyclic,
            same=_same(order, cyclic, own, total, calls, (caller, callee, times, cost)),
            dominator=_dominators(len(own), caller[ways], callee[ways]),
            depth=_depths(order[::-1], role, caller[ways], callee[ways]),
        )  # fmt: skip

    def into(self, function: int) -> Whole:
        """The edges into a function, the most expensive first."""
        at = np.flatnonzero(self.callee == function)
        return at[np.argsort(-self.edge_cost[at], kind="stable")]

    def dominators(self, function: int) -> list[int]:
        """The functions that all calls of this one go through, the nearest first."""
        found = []
        while (function := int(self.dominator[function])) != ROOT:
            found.append(function)
        return found


def _same(
    order: Whole,
    cyclic: NDArray[np.bool_],
    own: Floats,
    total: Floats,
    calls: Floats,
    edges: tuple[Whole, Whole, Floats, Floats],
) -> Floats:
    """Computed from the callees up. A function's own cost is assumed to be in every call, since nothing shows whether
    it differs. A callee that it calls less often than it is called itself is not counted, nor is recursion."""
    caller, callee, times, cost = edges
    by_caller = np.argsort(caller, kind="stable")
    bounds = np.searchsorted(caller[by_caller], np.arange(len(own) + 1))
    same = np.zeros(len(own))
    for function in order.tolist():
        if cyclic[function] or total[function] <= 0:
            continue
        at = by_caller[bounds[function] : bounds[function + 1]]
        each = times[at] >= _EACH * calls[function]
        done = own[function] + float((cost[at] * same[callee[at]])[each].sum())
        same[function] = min(1.0, done / total[function])
    return same


def _dominators(count: int, caller: Whole, callee: Whole) -> Whole:
    """Cooper, Harvey and Kennedy (2001): the nearest dominator of each function, ROOT if there is none. Functions
    without callers, and those reached only from a cycle without entry, count as called by the root."""
    children: list[list[int]] = [[] for _ in range(count)]
    parents: list[list[int]] = [[] for _ in range(count)]
    for above, below in zip(caller.tolist(), callee.tolist(), strict=True):
        children[above].append(below)
        parents[below].append(above)
    entries = [function for function in range(count) if not parents[function]]
    order = _postorder(count, children, entries)
    number = {function: position for position, function in enumerate(order)}
    root = len(order)
    found: dict[int, int] = {}
    starts = set(entries) | {
        function for function in order if function in number and _starts(function, number, parents)
    }

    def common(one: int, other: int) -> int:
        while one != other:
            if one < other:
                one = found[one]
            else:
                other = found[other]
        return one

    found[root] = root
    changed = True
    while changed:
        changed = False
        for position in range(len(order) - 1, -1, -1):
            function = order[position]
            above = [root] if function in starts else []
            above += [number[parent] for parent in parents[function] if number[parent] in found]
            if not above:
                continue
            new = above[0]
            for other in above[1:]:
                new = common(new, other)
            if found.get(position) != new:
                found[position] = new
                changed = True
    dominator = np.full(count, ROOT, dtype=np.int64)
    for position, function in enumerate(order):
        above_it = found.get(position, root)
        dominator[function] = ROOT if above_it == root else order[above_it]
    return dominator


def _starts(function: int, number: dict[int, int], parents: list[list[int]]) -> bool:
    """Whether no function that comes before it in the walk calls it: a cycle without entry starts there."""
    return all(number[parent] <= number[function] for parent in parents[function])


def _postorder(count: int, children: list[list[int]], entries: list[int]) -> list[int]:
    seen = [False] * count
    order: list[int] = []
    for start in (*entries, *range(count)):
        if seen[start]:
            continue
        seen[start] = True
        path = [(start, iter(children[start]))]
        while path:
            function, rest = path[-1]
            below = next((one for one in rest if not seen[one]), None)
            if below is None:
                order.append(function)
                path.pop()
            else:
                seen[below] = True
                path.append((below, iter(children[below])))
    return order


def _depths(order: Whole, role: NDArray[np.object_], caller: Whole, callee: Whole) -> Whole:
    """Computed from the callers down; the deepest path counts. A cycle is as deep as its callers outside make it."""
    by_callee = np.argsort(callee, kind="stable")
    bounds = np.searchsorted(callee[by_callee], np.arange(len(role) + 1))
    depth = np.zeros(len(role), dtype=np.int64)
    for function in order.tolist():
        if role[function] == LIBRARY:
            above = caller[by_callee[bounds[function] : bounds[function + 1]]]
            depth[function] = 1 + int(depth[above].max(initial=0))
    return depth

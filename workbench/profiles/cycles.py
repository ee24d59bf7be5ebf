"""Cycles of a call graph: the functions that call each other, directly or through others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.distinct import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 32


def components(count: int, caller: NDArray[np.int64], callee: NDArray[np.int64]) -> NDArray[np.int64]:
    """The strongly connected component of each of ``count`` functions, numbered so that a component is called only by
    those with a higher number. Most functions of a large graph are in no cycle: functions that call only numbered ones
    are numbered first, all at once, a few times.
    """
    component = np.full(count, -1, dtype=np.int64)
    apart = caller != callee
    caller, callee = caller[apart], callee[apart]
    made = 0
    for _ in range(_ROUNDS):
        calls = np.zeros(count, dtype=bool)
        calls[caller] = True
        ends = np.flatnonzero(~calls & (component < 0))
        component[ends] = np.arange(made, made + len(ends))
        made += len(ends)
        open_ = component[callee] < 0
        caller, callee = caller[open_], callee[open_]
        if len(ends) * _ROUNDS < count - made:
            break
    rest = np.flatnonzero(component < 0)
    number = np.full(count, -1, dtype=np.int64)
    number[rest] = np.arange(len(rest))
    component[rest] = made + _tarjan(len(rest), number[caller], number[callee])
    return component


def _tarjan(count: int, caller: NDArray[np.int64], callee: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same, one function after another (Tarjan 1972, without recursion)."""
    order = np.argsort(caller, kind="stable")
    targets: list[int] = callee[order].tolist()
    bounds: list[int] = np.searchsorted(caller[order], np.arange(count + 1)).tolist()
    found, low = [-1] * count, [0] * count
    component = [-1] * count
    waiting: list[int] = []
    position = bounds[:-1]
    made = seen = 0
    for root in range(count):
        if found[root] >= 0:
            continue
        path = [root]
        found[root] = low[root] = seen
        seen += 1
        waiting.append(root)
        while path:
            here = path[-1]
            at = position[here]
            if at < bounds[here + 1]:
                position[here] = at + 1
                target = targets[at]
                if found[target] < 0:
                    found[target] = low[target] = seen
                    seen += 1
                    waiting.append(target)
                    path.append(target)
                elif component[target] < 0 and found[target] < low[here]:
                    low[here] = found[target]
                continue
            path.pop()
            if path and low[here] < low[path[-1]]:
                low[path[-1]] = low[here]
            if low[here] == found[here]:
                while True:
                    member = waiting.pop()
                    component[member] = made
                    if member == here:
                        break
                made += 1
    return np.asarray(component, dtype=np.int64)


def cycle_numbers(component: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cycle of each function, from its ``component``, numbered from 0 in the order of first functions; -1: none."""
    cyclic = np.flatnonzero(np.bincount(component)[component] > 1)
    cycle = np.full(len(component), -1, dtype=np.int64)
    cycle[cyclic], _ = numbered(component[cyclic])
    return cycle

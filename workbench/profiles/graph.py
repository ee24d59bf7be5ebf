"""Call graphs: total costs of functions, with cycles counted once.

A graph has the cost of each pair of caller and callee, not whole stacks. Mutually recursive functions are one **cycle**
(a strongly connected component): the costs of calls inside a cycle repeat at every level of the recursion, so they are
never summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import cost_, total_
from workbench.profiles.cycles import components, cycle_numbers
from workbench.profiles.tree import add_at, columns_of, costs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.table import Table


def with_totals(functions: Table, edges: Table, names: Sequence[str]) -> Table:
    """``functions`` with ``cycle``, and, if missing, ``total_exact`` and the ``total_`` of each of ``names``.

    The total of a function is its self cost and that of its calls, without calls to itself; if a file is cut off or a
    function was only partly recorded, at least the cost of calls to it. Functions of a cycle share the cycle's total:
    their self costs and what they call outside. ``cycle`` numbers the cycles from 0 in the order of their first
    function, -1: in none.
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
    own, costs = costs_of(functions, names), costs[outside]
    totals = add_at(count, component, own) + add_at(count, component[caller[outside]], costs)
    # negative costs, as in differences, do not bound a total
    bounds = (own >= 0).all(axis=0) & (costs >= 0).all(axis=0)
    claimed = add_at(count, component[callee[outside]], costs)
    totals = np.where(bounds, np.maximum(totals, claimed), totals)
    added |= {total_(name): totals[component, position] for position, name in enumerate(names)}
    return functions.assign(**added)


def arcs(edges: Table, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """The edges as arrays: caller, callee and costs, with a column per metric."""
    caller, callee = (np.asarray(edges[end], dtype=np.int64) for end in ("caller_id", "callee_id"))
    return caller, callee, columns_of(edges, [cost_(name) for name in names])

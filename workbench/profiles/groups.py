"""Groups functions by function, name, file, crate or object, with the cost of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.profiles.columns import FUNCTION_COLUMNS, self_, total_
from workbench.profiles.distinct import ascending, numbered_rows
from workbench.profiles.frames import frame_table
from workbench.profiles.graph import arcs
from workbench.profiles.names import crates_of
from workbench.profiles.table import Counts, Table, text
from workbench.profiles.transforms.group_totals import group_totals
from workbench.profiles.tree import add_at, costs_of, group_sums, subtree_sums, totals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

By = Literal["function", "name", "file", "crate", "object"]
UNKNOWN = "(unknown)"


def grouped_frames(frames: Table, by: By) -> tuple[NDArray[np.int64], Table]:
    """The group of each frame (or function), and the table of frames that represent the groups."""
    columns = ["raw_function", "file", "object"] if by == "function" else ["function" if by == "name" else by]
    codes, _ = numbered_rows([frames[column] for column in columns])
    _, first = np.unique(codes, return_index=True)
    table = frames.take(first)
    if by == "function":
        return codes, table.assign(line=np.zeros(len(first), np.int64), inlined=np.zeros(len(first), bool))
    names = [name or UNKNOWN for name in table[columns[0]].tolist()]
    made = frame_table(
        names,
        file=names if by == "file" else None,
        object=names if by == "object" else None,
    )
    return codes, made.assign(crate=text(names if by == "crate" else crates_of(names, [""] * len(names))))


def groups_of_stacks(nodes: Table, frames: Table, names: Sequence[str], by: By) -> Table:
    """:attr:`Profile.functions` of a profile of stacks with one frame per group. Groups without cost are left out."""
    codes, table = grouped_frames(frames, by)
    group = codes[nodes["frame_id"]]
    own, totals = group_sums(nodes, group, len(table), names)
    costs = np.abs(costs_of(nodes, names))
    used = ascending(group[(subtree_sums(nodes["parent_id"], costs) != 0).any(axis=1)])
    return _functions(table, own, totals, np.ones(len(table), bool), Counts.unknown(len(table)), names).take(used)


def groups_of_graph(functions: Table, edges: Table, names: Sequence[str], by: By) -> tuple[NDArray[np.int64], Table]:
    """The group of each function of a call graph, and the groups in the form of :attr:`Profile.functions`.
    ``total_exact`` is False for a total that the graph does not determine: see
    :mod:`workbench.profiles.transforms.group_totals`."""
    codes, table = grouped_frames(functions, by)
    return codes, regrouped(functions, edges, names, codes, table)


def regrouped(functions: Table, edges: Table, names: Sequence[str], codes: NDArray[np.int64], table: Table) -> Table:
    """The functions of a call graph as the groups ``codes``, whose names are in ``table``."""
    own = costs_of(functions, names)
    caller, callee, costs = arcs(edges, names)
    totals, exact = group_totals(
        codes,
        own,
        caller,
        callee,
        costs,
        known=totals_of(functions, names),
        known_exact=functions["total_exact"].astype(bool),
    )
    calls = summed_counts(codes, len(table), functions.column("calls"))
    return _functions(table, add_at(len(table), codes, own), totals, exact, calls, names)


def summed_counts(group: NDArray[np.int64], size: int, counts: Any) -> Counts:
    """Numbers of calls summed by group; unknown if all of a group are unknown."""
    values = counts if isinstance(counts, Counts) else Counts(np.asarray(counts), np.ones(len(group), bool))
    sums = add_at(size, np.where(values.known, group, -1), np.asarray(values.values, dtype=np.int64)[:, None])
    return Counts(sums[:, 0], np.bincount(group, weights=values.known, minlength=size) > 0)


def _functions(
    table: Table, own: NDArray[Any], totals: NDArray[Any], exact: NDArray[np.bool_], calls: Counts, names: Sequence[str]
) -> Table:
    costs: dict[str, Any] = {"calls": calls, "total_exact": exact}
    for position, name in enumerate(names):
        costs[self_(name)] = own[:, position]
        costs[total_(name)] = totals[:, position]
    return table.select(FUNCTION_COLUMNS).assign(**costs)

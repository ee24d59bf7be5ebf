"""The table of the most expensive functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles import groups
from workbench.profiles.columns import self_, total_
from workbench.profiles.labels import labels_of
from workbench.profiles.share import percent, whole_of
from workbench.profiles.table import Counts, Table, text
from workbench.profiles.views.line_costs import line_table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

By = Literal["function", "name", "file", "crate", "object", "line"]
Sort = Literal["self", "total"]


def top(
    profile: Profile, metric: str | None = None, n: int | None = None, *, by: By = "function", sort: Sort = "self"
) -> pd.DataFrame:
    """The most expensive functions, names, files, crates, objects or source lines, by self or total cost, the largest
    first; negative costs, as in differences, count by size.

    Columns: name, file, line (only by line), object, crate, self, self_pct, cumulative_pct (of self, down to this row),
    total, total_pct, total_exact, calls (<NA> where unknown), cost_per_call (total / calls), label (a unique name:
    :mod:`workbench.profiles.labels`). Percentages are of the profile's sum of self costs; NaN without a whole
    (:mod:`workbench.profiles.share`). Recursion counts once in a total; ``total_exact`` is False if the call graph does
    not determine the total of a function in a cycle, or of a group that is entered again. ``n`` limits the rows, not
    the percentages.

    Raises WorkbenchError if the metric is missing, or the format has no reliable lines.
    """
    table = top_table(profile, metric, n, by=by, sort=sort).frame()
    return table.assign(cost_per_call=table["cost_per_call"].astype("Float64"))


def top_table(
    profile: Profile, metric: str | None = None, n: int | None = None, *, by: By = "function", sort: Sort = "self"
) -> Table:
    """The same as arrays, without pandas; ``cost_per_call`` is NaN where unknown."""
    name = profile.metric(metric).name
    if sort not in get_args(Sort):
        raise WorkbenchError(f"cannot sort by {sort!r}", hint="Sort by self or total")
    table = _rows(profile, name, by)
    own, total = table[self_(name)], table[total_(name)]
    keys = (-np.abs(own.astype(float)), -np.abs(total.astype(float)))
    order = np.lexsort(keys[::-1] if sort == "self" else keys)[: None if n is None else max(n, 0)]
    whole = whole_of(profile, name)
    self_pct = percent(own[order], whole)
    calls = table.column("calls")
    if not isinstance(calls, Counts):
        calls = Counts(np.asarray(calls), np.ones(len(table), dtype=bool))
    counted = calls.take(order)
    total = total[order]
    counted_calls = np.where(counted.known & (counted.values > 0), counted.values, np.nan)
    columns: dict[str, Any] = {
        "name": table["function"][order],
        "file": table["file"][order],
        **({"line": table["line"][order]} if by == "line" else {}),
        "object": table["object"][order],
        "crate": table["crate"][order],
        "self": own[order],
        "self_pct": self_pct,
        "cumulative_pct": np.cumsum(self_pct),
        "total": total,
        "total_pct": percent(total, whole),
        "total_exact": table["total_exact"][order].astype(bool),
        "calls": counted,
        "cost_per_call": total / counted_calls,
        "label": _labels(table, order),
    }
    return Table(columns)


def _labels(table: Table, order: NDArray[np.int64]) -> NDArray[Any]:
    """The labels of the rows at ``order``, unique among all rows, shown or not."""
    if len(order) == len(table):
        return text(labels_of(table))[order]
    shown = set(table["function"][order].tolist())
    alike = np.flatnonzero(np.fromiter((name in shown for name in table["function"]), bool, len(table)))
    return text(labels_of(table.take(alike)))[np.searchsorted(alike, order)]


def _rows(profile: Profile, name: str, by: By) -> Table:
    """The rows in the profile's order, with the columns of ``functions``."""
    arrays = profile.arrays
    if by == "function":
        return arrays.functions
    if by == "line":
        lines = line_table(profile)
        of = arrays.functions.select(["function", "raw_function", "object", "crate"]).take(
            lines["function_id"].astype(np.int64)
        )
        return lines.assign(
            **dict(of.items()), total_exact=np.ones(len(lines), dtype=bool), calls=Counts.unknown(len(lines))
        )
    if by not in get_args(By):
        raise WorkbenchError(f"cannot group by {by!r}", hint=f"Group by {', '.join(get_args(By))}")
    if profile.basis == "graph":
        return groups.groups_of_graph(arrays.functions, arrays.edges, [name], by)[1]
    return groups.groups_of_stacks(arrays.nodes, arrays.frames, [name], by)

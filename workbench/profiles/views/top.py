"""The table of the most expensive functions."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from workbench.errors import WorkbenchError
from workbench.hints import TYPE_CHECKING
from workbench.profiles.columns import self_, total_
from workbench.profiles.labels import labels
from workbench.profiles.share import whole_of
from workbench.profiles.table import Counts, Listed, Table

if TYPE_CHECKING:
    from typing import Any, Literal

    import pandas as pd

    from workbench.profiles.model import Profile

    By = Literal["function", "name", "file", "crate", "object", "line"]  # GROUPS
    Sort = Literal["self", "total"]  # ORDERS

GROUPS = ("function", "name", "file", "crate", "object", "line")
ORDERS = ("self", "total")
_NAMED = ("function", "file", "object", "crate", "raw_function")
_NEEDED = ("function", "file", "line", "object", "crate", "total_exact", "calls")
_UNKNOWN = float("nan")


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
    if sort not in ORDERS:
        raise WorkbenchError(f"cannot sort by {sort!r}", hint="Sort by self or total")
    table = _rows(profile, name, by)
    order = _order(table, name, sort)[: None if n is None else max(n, 0)]
    shown = table.select([column for column in _NEEDED if column in table] + [self_(name), total_(name)]).pick(order)
    whole = whole_of(profile, name)
    total = shown.values(total_(name))
    self_pct = _percent(shown.values(self_(name)), whole)
    pairs = zip(total, shown.values("calls"), strict=True)
    per_call = [cost / calls if calls and calls > 0 and cost is not None else _UNKNOWN for cost, calls in pairs]
    columns: dict[str, Any] = {
        "name": shown.kept("function"),
        "file": shown.kept("file"),
        **({"line": shown.kept("line")} if by == "line" else {}),
        "object": shown.kept("object"),
        "crate": shown.kept("crate"),
        "self": shown.kept(self_(name)),
        "self_pct": Listed(self_pct, "float64"),
        "cumulative_pct": Listed(list(accumulate(self_pct)), "float64"),
        "total": shown.kept(total_(name)),
        "total_pct": Listed(_percent(total, whole), "float64"),
        "total_exact": Listed([bool(value) for value in shown.values("total_exact")], "bool"),
        "calls": _counts(shown.kept("calls")),
        "cost_per_call": Listed(per_call, "float64"),
        "label": Listed(_labels(table, order, shown.values("function")), "object"),
    }
    return Table(columns)


def _order(table: Table, name: str, sort: Sort) -> list[int]:
    """The rows by size, the largest first; of equal ones that which comes first."""
    columns = [table.kept(column(name)) for column in ((self_, total_) if sort == "self" else (total_, self_))]
    if all(isinstance(column, Listed) for column in columns):
        first, then = ([-abs(float(value)) for value in column.values] for column in columns)
        return sorted(range(len(table)), key=lambda row: (first[row], then[row]))
    keys = [-np.abs(table[column(name)].astype(float)) for column in (self_, total_)]
    order: list[int] = np.lexsort(keys[::-1] if sort == "self" else keys).tolist()
    return order


def _percent(values: list[Any], whole: float) -> list[float]:
    """As :func:`workbench.profiles.share.percent`, of values as Python has them."""
    whole = whole if whole > 0 else _UNKNOWN
    return [(_UNKNOWN if value is None else value) / whole * 100.0 for value in values]


def _counts(calls: Any) -> Any:
    """Numbers of calls, as some tables have them that know all."""
    if isinstance(calls, (Counts, Listed)):
        return calls
    return Counts(np.asarray(calls), np.ones(len(calls), dtype=bool))


def _labels(table: Table, order: list[int], names: list[str]) -> list[str]:
    """The labels of the rows at ``order``: they are told apart from all rows of their names, shown or not."""
    shown = set(names)
    alike = [row for row, name in enumerate(table.values("function")) if name in shown]
    few = table.select(_NAMED).pick(alike)
    label = dict(zip(alike, labels(*(few.values(column) for column in _NAMED)), strict=True))
    return [label[row] for row in order]


def _rows(profile: Profile, name: str, by: By) -> Table:
    """The rows in the profile's order, with the columns of ``functions``."""
    arrays = profile.arrays
    if by == "function":
        return arrays.functions
    if by == "line":
        from workbench.profiles.views.line_costs import line_table

        lines = line_table(profile)
        of = arrays.functions.select(["function", "raw_function", "object", "crate"]).take(
            lines["function_id"].astype(np.int64)
        )
        return lines.assign(
            **dict(of.items()), total_exact=np.ones(len(lines), dtype=bool), calls=Counts.unknown(len(lines))
        )
    if by not in GROUPS:
        raise WorkbenchError(f"cannot group by {by!r}", hint=f"Group by {', '.join(GROUPS)}")
    from workbench.profiles import groups

    if profile.basis == "graph":
        return groups.groups_of_graph(arrays.functions, arrays.edges, [name], by)[1]
    return groups.groups_of_stacks(arrays.nodes, arrays.frames, [name], by)

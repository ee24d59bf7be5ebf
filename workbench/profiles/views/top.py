"""The table everybody asks for first: what costs most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_, total_
from workbench.profiles.labels import labels_of
from workbench.profiles.model import only
from workbench.profiles.share import percent, whole_of
from workbench.profiles.transforms.group import group
from workbench.profiles.views.lines import line_costs

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

By = Literal["function", "name", "file", "crate", "object", "line"]
Sort = Literal["self", "total"]


def top(
    profile: Profile, metric: str | None = None, n: int | None = None, *, by: By = "function", sort: Sort = "self"
) -> pd.DataFrame:
    """The most expensive functions, names, files, crates, objects or source lines, by self or total cost, the largest
    first; costs below 0, as differences have them, count by their size.

    Columns: name, file, line (only by line), object, crate, self, self_pct, cumulative_pct (of self, down to this row),
    total, total_pct, total_exact, calls (<NA> where unknown), cost_per_call (total / calls), label (the name, with what
    tells it apart from others of that name: :mod:`workbench.profiles.labels`). Percentages are of the profile's sum of
    self costs; NaN where there is no whole (:mod:`workbench.profiles.share`). Recursion counts once in a total;
    ``total_exact`` is False where a call graph does not say how much of a total a function of a cycle, or a group that
    is entered again, has of its own. ``n`` limits the rows, not the percentages.

    Raises WorkbenchError where the metric is not there, or the format has no lines that can be trusted.
    """
    name = profile.metric(metric).name
    if sort not in ("self", "total"):
        raise WorkbenchError(f"cannot sort by {sort!r}", hint="Sort by self or total")
    if by == "line":
        table = line_costs(profile).merge(
            profile.functions[["function", "raw_function", "object", "crate"]].assign(total_exact=True),
            left_on="function_id",
            right_index=True,
        )
        table["calls"] = pd.array([pd.NA] * len(table), dtype="Int64")
    elif by == "function":
        table = profile.functions
    else:
        table = group(only(profile, name), by).functions
    own, total = table[self_(name)].to_numpy(), table[total_(name)].to_numpy()
    whole = whole_of(profile, name)
    result = pd.DataFrame(
        {
            "name": table["function"].array,
            "file": table["file"].array,
            "object": table["object"].array,
            "crate": table["crate"].array,
            "self": own,
            "self_pct": percent(own, whole),
            "total": total,
            "total_pct": percent(total, whole),
            "total_exact": table["total_exact"].to_numpy(dtype=bool),
            "calls": table["calls"].array,
            "label": labels_of(table),
        }
    )
    if by == "line":
        result.insert(2, "line", table["line"].to_numpy())
    keys = (-np.abs(own.astype(float)), -np.abs(total.astype(float)))
    result = result.iloc[np.lexsort(keys[::-1] if sort == "self" else keys)].reset_index(drop=True)
    result.insert(result.columns.get_loc("self_pct") + 1, "cumulative_pct", result["self_pct"].cumsum())
    calls = result["calls"].astype("Float64")
    result.insert(len(result.columns) - 1, "cost_per_call", result["total"] / calls.where(calls > 0))
    return result if n is None else result.head(n)

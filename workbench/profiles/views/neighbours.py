"""Callers and callees of a function, and the hottest path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import cost_, self_, total_
from workbench.profiles.graph import arcs
from workbench.profiles.labels import labels_of
from workbench.profiles.share import percent, whole_of
from workbench.profiles.transforms.group_totals import group_totals
from workbench.profiles.transforms.patterns import compiled
from workbench.profiles.tree import costs_of, outermost, sizes_of, totals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile


def find_functions(profile: Profile, function: str) -> NDArray[np.int64]:
    """Ids of the functions with this name, raw or tidied; otherwise of those whose names match the regular expression.
    Raises WorkbenchError if there are none.
    """
    names = profile.functions
    same = (names["function"] == function) | (names["raw_function"] == function)
    if not same.any():
        search = compiled(function).search
        same = names["raw_function"].map(lambda name: search(name) is not None).astype(bool)
        same |= names["function"].map(lambda name: search(name) is not None).astype(bool)
    if not same.any():
        raise WorkbenchError(f"no function matches {function!r}", where=profile.name)
    return np.flatnonzero(same.to_numpy())


def hottest(profile: Profile) -> str:
    """The raw name of the function with the largest absolute self cost; "" if there is none."""
    costs = profile.functions[self_(profile.default_metric)].abs()
    return str(profile.functions["raw_function"].iloc[int(costs.argmax())]) if len(costs) else ""


def callers(profile: Profile, function: str, metric: str | None = None) -> pd.DataFrame:
    """The callers of a function and its cost for each, largest size first: name, file, object, calls, cost, cost_pct
    (of the sum over callers), label. Recursive calls have a separate row, whose cost is included in the others."""
    return _neighbours(profile, function, metric, here="callee_id", there="caller_id")


def callees(profile: Profile, function: str, metric: str | None = None) -> pd.DataFrame:
    """The callees of a function and their cost: name, file, object, calls, cost, cost_pct (of the function's total;
    several matching functions count as one, in which a stack counts once).

    The first row ``(self)`` is its self cost.
    """
    table = _neighbours(profile, function, metric, here="caller_id", there="callee_id")
    name = profile.metric(metric).name
    found = profile.functions.iloc[find_functions(profile, function)]
    own = pd.DataFrame(
        {
            "name": pd.Series(["(self)"], dtype="str"),
            "file": pd.Series([""], dtype="str"),
            "object": pd.Series([""], dtype="str"),
            "calls": pd.array([pd.NA], dtype="Int64"),
            "cost": [found[self_(name)].sum()],
            "label": pd.Series(["(self)"], dtype="str"),
        }
    )
    both = pd.concat([own, table.drop(columns="cost_pct")], ignore_index=True)
    whole = _total(profile, find_functions(profile, function), name)
    shares = percent(both["cost"], whole if (both["cost"] >= 0).all() else np.nan)
    both.insert(len(both.columns) - 1, "cost_pct", shares)
    return both


def hot_path(profile: Profile, metric: str | None = None) -> pd.DataFrame:
    """From the largest root down, always to the largest child: depth, name, file, crate, total, total_pct, self,
    self_pct, exact, label. It ends where no child costs more than the node's self cost. With negative costs, as in a
    difference, the largest is the one with the most change in either direction.

    On a call graph the tree is built from the calls; ``exact`` is False for an assumed share.
    """
    name = profile.metric(metric).name
    nodes = profile.nodes
    parent = nodes["parent_id"].to_numpy()
    total, own = nodes[total_(name)].to_numpy(), nodes[self_(name)].to_numpy()
    size = sizes_of(nodes, name)
    children = np.argsort(parent, kind="stable")
    low, high = (np.searchsorted(parent[children], np.arange(-1, len(parent)), side=side) for side in ("left", "right"))
    path: list[int] = []
    here = -1
    while high[here + 1] > low[here + 1]:
        below = children[low[here + 1] : high[here + 1]]
        heaviest = int(below[np.argmax(size[below])])
        if size[heaviest] <= 0 or (here >= 0 and abs(own[here]) > size[heaviest]):
            break
        path.append(heaviest)
        here = heaviest
    frames = profile.frames.iloc[nodes["frame_id"].to_numpy()[path]]
    # a function that is on the path twice has one name
    functions = frames.drop_duplicates("function_id")
    names = dict(zip(functions["function_id"], labels_of(functions), strict=True))
    named = [names[function] for function in frames["function_id"]]
    whole = whole_of(profile, name)
    return pd.DataFrame(
        {
            "depth": nodes["depth"].to_numpy()[path],
            "name": frames["function"].array,
            "file": frames["file"].array,
            "crate": frames["crate"].array,
            "total": total[path],
            "total_pct": percent(total[path], whole),
            "self": own[path],
            "self_pct": percent(own[path], whole),
            "exact": nodes["exact"].to_numpy()[path],
            "label": pd.Series(named, dtype="str"),
        }
    )


def _neighbours(profile: Profile, function: str, metric: str | None, *, here: str, there: str) -> pd.DataFrame:
    name = profile.metric(metric).name
    found = find_functions(profile, function)
    edges = _edges(profile, found)
    rows = edges[edges[here].isin(found)]
    rows = rows.groupby(there, as_index=False)[["calls", cost_(name)]].sum(min_count=1)
    rows = rows.sort_values(cost_(name), key=np.abs, ascending=False, kind="stable")
    functions = profile.functions.iloc[rows[there].to_numpy()]
    recursive = np.isin(rows[there].to_numpy(), found)
    costs = rows[cost_(name)].to_numpy()
    outer = float(costs[~recursive].sum()) if (costs >= 0).all() else np.nan
    return pd.DataFrame(
        {
            "name": functions["function"].array,
            "file": functions["file"].array,
            "object": functions["object"].array,
            "calls": rows["calls"].array,
            "cost": costs,
            "cost_pct": percent(costs, outer),
            "label": pd.Series(labels_of(functions), dtype="str"),
        }
    )


def _edges(profile: Profile, found: NDArray[np.int64]) -> pd.DataFrame:
    """The edges, with the found functions joined into the first; in a call graph each stays separate."""
    if profile.basis == "graph" or len(found) < 2:
        return profile.edges
    function = profile.frames["function_id"]
    one = profile.frames.assign(function_id=function.where(~function.isin(found), found[0]))
    return profile.but(frames=one).edges


def _total(profile: Profile, found: NDArray[np.int64], name: str) -> float:
    """The joint total cost of the found functions."""
    functions = profile.functions
    if len(found) < 2:
        return float(functions[total_(name)].to_numpy()[found].sum())
    if profile.basis == "stacks":
        nodes = profile.nodes
        function = profile.frames["function_id"].to_numpy()[nodes["frame_id"].to_numpy()]
        here = np.isin(function, found)
        outer = outermost(nodes["parent_id"].to_numpy(), np.where(here, found[0], function))
        return float(nodes[total_(name)].to_numpy()[here & outer].sum())
    together = np.arange(len(functions))
    together[found] = found[0]
    _, together = np.unique(together, return_inverse=True)
    caller, callee, costs = arcs(profile.arrays.edges, [name])
    totals, _ = group_totals(
        together.reshape(-1),
        costs_of(functions, [name]),
        caller,
        callee,
        costs,
        known=totals_of(functions, [name]),
        known_exact=functions["total_exact"].to_numpy(dtype=bool),
    )
    return float(totals[together[found[0]], 0])

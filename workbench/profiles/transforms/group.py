"""Groups functions of a file, crate or object, and makes Rust names readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.builds import without_recursion
from workbench.profiles.columns import cost_
from workbench.profiles.frames import identify
from workbench.profiles.groups import By, grouped_frames, groups_of_graph, regrouped
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.names import base_name, symbol_label, tidy_file, tidy_rust
from workbench.profiles.notes import Note
from workbench.profiles.table import text
from workbench.profiles.transforms.shape import collapse_recursion
from workbench.profiles.transforms.stacks import restack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.table import Table


def group(profile: Profile, by: By) -> Profile:
    """The profile with one frame for each function, name (over files and objects), file, crate or object.

    Frames that call frames of their own group are joined with them. In a call graph, calls within a group are dropped,
    and a total counts each cost once even if the group is left and entered again: see
    :mod:`workbench.profiles.transforms.group_totals`. If the graph does not determine it, ``total_exact`` is False and
    a note says so.
    """
    if by not in get_args(By):
        raise WorkbenchError(f"cannot group by {by!r}", hint=f"Group by {', '.join(get_args(By))}")
    if profile.basis == "graph":
        return _graph(profile, by)
    codes, table = grouped_frames(profile.arrays.frames, by)
    frame = codes[profile.arrays.nodes["frame_id"]]
    changed = restack(profile, frame=frame, frames=table.frame(), what=f"group={by}")
    return changed if by == "function" else collapse_recursion(changed)


def tidy(profile: Profile) -> Profile:
    """The profile with readable Rust names and file paths; the raw names stay in ``raw_function``.

    Functions with equal new names stay separate; :func:`group` by "name" joins them.
    """
    changes: dict[str, Any] = {"frames": _tidied(profile.frames)}
    if profile._functions is not None:
        changes["_functions"] = _tidied(profile._functions.frame())
    if "file" in profile.lines and len(profile.lines):
        changes["lines"] = profile.lines.assign(file=_map(profile.lines["file"], tidy_file))
    return profile.but(**changes)


def without_levels(profile: Profile) -> Profile:
    """A callgrind profile without levels of recursion (``--separate-recs``, by default 2): ``fib'2`` is ``fib``.

    A window that begins inside a recursion has other levels at the same cost. Lines and the format's tables are kept;
    other formats are unchanged.
    """
    if profile.format != "callgrind":
        return profile
    frames = profile.arrays.frames
    raw = frames["raw_function"].tolist()
    bare = [without_recursion(name) for name in raw]
    if bare == raw:
        return profile
    shown = [without_recursion(name) for name in frames["function"].tolist()]
    frames = frames.assign(raw_function=text(bare), function=text(shown))
    codes = identify(frames)
    if profile.basis == "stacks":
        return profile.but(frames=frames.assign(function_id=codes))
    _, first = np.unique(codes, return_index=True)
    arrays = profile.arrays
    functions = regrouped(arrays.functions, arrays.edges, profile.metric_names, codes, frames.take(first))
    return _with_groups(profile, codes, functions)


def legible(profile: Profile) -> Profile:
    """The profile with names for unnamed code: code without a symbol is named by its place in its object, and code
    without a crate or module gets its object as crate. ``raw_function`` is unchanged.
    """
    changes: dict[str, Any] = {"frames": _named(profile.frames)}
    if profile._functions is not None:
        changes["_functions"] = _named(profile._functions.frame())
    return profile.but(**changes)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    labels = [symbol_label(name, object) for name, object in zip(table["function"], table["object"], strict=True)]
    objects = table["object"].map(base_name)
    return table.assign(
        function=pd.Series(labels, index=table.index, dtype="str"),
        crate=table["crate"].where(table["crate"] != "", objects).astype("str"),
    )


def _graph(profile: Profile, by: By) -> Profile:
    if by == "function":
        return profile
    codes, functions = groups_of_graph(profile.arrays.functions, profile.arrays.edges, profile.metric_names, by)
    made = _with_groups(profile, codes, functions)
    exact = functions["total_exact"]
    if exact.all():
        return made
    what = "total of a group that is left and entered again: the part counted twice is assumed"
    return made.with_notes(Note(what, int((~exact).sum())))


def _with_groups(profile: Profile, codes: NDArray[np.int64], functions: Table) -> Profile:
    """A call graph of the groups ``codes`` of its functions."""
    names = profile.metric_names
    edges = profile.edges.assign(
        caller_id=codes[profile.edges["caller_id"].to_numpy()], callee_id=codes[profile.edges["callee_id"].to_numpy()]
    )
    between = edges[edges["caller_id"] != edges["callee_id"]]
    merged = between.groupby(["caller_id", "callee_id"], sort=False, as_index=False)[
        ["calls", *(cost_(name) for name in names)]
    ].sum(min_count=1)
    return from_graph(
        profile.format,
        profile.name,
        metrics=profile.metrics,
        functions=functions,
        edges=merged,
        default_metric=profile.default_metric,
        meta=profile.meta,
        notes=profile.notes,
    )


def _tidied(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(function=_map(table["function"], tidy_rust), file=_map(table["file"], tidy_file))


def _map(column: pd.Series[str], change: Any) -> pd.Series[str]:
    """``change`` of each distinct value, once."""
    codes, values = column.factorize()
    return pd.Series(np.asarray([change(value) for value in values], dtype=object)[codes], dtype="str")

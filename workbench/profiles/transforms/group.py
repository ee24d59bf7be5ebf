"""Coarser frames: all functions of a file, a crate or an object as one; and Rust's names made readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import cost_, self_, total_
from workbench.profiles.graph import arcs
from workbench.profiles.model import Profile, frame_table, from_graph
from workbench.profiles.names import base_name, crates_of, symbol_label, tidy_file, tidy_rust
from workbench.profiles.notes import Note
from workbench.profiles.table import text
from workbench.profiles.transforms.group_totals import group_totals
from workbench.profiles.transforms.overlay import numbered
from workbench.profiles.transforms.shape import collapse_recursion
from workbench.profiles.transforms.stacks import restack
from workbench.profiles.tree import add_at, costs_of, totals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

By = Literal["function", "name", "file", "crate", "object"]
UNKNOWN = "(unknown)"


def group(profile: Profile, by: By) -> Profile:
    """The profile with one frame for each function, name (over files and objects), file, crate or object.

    A frame that calls another of its own group is one frame with it. Of a call graph the calls within a group go, and
    each total counts a cost once however often the group is left and entered again: see
    :mod:`workbench.profiles.transforms.group_totals`. Where the graph does not determine it, ``total_exact`` is False
    and a note says so.
    """
    if by not in get_args(By):
        raise WorkbenchError(f"cannot group by {by!r}", hint=f"Group by {', '.join(get_args(By))}")
    if profile.basis == "graph":
        return _graph(profile, by)
    codes, table = grouped_frames(profile.frames, by)
    frame = codes[profile.nodes["frame_id"].to_numpy()]
    changed = restack(profile, frame=frame, frames=table, what=f"group={by}")
    return changed if by == "function" else collapse_recursion(changed)


def tidy(profile: Profile) -> Profile:
    """The profile with readable Rust names and file paths; the raw names stay in ``raw_function``.

    Functions that now have one name stay apart; :func:`group` by "name" puts them together.
    """
    changes: dict[str, Any] = {"frames": _tidied(profile.frames)}
    if profile._functions is not None:
        changes["_functions"] = _tidied(profile._functions.frame())
    if "file" in profile.lines and len(profile.lines):
        changes["lines"] = profile.lines.assign(file=_map(profile.lines["file"], tidy_file))
    return profile.but(**changes)


def legible(profile: Profile) -> Profile:
    """The profile with names for what has none: code without a symbol is called by its place in its object, and code of
    no known crate or module is of its object. ``raw_function`` stays.
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


def grouped_frames(frames: pd.DataFrame, by: By) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The group of each frame (or function), and the table of frames that stand for the groups."""
    columns = ["raw_function", "file", "object"] if by == "function" else ["function" if by == "name" else by]
    codes = numbered(frames, columns)
    _, first = np.unique(codes, return_index=True)
    table = frames.iloc[first].reset_index(drop=True)
    if by == "function":
        made = table.assign(line=np.int64(0), inlined=False)
        return codes, made
    names = table[columns[0]].where(table[columns[0]] != "", UNKNOWN).tolist()
    made = frame_table(
        names,
        file=names if by == "file" else None,
        object=names if by == "object" else None,
    )
    crates = names if by == "crate" else crates_of(names, [""] * len(names))
    return codes, made.assign(crate=text(crates)).frame()


def _graph(profile: Profile, by: By) -> Profile:
    if by == "function":
        return profile
    names = profile.metric_names
    codes, table = grouped_frames(profile.frames, by)
    functions = table[["function", "raw_function", "file", "object", "crate"]].copy()
    own = add_at(len(functions), codes, costs_of(profile.functions, names))
    calls = profile.functions["calls"]
    summed = calls.astype("Float64").groupby(codes).sum(min_count=1)
    functions["calls"] = summed.round().astype("Int64").reset_index(drop=True)
    for position, name in enumerate(names):
        functions[self_(name)] = own[:, position]
    edges = profile.edges.assign(
        caller_id=codes[profile.edges["caller_id"].to_numpy()], callee_id=codes[profile.edges["callee_id"].to_numpy()]
    )
    between = edges[edges["caller_id"] != edges["callee_id"]]
    merged = between.groupby(["caller_id", "callee_id"], sort=False, as_index=False)[
        ["calls", *(cost_(name) for name in names)]
    ].sum(min_count=1)
    caller, callee, costs = arcs(profile.arrays.edges, names)
    totals, exact = group_totals(
        codes,
        costs_of(profile.functions, names),
        caller,
        callee,
        costs,
        known=totals_of(profile.functions, names),
        known_exact=profile.functions["total_exact"].to_numpy(dtype=bool),
    )
    for position, name in enumerate(names):
        functions[total_(name)] = totals[:, position]
    functions["total_exact"] = exact
    notes = profile.notes
    if not exact.all():
        what = "total of a group that is left and entered again: how much of it is counted already had to be assumed"
        notes = (*notes, Note(what, int((~exact).sum())))
    return from_graph(
        profile.format,
        profile.name,
        metrics=profile.metrics,
        functions=functions,
        edges=merged,
        default_metric=profile.default_metric,
        meta=profile.meta,
        notes=notes,
    )


def _tidied(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(function=_map(table["function"], tidy_rust), file=_map(table["file"], tidy_file))


def _map(column: pd.Series[str], change: Any) -> pd.Series[str]:
    """``change`` of each distinct value, once."""
    codes, values = column.factorize()
    return pd.Series(np.asarray([change(value) for value in values], dtype=object)[codes], dtype="str")

"""Costs of source lines, and the source beside them where it is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import called_, self_, total_
from workbench.profiles.share import percent, whole_of
from workbench.profiles.transforms.overlay import numbered
from workbench.profiles.tree import add_at, costs_of, outermost, totals_of
from workbench.profiles.views.neighbours import find_functions

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

SOURCE_LIMIT_BYTES = 16 * 1024 * 1024


def line_costs(profile: Profile) -> pd.DataFrame:
    """Costs a function and source line: function_id, file, line, and ``self_`` and ``total_`` of each metric.

    The total of a line is its self cost and that of the calls made from it. Raises WorkbenchError where the format has
    no lines, or none that can be trusted (pprof-rs), or a selection of a call graph's stacks left none.
    """
    names = profile.metric_names
    if len(profile.lines):
        lines = profile.lines
        table = lines[["function_id", "file", "line"]].reset_index(drop=True)
        for name in names:
            table[self_(name)] = lines[self_(name)].to_numpy()
            table[total_(name)] = lines[self_(name)].to_numpy() + lines[called_(name)].to_numpy()
        return table
    if profile.format == "callgrind" and profile.basis == "stacks":
        raise WorkbenchError(
            "a selection of a callgrind profile has no source lines: the file has costs of lines for whole functions",
            where=profile.name,
            hint="Ask for lines of the whole profile, without focus, hide and the like",
        )
    if profile.basis == "graph" or not (profile.frames["line"] > 0).any():
        raise WorkbenchError(
            f"this {profile.format} profile has no source lines",
            where=profile.name,
            hint="Callgrind has them with --dump-line=yes and debug information, pprof of Go and C++ programs too",
        )
    frames = profile.frames
    keys = numbered(frames, ["function_id", "file", "line"])
    _, first = np.unique(keys, return_index=True)
    table = frames.iloc[first][["function_id", "file", "line"]].reset_index(drop=True)
    nodes = profile.nodes
    at = keys[nodes["frame_id"].to_numpy()]
    outer = outermost(nodes["parent_id"].to_numpy(), at)
    own = add_at(len(table), at, costs_of(nodes, names))
    totals = add_at(len(table), np.where(outer, at, -1), totals_of(nodes, names))
    for position, name in enumerate(names):
        table[self_(name)] = own[:, position]
        table[total_(name)] = totals[:, position]
    return table


def source_lines(
    profile: Profile,
    function: str | None = None,
    file: str | None = None,
    metric: str | None = None,
    *,
    roots: Mapping[str, str | Path] | None = None,
    context: int = 2,
) -> pd.DataFrame:
    """The lines of a function or file with their costs, and their text where the source exists.

    ``roots`` maps the beginning of paths in the profile to folders on this machine; no file is read elsewhere.
    Columns: file, line, self, self_pct, total, text (<NA> without the source). With the source, ``context`` lines
    around each line with a cost are there too, with costs 0.

    Raises WorkbenchError where there are no lines, or nothing matches.
    """
    name = profile.metric(metric).name
    costs = line_costs(profile)
    if function is not None:
        costs = costs[costs["function_id"].isin(find_functions(profile, function))]
    if file is not None:
        costs = costs[costs["file"].str.endswith(file)]
    costs = costs[costs["line"] > 0]
    if costs.empty:
        raise WorkbenchError("no line of the profile matches", where=f"{function or ''} {file or ''}".strip())
    table = costs.groupby(["file", "line"], as_index=False)[[self_(name), total_(name)]].sum()
    table.columns = pd.Index(["file", "line", "self", "total"])
    parts = [_with_source(part, str(path), roots or {}, context) for path, part in table.groupby("file", sort=False)]
    joined = pd.concat(sorted(parts, key=lambda part: -float(part["self"].abs().sum())), ignore_index=True)
    joined.insert(3, "self_pct", percent(joined["self"], whole_of(profile, name)))
    return joined


def _with_source(part: pd.DataFrame, file: str, roots: Mapping[str, str | Path], context: int) -> pd.DataFrame:
    text = _source(file, roots)
    if text is None:
        return part.assign(text=pd.array([None] * len(part), dtype="str"))
    wanted = sorted({near for line in part["line"] for near in range(max(1, line - context), line + context + 1)})
    shown = pd.DataFrame({"line": [line for line in wanted if line <= len(text)]})
    joined = shown.merge(part, on="line", how="outer").sort_values("line", ignore_index=True)
    joined[["self", "total"]] = joined[["self", "total"]].fillna(0)
    joined["file"] = file
    joined["text"] = pd.array([text[line - 1] if line <= len(text) else None for line in joined["line"]], dtype="str")
    return joined[["file", "line", "self", "total", "text"]]


def _source(file: str, roots: Mapping[str, str | Path]) -> list[str] | None:
    """The lines of a source file below one of ``roots``, or None. Paths in a profile are untrusted: no other file of
    this machine is opened, and only regular files of a reasonable size.
    """
    for prefix, folder in roots.items():
        if not file.startswith(prefix):
            continue
        try:
            root = Path(folder).resolve()
            path = (root / file.removeprefix(prefix).lstrip("/")).resolve()
            if path.is_relative_to(root) and path.is_file() and path.stat().st_size <= SOURCE_LIMIT_BYTES:
                return path.read_text("utf-8", errors="replace").splitlines()
        except (OSError, ValueError, RuntimeError):
            continue
    return None

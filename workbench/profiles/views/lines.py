"""Costs of source lines, with the source text if available."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_, total_
from workbench.profiles.share import percent, whole_of
from workbench.profiles.views.line_costs import line_costs as line_costs
from workbench.profiles.views.neighbours import find_functions

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

SOURCE_LIMIT_BYTES = 16 * 1024 * 1024


def source_lines(
    profile: Profile,
    function: str | None = None,
    file: str | None = None,
    metric: str | None = None,
    *,
    roots: Mapping[str, str | Path] | None = None,
    context: int = 2,
) -> pd.DataFrame:
    """The lines of a function or file with their costs, and with text if the source exists.

    ``roots`` maps the beginning of paths in the profile to folders on this machine; no other files are read. Columns:
    file, line, self, self_pct, total, text (<NA> without the source). With the source, ``context`` lines around each
    line with a cost are included, with costs 0.

    Raises WorkbenchError if there are no lines or nothing matches.
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

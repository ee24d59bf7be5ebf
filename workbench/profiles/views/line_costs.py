"""The cost of each source line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles.columns import called_, self_, total_
from workbench.profiles.distinct import numbered_rows
from workbench.profiles.table import Table
from workbench.profiles.tree import group_sums

if TYPE_CHECKING:
    import pandas as pd

    from workbench.profiles.model import Profile

_PLACE = ("function_id", "file", "line")


def line_costs(profile: Profile) -> pd.DataFrame:
    """Costs by function and source line: function_id, file, line, and ``self_`` and ``total_`` of each metric.

    The total of a line is its self cost plus the cost of calls made from it. Raises WorkbenchError if the format has no
    (or no reliable) lines, as with pprof-rs, or if a selection of a call graph's stacks left none.
    """
    return line_table(profile).frame()


def line_table(profile: Profile) -> Table:
    """The same as arrays."""
    names = profile.metric_names
    lines = profile.arrays.lines
    costs: dict[str, Any] = {}
    if len(lines):
        for name in names:
            costs[self_(name)] = lines[self_(name)]
            costs[total_(name)] = lines[self_(name)] + lines[called_(name)]
        return lines.select(_PLACE).assign(**costs)
    if profile.format == "callgrind" and profile.basis == "stacks":
        raise WorkbenchError(
            "a selection of a callgrind profile has no source lines: the file has line costs only for whole functions",
            where=profile.name,
            hint="Ask for lines of the whole profile, without focus, hide or other selections",
        )
    frames, nodes = profile.arrays.frames, profile.arrays.nodes
    if profile.basis == "graph" or not (frames["line"] > 0).any():
        raise WorkbenchError(
            f"this {profile.format} profile has no source lines",
            where=profile.name,
            hint="Callgrind has them with --dump-line=yes and debug information, pprof of Go and C++ programs too",
        )
    keys, _ = numbered_rows([frames[column] for column in _PLACE])
    _, first = np.unique(keys, return_index=True)
    own, totals = group_sums(nodes, keys[nodes["frame_id"]], len(first), names)
    for position, name in enumerate(names):
        costs[self_(name)] = own[:, position]
        costs[total_(name)] = totals[:, position]
    return frames.select(_PLACE).take(first).assign(**costs)

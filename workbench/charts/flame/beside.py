"""Data beside the tree: spans in order of time, and calls, source lines and costs of each function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.charts.flame.calltree import CallTree
from workbench.errors import WorkbenchError
from workbench.profiles.columns import cost_, self_, total_
from workbench.profiles.views.line_costs import line_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

SPANS = 200_000
EDGES = 50_000
LINES = 50_000


@dataclass(frozen=True, eq=False)
class Beside:
    """Columns by the names in ``payload.js``, with a column per metric if they have two dimensions.

    ``threads``: names of threads with spans; ``begins_ns``: the time of their zero; ``remarks``: what is left out.
    """

    columns: Mapping[str, Any]
    threads: tuple[str, ...] = ()
    begins_ns: int = 0
    remarks: tuple[str, ...] = ()


def beside(profile: Profile, tree: CallTree) -> Beside:
    """The profile's data besides its tree. The largest SPANS spans, EDGES calls and LINES lines are kept."""
    columns: dict[str, Any] = {}
    remarks: list[str] = []
    if tree.measured is not None:
        columns |= {"own": tree.measured.own, "total": tree.measured.total}
        columns |= _edges(profile, tree, remarks)
    columns |= _lines(profile, tree, remarks)
    spans, threads, begins = _spans(profile, remarks)
    return Beside({**columns, **spans}, threads, begins, tuple(remarks))


def _edges(profile: Profile, tree: CallTree, remarks: list[str]) -> dict[str, Any]:
    """The measured call edges: caller, callee, calls and cost."""
    edges = profile.arrays.edges
    costs = _costs([edges[cost_(metric.name)] for metric in tree.metrics])
    calls = np.nan_to_num(np.asarray(edges["calls"], dtype=np.float64))
    kept = _heaviest(costs, EDGES, "calls between functions", remarks)
    return {
        "edge.caller": np.asarray(edges["caller_id"], dtype=np.int64)[kept],
        "edge.callee": np.asarray(edges["callee_id"], dtype=np.int64)[kept],
        "edge.calls": calls.astype(np.int64)[kept],
        "edge": costs[kept],
    }


def _lines(profile: Profile, tree: CallTree, remarks: list[str]) -> dict[str, Any]:
    """The costs of source lines; empty if the profile has none."""
    try:
        lines = line_table(profile)
    except WorkbenchError:
        return {}
    own = _costs([lines[self_(metric.name)] for metric in tree.metrics])
    total = _costs([lines[total_(metric.name)] for metric in tree.metrics])
    kept = _heaviest(total, LINES, "source lines", remarks)
    return {
        "lines.fn": np.asarray(lines["function_id"], dtype=np.int64)[kept],
        "lines.line": np.asarray(lines["line"], dtype=np.int64)[kept],
        "lines.file": np.asarray(lines["file"], dtype=object)[kept],
        "lines.self": own[kept],
        "lines.total": total[kept],
    }


def _spans(profile: Profile, remarks: list[str]) -> tuple[dict[str, Any], tuple[str, ...], int]:
    """The table ``timeline`` of a profile whose format has times: thread, start_ns, end_ns, depth, frame_id."""
    if "timeline" not in profile.arrays.tables or not len(profile.arrays.tables["timeline"]):
        return {}, (), 0
    table = profile.arrays.tables["timeline"]
    start, end, depth, frame = (
        np.asarray(table[name], dtype=np.int64) for name in ("start_ns", "end_ns", "depth", "frame_id")
    )
    names, thread = np.unique(np.asarray(table["thread"], dtype=str), return_inverse=True)
    # threads in the order in which they began
    began = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(began, thread, start)
    order = np.argsort(began, kind="stable")
    kept = _heaviest((end - start)[:, None], SPANS, "spans of the time-ordered view", remarks)
    begins = int(start.min())
    columns = {
        "time.thread": np.argsort(order)[thread][kept],
        "time.start": (start - begins)[kept],
        "time.end": (end - begins)[kept],
        "time.depth": depth[kept],
        "time.fn": np.asarray(profile.arrays.frames["function_id"], dtype=np.int64)[frame[kept]],
    }
    return columns, tuple(str(names[number]) for number in order), begins


def _heaviest(costs: NDArray[Any], most: int, what: str, remarks: list[str]) -> NDArray[np.int64]:
    """The rows to keep, in their order: at most ``most``, those with the largest share in any column."""
    if len(costs) <= most:
        return np.arange(len(costs))
    sizes = np.abs(costs.astype(np.float64))
    shares = (sizes / np.maximum(sizes.sum(axis=0), np.finfo(float).tiny)).max(axis=1)
    remarks.append(f"Of {len(costs):,} {what} the {most:,} largest are kept.")
    return np.sort(np.argsort(-shares, kind="stable")[:most])


def _costs(columns: list[Any]) -> NDArray[Any]:
    return np.column_stack([np.asarray(column) for column in columns])

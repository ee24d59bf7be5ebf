"""The profiler's own share of a profile: samplers inside the service, which other tools measure with it.

pprof-rs loads the symbols of all libraries when it starts, and keeps them: under massif they can be nearly all of the
heap, under callgrind most of an idle window. This package's sampler for Python has a thread that takes samples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.columns import total_

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

_FUNCTION = re.compile(r"^(?:<?pprof::|perf_signal_handler$)|\bpprof::profiler::|\bProfilerGuard(?:Builder)?\b")
_FILE = re.compile(r"/workbench/profilers/sampler/|/pprof-\d[^/]*/src/|^pprof-\d[^/]*/src/")


def is_profiler(frames: pd.DataFrame) -> NDArray[np.bool_]:
    """For each row with function and file: whether it belongs to a profiler."""
    return np.array(
        [
            bool(_FUNCTION.search(name) or _FILE.search(file))
            for name, file in zip(frames["function"], frames["file"], strict=True)
        ],
        dtype=bool,
    )


def profiler_part(profile: Profile, metric: str) -> tuple[float, list[str]]:
    """The cost of profilers in a profile, with everything they called, and their functions, the costliest first."""
    ours = is_profiler(profile.frames)
    if not ours.any():
        return 0.0, []
    nodes = profile.nodes
    frame, parent = nodes["frame_id"].to_numpy(), nodes["parent_id"].to_numpy()
    tops = _tops(ours[frame], parent)
    cost = nodes[total_(metric)].to_numpy(dtype=np.float64)[tops]
    by_frame = np.bincount(frame[tops], cost, len(profile.frames))
    names = profile.frames["function"].to_numpy()
    order = np.argsort(-by_frame, kind="stable")
    return float(cost.sum()), [str(names[one]) for one in order if by_frame[one] > 0]


def without_profiler(heap: Profile) -> Profile:
    """A massif profile with heap trees and sums that do not include profilers; :attr:`Profile.nodes` is unchanged."""
    ours = is_profiler(heap.frames)
    trees = heap.tables.get("heap_trees")
    if trees is None or not ours.any():
        return heap
    frame, parent = trees["frame_id"].to_numpy(), trees["parent_id"].to_numpy()
    mine = (frame >= 0) & ours[np.maximum(frame, 0)]
    tops = _tops(mine, parent)
    if not len(tops):
        return heap
    gone = _with_all_below(mine, parent)
    held = trees["bytes"].to_numpy().copy()
    less: dict[int, int] = {}
    for top in tops.tolist():
        above = int(parent[top])
        while above >= 0:
            held[above] -= int(trees["bytes"].iloc[top])
            above = int(parent[above])
        number = int(trees["snapshot"].iloc[top])
        less[number] = less.get(number, 0) + int(trees["bytes"].iloc[top])
    held[gone] = 0
    snapshots = heap.tables["snapshots"]
    taken = snapshots["snapshot"].map(less).fillna(0).astype("int64")
    sums = {name: snapshots[name] - taken for name in ("heap_bytes", "total_bytes") if name in snapshots}
    tables = {**heap.tables, "heap_trees": trees.assign(bytes=held), "snapshots": snapshots.assign(**sums)}
    return heap.but(tables=tables)


def _tops(mine: NDArray[np.bool_], parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """The outermost of the chosen nodes of a tree in preorder."""
    below = _with_all_below(mine, parent)
    above = np.where(parent >= 0, below[np.maximum(parent, 0)], False)
    return np.flatnonzero(mine & ~above)


def _with_all_below(mine: NDArray[np.bool_], parent: NDArray[np.int64]) -> NDArray[np.bool_]:
    found = mine.copy()
    for node in np.flatnonzero(parent >= 0).tolist():
        if found[parent[node]]:
            found[node] = True
    return found

"""The timeline of a log: which call each thread was in, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.table import Table, text
from workbench.profiles.tree import depths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.lines import Places

_THREAD_DEPTH = 1  # the level of threads in the tree; here each thread is a lane


def timeline_table(
    thread: Places, labels: NDArray[Any], start_ns: Places, end_ns: Places, node: Places, parent: Places, frame: Places
) -> Table:
    """One row per span: ``thread`` (its label), ``start_ns`` and ``end_ns`` on the clock of the table ``calls``,
    ``depth`` (0: the call's judgement, largest: the call) and ``frame_id``. Rows are in the order of the thread's
    number, then of start, then of depth.

    ``thread``, ``start_ns``, ``end_ns`` and ``node`` are of each call; ``parent`` and ``frame`` are the tree. A span
    ends when the thread's next one begins, at the latest: times are cut to microseconds, so spans may overlap by 1 µs.
    """
    order = np.lexsort((start_ns, thread))
    thread, start, end, node = thread[order], start_ns[order], np.maximum(end_ns, start_ns)[order], node[order]
    same = thread[1:] == thread[:-1]
    end[:-1] = np.where(same, np.minimum(end[:-1], start[1:]), end[:-1])
    rows, levels, frames = [], [], []
    depth_of = depths(parent)
    here, left = node, np.arange(len(node))
    while left.size:
        depth = depth_of[here]
        shown = depth != _THREAD_DEPTH
        rows.append(left[shown])
        levels.append(np.where(depth > _THREAD_DEPTH, depth - 1, depth)[shown])
        frames.append(frame[here[shown]])
        above = parent[here]
        here, left = above[above >= 0], left[above >= 0]
    none = np.zeros(0, dtype=np.int64)
    row, depth, which = (np.concatenate([none, *parts]) for parts in (rows, levels, frames))
    inside = np.lexsort((depth, row))
    row = row[inside]
    return Table(
        {
            "thread": labels[thread[row]],
            "start_ns": start[row],
            "end_ns": end[row],
            "depth": depth[inside],
            "frame_id": which[inside],
        }
    )


def lane_labels(names: Sequence[str], pid: Places) -> NDArray[Any]:
    """The label of each thread's lane: its name and its pid, since threads may have the same name."""
    return text([f"{name} · {number}" for name, number in zip(names, pid.tolist(), strict=True)])

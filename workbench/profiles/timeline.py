"""The time-ordered view of samples: spans of frames on the stack, by thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TIMELINE_COLUMNS = ("thread", "start_ns", "end_ns", "depth", "frame_id")


@dataclass(frozen=True, slots=True)
class Moments:
    """Samples with times: the ``thread`` of each (a number), when it was taken, and the ``node`` at which its stack
    ends, -1 without a stack."""

    thread: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    node: NDArray[np.int64]


def timeline(
    moments: Moments,
    threads: Sequence[str],
    parent: NDArray[np.int64],
    frame: NDArray[np.int64],
    depth: NDArray[np.int64],
) -> dict[str, Any]:
    """The columns of the table ``timeline``, one row per span: thread, start_ns, end_ns, depth (roots 0), frame_id.

    A sample lasts until the next of its thread; the last of a thread as long as the previous one. Consecutive spans of
    one node are joined. ``parent``, ``frame`` and ``depth`` are the columns of the tree's nodes. Rows are ordered by
    thread, start and depth.
    """
    order = np.lexsort((moments.time_ns, moments.thread))
    thread, start, node = moments.thread[order], moments.time_ns[order], moments.node[order]
    end = _ends(thread, start)
    parts: list[tuple[NDArray[np.int64], ...]] = []
    here = np.zeros(0, dtype=np.int64)
    at = np.zeros(0, dtype=np.int64)
    levels = np.where(node >= 0, depth[node] if len(depth) else -1, -1)
    by_level = np.argsort(levels, kind="stable")
    borders = np.searchsorted(levels[by_level], np.arange(int(levels.max(initial=-1)) + 2))
    for level in range(int(levels.max(initial=-1)), -1, -1):
        fresh = by_level[borders[level] : borders[level + 1]]
        joined = np.concatenate((here, fresh))
        at = np.concatenate((parent[at] if len(at) else at, node[fresh]))
        sorting = np.argsort(joined, kind="stable")
        here, at = joined[sorting], at[sorting]
        opens = np.ones(len(here), dtype=bool)
        follows = (here[1:] == here[:-1] + 1) & (thread[here[1:]] == thread[here[:-1]])
        opens[1:] = (at[1:] != at[:-1]) | ~follows
        first = np.flatnonzero(opens)
        last = np.concatenate((first[1:], [len(here)])) - 1
        parts.append((thread[here[first]], start[here[first]], end[here[last]], np.full(len(first), level), at[first]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [here] * 5
    rows = np.lexsort((columns[3], columns[1], columns[0]))
    of, starts, ends, levels, nodes = (column[rows] for column in columns)
    names = np.array([*threads, ""], dtype=object)
    return {"thread": names[of], "start_ns": starts, "end_ns": ends, "depth": levels, "frame_id": frame[nodes]}


def _ends(thread: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int64]:
    """When each sample ends; samples are ordered by thread and time."""
    end = start.copy()
    if len(start) > 1:
        follows = thread[1:] == thread[:-1]
        end[:-1] = np.where(follows, start[1:], start[:-1])
        lasts = np.flatnonzero(np.concatenate((~follows, [True])))
        before = lasts - 1
        known = (before >= 0) & (thread[before] == thread[lasts])
        end[lasts[known]] += (end - start)[before[known]]
    return end

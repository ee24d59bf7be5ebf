"""The time-ordered table of a speedscope file: one row per span of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.readers.speedscope.spans import Events, Spans, pairs
from workbench.profiles.table import Table, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Nanoseconds in a unit of time. Other units have no timeline.
TIMES_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_MOST_NS = 2.0**63


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """The timeline of one thread: its name, nanoseconds per unit of its times, the function that makes its walk, and
    where its frames begin in the table of all."""

    thread: str
    unit_ns: int
    walk: Callable[[], tuple[Events, Spans]]
    first_frame: int = 0


def timeline_table(lanes: Sequence[Lane]) -> Table:
    """One row per span: ``thread``, ``start_ns`` and ``end_ns`` on the file's own clock, ``depth`` (roots 0) and
    ``frame_id``; in the order of threads, then of start, callers before callees."""
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("start_ns", "end_ns", "depth", "frame_id")}
    sizes = []
    for lane in lanes:
        events, spans = lane.walk()
        at = _nanoseconds(events.at, lane.unit_ns)
        sizes.append(len(spans.opened))
        for name, values in (
            ("start_ns", at[spans.opened]),
            ("end_ns", at[spans.closed]),
            ("depth", spans.depth),
            ("frame_id", events.frame[spans.opened] + lane.first_frame),
        ):
            columns[name].append(values)
    none = np.zeros(0, dtype=np.int64)
    threads = np.repeat(text([lane.thread for lane in lanes]), sizes)
    return Table({"thread": threads, **{name: np.concatenate([none, *parts]) for name, parts in columns.items()}})


def laid_out(
    offsets: NDArray[np.int64], frames: NDArray[np.int64], weights: NDArray[Any], start: Any
) -> tuple[Events, Spans]:
    """Samples in sequence as a walk: frames common to two neighbours stay open between them."""
    count = len(weights)
    at = np.concatenate([[start], start + np.cumsum(np.maximum(weights, 0))])
    lengths = np.diff(offsets)
    shared = _shared(offsets, frames, lengths)
    # between two samples, frames that are not shared close, innermost first; then the rest of the next sample opens
    before, after = np.concatenate([[0], lengths]), np.concatenate([lengths, [0]])
    closes, opens = before - shared, after - shared
    border = np.repeat(np.arange(count + 1), closes + opens)
    inside = np.arange(len(border)) - np.repeat(np.cumsum(closes + opens) - closes - opens, closes + opens)
    is_open = inside >= closes[border]
    level = np.where(is_open, shared[border] + inside - closes[border] + 1, before[border] - inside)
    stack = np.where(is_open, border, border - 1)
    events = Events(is_open, frames[offsets[stack] + level - 1] if len(border) else frames[:0], at[border])
    begin, end = pairs(is_open, level)
    order = np.argsort(begin)
    begin, end = begin[order], end[order]
    return events, Spans(begin, end, level[begin] - 1)


def _shared(offsets: NDArray[np.int64], frames: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many frames, from the root, each sample has in common with the one before; 0 at both ends."""
    count = len(lengths)
    shared = np.zeros(count + 1, dtype=np.int64)
    if count < 2:
        return shared
    sample = np.repeat(np.arange(count), lengths)
    depth = np.arange(len(frames)) - offsets[sample]
    other = np.maximum(sample - 1, 0)
    there = (sample > 0) & (depth < lengths[other])
    same = np.zeros(len(frames), dtype=bool)
    same[there] = frames[there] == frames[offsets[other[there]] + depth[there]]
    # the frames before the first that differs are shared; if none differs, all of the sample's frames are
    differs = np.where(same, lengths[sample], depth)
    some = lengths > 0
    shared[:count][some] = np.minimum.reduceat(differs, offsets[:-1][some])
    return shared


def _nanoseconds(at: NDArray[Any], unit_ns: int) -> NDArray[np.int64]:
    """Times as whole nanoseconds, limited to 64 bits."""
    if at.dtype.kind == "i" and (not len(at) or int(np.abs(at).max()) <= (2**63 - 1) // unit_ns):
        return np.asarray(at * unit_ns, dtype=np.int64)
    scaled = np.rint(at.astype(np.float64) * unit_ns)
    limited = np.clip(scaled, -_MOST_NS, np.nextafter(_MOST_NS, 0))
    return limited.astype(np.int64)

"""A step second by second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workbench.load.chunks import Chunk, Chunks
from workbench.load.histogram import rank_of
from workbench.load.plan import NS_PER_S
from workbench.sweep.watch import Clock

if TYPE_CHECKING:
    import pandas as pd

WINDOW = 1 << 19
"""How many values are sorted at a time for percentiles; at least those of one second."""

Seconds = npt.NDArray[np.int64]
Timed = Callable[[Chunk, int], tuple[Seconds, npt.NDArray[np.int64]]]


def per_second(chunks: Chunks, step: int, clock: Clock, *, window: int = WINDOW) -> pd.DataFrame:
    """One row per second of a step.

    Columns: ``t_s`` (run time at the second's start), ``step``, ``offered`` (intended in this second), ``sent``,
    ``done_ok``, ``done_denied``, ``done_failed`` (answers in this second), ``in_flight`` (at its end),
    ``response_p50_ms``, ``response_p99_ms`` (of accepted receipts answered in it; p99 is the maximum if there are fewer
    than 100), ``lag_p99_ms`` (of receipts sent in it).
    """
    import pandas as pd

    ends = [(int(chunk.intended_ns.min()), int(chunk.done_ns.max())) for chunk in chunks if len(chunk)]
    if not ends:
        return pd.DataFrame()
    start = min(first for first, _ in ends)
    seconds = (max(last for _, last in ends) - start) // NS_PER_S + 1
    counts = _counts(chunks, start, seconds)
    response = _percentiles(chunks, start, _response, counts["done_ok"], (50, 99), window)
    lag = _percentiles(chunks, start, _lag, counts["sent"], (99,), window)
    done = counts["done_ok"] + counts["done_denied"] + counts["done_failed"]
    return pd.DataFrame(
        {
            "t_s": [clock.at(start + second * NS_PER_S) for second in range(seconds)],
            "step": np.int32(step),
            **counts,
            "in_flight": np.cumsum(counts["sent"]) - np.cumsum(done),
            "response_p50_ms": response[0],
            "response_p99_ms": response[1],
            "lag_p99_ms": lag[0],
        }
    )


def _counts(chunks: Chunks, start: int, seconds: int) -> dict[str, Seconds]:
    """What happened in each second."""
    counts = {
        name: np.zeros(seconds, dtype=np.int64) for name in ("offered", "sent", "done_ok", "done_denied", "done_failed")
    }
    for chunk in chunks:
        done = (chunk.done_ns - start) // NS_PER_S
        happened = {
            "offered": (chunk.intended_ns - start) // NS_PER_S,
            "sent": (chunk.sent_ns - start) // NS_PER_S,
            "done_ok": done[chunk.accepted],
            "done_denied": done[chunk.denied],
            "done_failed": done[~chunk.accepted & ~chunk.denied],
        }
        for name, when in happened.items():
            if len(when):  # only over the seconds of this chunk, a small part of a long step
                first = int(when.min())
                found = np.bincount(when - first)[: seconds - first]
                counts[name][first : first + len(found)] += found
    return counts


def _response(chunk: Chunk, start: int) -> tuple[Seconds, npt.NDArray[np.int64]]:
    return (chunk.done_ns[chunk.accepted] - start) // NS_PER_S, chunk.response_ns


def _lag(chunk: Chunk, start: int) -> tuple[Seconds, npt.NDArray[np.int64]]:
    return (chunk.sent_ns - start) // NS_PER_S, chunk.lag_ns


@dataclass
class _Window:
    """Seconds from ``first`` to below ``end``, whose values are in memory together."""

    first: int
    end: int
    count: int


def _windows(counts: Seconds, window: int) -> Iterator[_Window]:
    """All seconds, in order, as windows of at most ``window`` values, or of one second."""
    begun = np.concatenate([[0], np.cumsum(counts)])
    first = 0
    while first < len(counts):
        end = max(first + 1, int(np.searchsorted(begun, begun[first] + window, side="right")) - 1)
        yield _Window(first, end, int(begun[end] - begun[first]))
        first = end


def _percentiles(
    chunks: Chunks, start: int, timed: Timed, counts: Seconds, percents: tuple[int, ...], window: int
) -> npt.NDArray[np.float64]:
    """Percentiles in ms of each second's values, a row per percentile; NaN for a second without values.

    Works on one window of seconds at a time and reads the chunks that overlap it: rows are nearly in the order of time,
    so each chunk is read about twice.
    """
    found = np.full((len(percents), len(counts)), np.nan)
    reach = [_reach(timed(chunk, start)[0]) for chunk in chunks]
    for part in _windows(counts, window):
        if not part.count:
            continue
        seconds, values = [], []
        for number, (earliest, latest) in enumerate(reach):
            if earliest < part.end and latest >= part.first:
                when, what = timed(chunks[number], start)
                inside = (when >= part.first) & (when < part.end)
                seconds.append(when[inside])
                values.append(what[inside])
        # rows are nearly in the order of time, which a stable sort makes use of
        value = np.concatenate(values)[np.argsort(np.concatenate(seconds), kind="stable")]
        own = counts[part.first : part.end]
        begun = np.cumsum(own) - own
        for first, count in zip(begun.tolist(), own.tolist(), strict=True):
            value[first : first + count].sort()
        some = own > 0
        for row, percent in enumerate(percents):
            chosen = value[(begun + rank_of(own, percent))[some]]
            found[row, part.first : part.end][some] = chosen / 1e6
    return found


def _reach(seconds: Seconds) -> tuple[int, int]:
    """The earliest and the latest second; for an empty chunk a range outside of every window."""
    return (int(seconds.min()), int(seconds.max())) if len(seconds) else (1, -1)

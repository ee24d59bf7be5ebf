"""Times in HdrHistogram's formats: its log with an interval per second, and its table of percentiles.

Counts are made with numpy, in the buckets that HdrHistogram has for DIGITS significant digits; the library ``hdrh`` (of
the extra ``exchange``) encodes them. The log's format is that of HistogramLogWriter 1.3 in
https://github.com/HdrHistogram/HdrHistogram: compressed V2 histograms as base64, with a tag for each clock.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.errors import ToolError
from workbench.load.chunks import CLOCKS, Chunk, Chunks
from workbench.load.plan import NS_PER_S

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

Column = npt.NDArray[np.int64]

DIGITS = 3
MOST_NS = 3600 * NS_PER_S
"""Longer times are counted as this long."""
NS_PER_MS = 1e6
TICKS = 5
"""Lines of the percentile table for each halving of the distance to 100 %, as the plotters expect it."""
_SUB_BITS = 11  # 2048 buckets in each power of two keep three digits exact
_VALUE_BITS = 43  # MOST_NS needs 42

_WHEN: dict[str, Callable[[Chunk], Column]] = {
    "response": lambda chunk: chunk.done_ns[chunk.accepted],
    "service": lambda chunk: chunk.done_ns[chunk.accepted],
    "lag": lambda chunk: chunk.sent_ns,
}
"""For each clock, the moment at which a time was known."""


def require_hdrh() -> None:
    """Raise ToolError if the library is not installed."""
    if importlib.util.find_spec("hdrh") is None:
        raise ToolError(
            "HdrHistogram's formats need hdrhistogram, not installed here",
            where="extra exchange",
            hint="Install it: pip install -e '.[exchange]' in the workbench's folder",
        )


def log(step: Chunks, begin_ns: int, begin_wall_ns: int) -> Iterator[str]:
    """The lines of a HdrHistogram log of one step: an interval per second and clock, with the tag response, service or
    lag. Values are nanoseconds; ``Interval_Max`` is in milliseconds, as is usual.

    Response and service are of accepted receipts, in the second of the answer; lag is of all, in that of the sending.
    ``begin_ns`` is when the step began on the clock of its rows, ``begin_wall_ns`` the same moment of the wall clock.
    Seconds in which nothing was measured have no line.
    """
    moment = datetime.fromtimestamp(begin_wall_ns / NS_PER_S, UTC)
    seconds = f"{begin_wall_ns / NS_PER_S:.3f} (seconds since epoch)"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {seconds}, {moment:%Y-%m-%dT%H:%M:%SZ}]\n"
    yield f"#[BaseTime: {seconds}]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    counted = {clock: _by_second(step, clock, begin_ns) for clock in CLOCKS}
    for second in sorted(set().union(*counted.values())):
        for clock, intervals in counted.items():
            if second in intervals:
                histogram = _histogram(*intervals[second])
                longest_ms = histogram.get_highest_equivalent_value(histogram.get_max_value()) / NS_PER_MS
                blob = histogram.encode().decode()
                yield f"Tag={clock},{second:.3f},1.000,{longest_ms:.3f},{blob}\n"


def percentiles(step: Chunks, clock: str) -> str:
    """The table of percentiles of one clock (``.hgrm``), in milliseconds, as HdrHistogram's plotter reads it."""
    values, counts = _merged([_unique(_floors(CLOCKS[clock](chunk))) for chunk in step])
    histogram, text = _histogram(values, counts), io.BytesIO()
    histogram.output_percentile_distribution(text, NS_PER_MS, TICKS)
    deviation_ms = histogram.get_stddev() / NS_PER_MS  # hdrh leaves it in nanoseconds
    return re.sub(r"(StdDeviation += +)[\d.]+", rf"\g<1>{deviation_ms:.3f}", text.getvalue().decode())


def _by_second(step: Chunks, clock: str, begin_ns: int) -> dict[int, tuple[Column, Column]]:
    """By second of the step: the smallest values of the filled buckets, and the count in each."""
    keys, counts = _merged(
        [
            _unique((((_WHEN[clock](chunk) - begin_ns) // NS_PER_S) << _VALUE_BITS) + _floors(CLOCKS[clock](chunk)))
            for chunk in step
        ]
    )
    seconds, first = np.unique(keys >> _VALUE_BITS, return_index=True)
    ends = [*first[1:].tolist(), len(keys)][: len(first)]
    values = keys & ((1 << _VALUE_BITS) - 1)
    return {
        second: (values[begin:end], counts[begin:end])
        for second, begin, end in zip(seconds.tolist(), first.tolist(), ends, strict=True)
    }


def _floors(values_ns: Column) -> Column:
    """For each value, the smallest value of its bucket."""
    values = np.clip(values_ns, 0, MOST_NS)
    bits = np.frexp(values.astype(np.float64))[1]  # doubles are exact up to MOST_NS
    shift = np.maximum(bits - _SUB_BITS, 0).astype(np.int64)
    floors: Column = (values >> shift) << shift
    return floors


def _unique(keys: Column) -> tuple[Column, Column]:
    found, counts = np.unique(keys, return_counts=True)
    return found, counts.astype(np.int64)


def _merged(parts: list[tuple[Column, Column]]) -> tuple[Column, Column]:
    """Counts by key, summed over several parts."""
    none = np.empty(0, dtype=np.int64)
    keys, places = np.unique(np.concatenate([none, *(keys for keys, _ in parts)]), return_inverse=True)
    counts = np.zeros(len(keys), dtype=np.int64)
    np.add.at(counts, places, np.concatenate([none, *(counts for _, counts in parts)]))
    return keys, counts


def _histogram(values: Column, counts: Column) -> HdrHistogram:
    from hdrh.histogram import HdrHistogram

    histogram: Any = HdrHistogram(1, MOST_NS, DIGITS)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value, count)
    return histogram

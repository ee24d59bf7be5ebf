"""Times counted in log-linear buckets: bounded memory for any number of values, and still exact percentiles.

A bucket is a power of two divided by 128, as in HdrHistogram with two digits: it is at most 0.8 % wide. The counts tell
which bucket holds a percentile; a second pass over the values of that bucket gives it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.int64]

SUB_BITS = 7
RESOLUTION = 1 / (1 << SUB_BITS)
"""The widest bucket, as a share of its lower bound."""

GATHERED = 1 << 18
"""The most values of one bucket that are held in memory; with more the bucket is divided again."""

EXACT = 2_000
"""Up to so many values, a histogram's table lists each one."""

_SHIFT = 52 - SUB_BITS  # a double has 52 bits of mantissa
_ONE = 1023 << SUB_BITS  # exponent and first bits of 1.0
_MOST = (1 << 53) - 1  # 104 days in nanoseconds: up to here a double is exact
_BUCKETS = (53 << SUB_BITS) + 1
_PARTS = 4096


@dataclass
class Histogram:
    """The number of values in each bucket, and the smallest and largest value."""

    counts: Values = field(default_factory=lambda: np.zeros(_BUCKETS, dtype=np.int64))
    minimum: int = 0
    maximum: int = 0

    @classmethod
    def of(cls, values: Iterable[Values]) -> Histogram:
        """The histogram of all arrays of ``values``."""
        histogram = cls()
        for part in values:
            histogram.add(part)
        return histogram

    @property
    def total(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    def add(self, values: Values) -> None:
        """Count ``values``, whole nanoseconds. All below 1 share one bucket; those above 104 days are in the last."""
        if not len(values):
            return
        smallest, largest = int(values.min()), int(values.max())
        known = self.counts.any()
        self.minimum = min(self.minimum, smallest) if known else smallest
        self.maximum = max(self.maximum, largest) if known else largest
        self.counts += np.bincount(buckets(values), minlength=_BUCKETS)

    def bounds(self, bucket: int) -> tuple[int, int]:
        """The range of a bucket: from the first to below the second, limited to the smallest and largest value."""
        lower = self.minimum if bucket == 0 else max(self.minimum, _lower(bucket))
        upper = self.maximum if bucket == _BUCKETS - 1 else min(self.maximum, _lower(bucket + 1) - 1)
        return lower, upper + 1

    def span(self, rank: int) -> Span:
        """The bucket that holds the value of a rank, counted from 0."""
        ends = np.cumsum(self.counts)
        bucket = int(np.searchsorted(ends, rank, side="right"))
        count = int(self.counts[bucket])
        return Span(*self.bounds(bucket), count, int(ends[bucket]) - count)


@dataclass(frozen=True)
class Span:
    """``count`` values from ``lower`` to below ``upper``; ``before`` are smaller."""

    lower: int
    upper: int
    count: int
    before: int


def buckets(values: Values) -> Values:
    """The bucket of each of ``values``, whole nanoseconds: exponent and first bits of a double."""
    bits = np.minimum(values, _MOST).astype(np.float64).view(np.int64) >> _SHIFT
    found: Values = np.maximum(bits - (_ONE - 1), 0, out=bits)
    return found


def _lower(bucket: int) -> int:
    """The smallest whole number in a bucket (not the first)."""
    return int(np.ceil(np.int64((bucket - 1 + _ONE) << _SHIFT).view(np.float64)))


def rank_of(n: npt.ArrayLike, percent: float) -> npt.NDArray[np.int64]:
    """The rank, from 0, of a percentile among ``n`` sorted values, like numpy's method ``inverted_cdf``."""
    index = np.asarray(n) * (percent / 100) - 1
    below = np.floor(index)
    return np.maximum(np.where(index == below, below, below + 1), 0).astype(np.int64)


def order_statistics(
    values: Callable[[], Iterable[Values]],
    ranks: Sequence[int],
    histogram: Histogram | None = None,
    *,
    gathered: int = GATHERED,
) -> list[int]:
    """The values of ``ranks``, counted from 0 in the order of size, exactly and in bounded memory.

    ``values()`` gives all values, in arrays; it is called once if no ``histogram`` is given, and once more, or a few
    times if one bucket has more than ``gathered`` values.
    """
    histogram = histogram or Histogram.of(values())
    found: dict[int, int] = {}
    sought = {rank: histogram.span(rank) for rank in set(ranks)}
    while sought:
        spans = list(dict.fromkeys(sought.values()))
        looks = {span: _Whole(span) if span.count <= gathered else _Parts(span) for span in spans}
        for part in values():
            for span, look in looks.items():
                look.add(part[(part >= span.lower) & (part < span.upper)])
        narrower = {rank: looks[span].narrow(rank) for rank, span in sought.items()}
        found |= {rank: span.lower for rank, span in narrower.items() if span.upper - span.lower == 1}
        sought = {rank: span for rank, span in narrower.items() if rank not in found}
    return [found[rank] for rank in ranks]


class _Whole:
    """A span's values, all in memory."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._parts: list[Values] = []
        self._sorted: Values | None = None

    def add(self, values: Values) -> None:
        self._parts.append(values)

    def narrow(self, rank: int) -> Span:
        """The span of one value, that of a rank."""
        if self._sorted is None:
            self._sorted = np.sort(np.concatenate(self._parts))
        value = int(self._sorted[rank - self._span.before])
        return replace(self._span, lower=value, upper=value + 1)


class _Parts:
    """A span's values, counted in equal parts."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._width = -(-(span.upper - span.lower) // _PARTS)
        self._counts = np.zeros(_PARTS, dtype=np.int64)

    def add(self, values: Values) -> None:
        self._counts += np.bincount((values - self._span.lower) // self._width, minlength=_PARTS)

    def narrow(self, rank: int) -> Span:
        """The part that holds a rank."""
        ends = np.cumsum(self._counts) + self._span.before
        part = int(np.searchsorted(ends, rank, side="right"))
        lower, count = self._span.lower + part * self._width, int(self._counts[part])
        return Span(lower, min(lower + self._width, self._span.upper), count, int(ends[part]) - count)


def to_frame(
    histogram: Histogram, values: Callable[[], Iterable[Values]], *, step: int, clock: str, exact: int = EXACT
) -> pd.DataFrame:
    """A histogram as a table, as in a run folder.

    Columns: ``step``; ``clock`` (response, service, lag); ``lower_ns`` and ``upper_ns``, the smallest and the largest
    value that a bucket can hold; ``count``. Up to ``exact`` values, taken from ``values()``, each is its own bucket and
    both bounds are the value; with more the bounds are at most 1/128 apart (RESOLUTION).
    """
    import pandas as pd

    lower: Values
    if histogram.total <= exact:
        every: Iterator[Values] = iter(values()) if histogram.total else iter(())
        lower, count = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *every]), return_counts=True)
        upper = lower
    else:
        filled = np.flatnonzero(histogram.counts)
        count = histogram.counts[filled]
        bounds = np.array([histogram.bounds(int(bucket)) for bucket in filled], dtype=np.int64)
        lower, upper = bounds[:, 0], bounds[:, 1] - 1
    return pd.DataFrame(
        {"step": np.int32(step), "clock": clock, "lower_ns": lower, "upper_ns": upper, "count": count.astype(np.int64)}
    )


def quantiles_ms(buckets: pd.DataFrame, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The quantiles in ms at ``shares`` (0 to 1) of the buckets of one step and clock.

    Interpolated between two values like ``numpy.quantile``. Values are taken to be spread evenly over their bucket:
    exact if each value is a bucket, otherwise within the width of one.
    """
    lower, upper = (buckets[name].to_numpy(dtype=float) for name in ("lower_ns", "upper_ns"))
    count = buckets["count"].to_numpy()
    ends = np.cumsum(count)

    def value(rank: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        bucket = np.searchsorted(ends, rank, side="right")
        place = (rank - (ends - count)[bucket] + 0.5) / count[bucket]
        of_bucket: npt.NDArray[np.float64] = lower[bucket] + (upper - lower)[bucket] * place
        return of_bucket

    position = shares * (ends[-1] - 1)
    rank = np.floor(position).astype(np.int64)
    below, above = value(rank), value(np.minimum(rank + 1, ends[-1] - 1))
    interpolated: npt.NDArray[np.float64] = (below + (above - below) * (position - rank)) / 1e6
    return interpolated

"""Block bootstrap: how far off a mean, share or quantile of values that are correlated in time may be.

Latencies of one step are autocorrelated: a slow moment makes many neighbours slow. Resampling single rows would make
the intervals far too narrow, so whole blocks of neighbours are resampled (circular block bootstrap, Politis and Romano
1992). The block length follows Politis and White (2004) with the correction by Patton, Politis and White (2009).

Two corrections make 95 % intervals cover 95 %. Blocks of length b lose the dependence across their ends, so the spread
is too small by an amount proportional to 1/b; comparing blocks of b and b/2 gives that amount. And few blocks say
little about their own spread, so the draws are widened by Student's t. ``benchmarks/coverage.py`` measures the
coverage.

Everything is repeatable: the same values and ``seed`` give the same replicates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REPLICATES = 1000
LEVEL = 0.95

MOST_BLOCKS = 2_000
"""The most draws of a replicate: with more rows, blocks are made longer than necessary."""

FEWEST_BLOCKS = 8
"""The fewest blocks: block length is limited so that there are at least so many."""

_BLOCKS_A_FREEDOM = 2.5
"""Blocks overlap and their spread is corrected: this many count as one degree of freedom (found by simulation)."""
_FEW_VALUES = 65
"""Up to this many values, the sums of blocks are drawn all at once."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, in the unit of the values. NaN if it cannot be told."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Dependence:
    """How strongly neighbouring values are correlated.

    ``block``: rows per block; ``effective_n``: how many independent values would tell as much about the mean (from 1 to
    the number of values).
    """

    block: int
    effective_n: float


def block_length(values: npt.ArrayLike) -> float:
    """The length of a block, in rows, that estimates the spread of the mean best (Politis and White 2004, the circular
    bootstrap, with the constants of Patton, Politis and White 2009). 1 if neighbours are not correlated."""
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 10 or float(np.ptp(x)) == 0.0:
        return 1.0
    run = max(5, math.ceil(math.sqrt(math.log10(n))))  # so many correlations in a row must be small
    most = min(math.ceil(math.sqrt(n)) + run, n - 1)
    covariance = _covariances(x, most)
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(n) / n)
    quiet = np.convolve(small, np.ones(run, dtype=int), mode="valid") == run
    last = int(np.argmax(quiet)) if quiet.any() else int(np.flatnonzero(~small)[-1]) + 1
    lags = np.arange(1, min(2 * max(last, 1), most) + 1)
    weights = np.minimum(1.0, 2 * (1 - lags / len(lags))) if len(lags) > 1 else np.ones(1)
    weighted = weights * covariance[1 : len(lags) + 1]
    spectrum = covariance[0] + 2 * float(weighted.sum())
    if spectrum <= 0:
        return 1.0
    slope = 2 * float((lags * weighted).sum())
    length = float(np.cbrt(1.5 * (slope / spectrum) ** 2 * n))  # (2 g^2 / (4/3 spectrum^2))^(1/3) n^(1/3)
    return min(max(length, 1.0), math.ceil(min(3 * math.sqrt(n), n / 3)))


def dependence(values: npt.ArrayLike) -> Dependence:
    """Block length and effective number of values in the order of time.

    For latencies give their **ranks**: ranks have no outliers, and the result holds for all quantiles.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 2:
        return Dependence(1, float(n))
    block = max(1, min(round(block_length(x)), n // FEWEST_BLOCKS))
    spread, variance = long_run_variance(x, block), float(x.var())
    return Dependence(block, min(float(n), n * variance / spread) if spread > 0 and block > 1 else float(n))


def long_run_variance(values: npt.ArrayLike, block: int) -> float:
    """n times the variance of the mean of ``values``: from blocks, corrected for the loss at their ends (see above)."""
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 2:
        return math.nan
    if block <= 1:
        return float(x.var(ddof=1))
    half = max(1, block // 2)
    whole, halves = (float(_block_sums(x - x.mean(), length).var()) / length for length in (block, half))
    return max(whole, (block * whole - half * halves) / (block - half))


def mean_replicates(
    values: npt.ArrayLike, *, block: int | None = None, replicates: int = REPLICATES, seed: int = 0
) -> Floats:
    """Means of ``replicates`` resampled series: their quantiles bound the true mean.

    ``values`` are in the order of time; for a share give zeros and ones. ``block``: rows per block, by default from
    :func:`block_length`. For the difference of two independent samples subtract the replicates of one from those of the
    other (with another ``seed``).
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 2:
        return np.full(replicates, x.mean() if n else math.nan)
    block = max(1, min(round(block_length(x)) if block is None else block, n // FEWEST_BLOCKS))
    spread = long_run_variance(x, block)
    if not spread > 0:
        return np.full(replicates, x.mean())
    longer = max(block, -(-n // MOST_BLOCKS))
    sums = _block_sums(x, longer)
    drawn = max(round(n / longer), 1)
    mean = float(x.mean())
    found = float(sums.var()) / longer**2 / drawn  # the variance of the drawn sums
    if not found > 0:
        return np.full(replicates, mean)
    away = _sums_drawn(sums, drawn, replicates, seed) / (drawn * longer) - mean
    scaled: Floats = mean + away * math.sqrt(spread / n / found) * _widened(n / block if block > 1 else float(n))
    return scaled


def quantile_replicates(
    values: npt.ArrayLike,
    shares: Sequence[float],
    *,
    block: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Floats:
    """Quantiles of ``replicates`` resampled series: a row each, a column for each of ``shares`` (0 to 1). ``values``
    are in the order of time, in any unit, and the result is in the same unit.

    The share of rows up to the quantile is resampled; the quantile of the replicate is the value at the mirrored share.
    Columns are drawn separately: each interval holds by itself, not all of them jointly.
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n == 0:
        return np.full((replicates, len(shares)), math.nan)
    ordered = np.sort(x)
    if block is None:
        block = dependence(ranks(x)).block
    columns = []
    for number, share in enumerate(shares):
        value = ordered[rank_of(n, share)]
        drawn = mean_replicates(x <= value, block=block, replicates=replicates, seed=seed * 1009 + number)
        # a sample with fewer rows up to the value has its quantile above it
        mirrored = share - (drawn - float((x <= value).mean()))
        columns.append(ordered[np.clip(np.ceil(mirrored * n - 1e-9).astype(np.int64) - 1, 0, n - 1)])
    return np.column_stack(columns) if columns else np.empty((replicates, 0))


def interval_of(replicates: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """The middle ``level`` (0 to 1) of replicates."""
    drawn = np.asarray(replicates, dtype=np.float64)
    if not len(drawn):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def mean_interval(values: npt.ArrayLike, *, level: float = LEVEL, seed: int = 0) -> Interval:
    """Where the mean of ``values``, in the order of time, lies with a confidence of ``level``. NaN for fewer than 2."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return Interval(math.nan, math.nan)
    return interval_of(mean_replicates(x, seed=seed), level)


def ranks(values: npt.ArrayLike) -> Floats:
    """The rank of each value, from 1; equal values share the mean of theirs."""
    x = np.asarray(values, dtype=np.float64)
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    middle: Floats = ends - (count - 1) / 2
    return middle[place]


def rank_of(n: int, share: float) -> int:
    """The position, from 0, of a quantile among ``n`` sorted values, as numpy's method ``inverted_cdf`` has it."""
    return min(max(math.ceil(n * share - 1e-9) - 1, 0), n - 1)


def _covariances(x: Floats, most: int) -> Floats:
    """Autocovariances at lags 0 to ``most``."""
    n = len(x)
    size = 1 << math.ceil(math.log2(n + most + 1))
    power = np.abs(np.fft.rfft(x - x.mean(), size)) ** 2
    found: Floats = np.fft.irfft(power, size)[: most + 1] / n
    return found


def _block_sums(x: Floats, length: int) -> Floats:
    """The sums of ``length`` consecutive rows, starting at each row and wrapping around the end."""
    ends = np.concatenate([[0.0], np.cumsum(np.concatenate([x, x[: length - 1]]))])
    sums: Floats = ends[length:] - ends[:-length]
    return sums


def _sums_drawn(sums: Floats, drawn: int, replicates: int, seed: int) -> Floats:
    """``replicates`` sums of ``drawn`` of ``sums``, each drawn evenly."""
    rng = np.random.default_rng(seed)
    few, count = np.unique(sums[: 4 * _FEW_VALUES], return_counts=True)
    if len(few) < _FEW_VALUES:
        few, count = np.unique(sums, return_counts=True)
    if len(few) < _FEW_VALUES:
        whole: Floats = rng.multinomial(drawn, count / count.sum(), size=replicates) @ few
        return whole
    parts: list[npt.NDArray[Any]] = []
    at_once = max(1, 50_000 // drawn)
    for first in range(0, replicates, at_once):
        size = (min(at_once, replicates - first), drawn)
        parts.append(sums[rng.integers(0, len(sums), size=size, dtype=np.int32)].sum(axis=1))
    return np.concatenate(parts)


def _widened(blocks: float) -> float:
    """How many times wider Student's t for so many blocks is than the normal distribution."""
    from scipy.special import ndtri, stdtrit

    beyond = (1 + LEVEL) / 2
    freedom = max(2.0, (blocks - 1) / _BLOCKS_A_FREEDOM)
    return float(stdtrit(freedom, beyond) / ndtri(beyond))

"""The uncertainty of a function's share in a sampled profile: exact 95 % intervals of a binomial share.

A sampler that found a function in k of n ticks estimates its share as k / n. The interval is Clopper and Pearson's
("The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934): its ends are
quantiles of beta distributions. Its width is never 0: 5 of 5 ticks give 48 to 100 %. Above EXACT_TICKS Wilson's
interval is used, which differs by less than 0.1 percentage points there and needs no iteration.

Only samples have intervals. Counts of instructions, calls and bytes, and measured durations, are not samples, even if
they vary between runs.
"""

from __future__ import annotations

import numpy as np

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

EXACT_TICKS = 10_000
# the columns that tables with an interval have, in percent
LOW, HIGH = "self_pct_low", "self_pct_high"
_TAIL = 0.025
_Z = 1.959963984540054  # the normal quantile of 1 - _TAIL
# formats of samplers that give the number of ticks
_SAMPLERS = ("pprof", "perf_script", "firefox")
_ROUNDING = 1e-6
_BISECTIONS = 40
_FRACTION = 300


def ticks_of(profile: Profile, metric: str | None = None) -> int:
    """The number of samples behind the costs in a metric; 0 if not sampled or not known.

    The metric must count samples, or have the same time for each: multiples of the header's period, apart from
    rounding. Other weights (elapsed time, bytes, differences) do not give a number of samples.
    """
    chosen = profile.metric(metric)
    if profile.format not in _SAMPLERS or not chosen.additive:
        return 0
    own = profile.self_costs(chosen.name)
    if not len(own) or (own < 0).any():
        return 0
    # perf samples several events, each with its own count
    if chosen.name.partition(":")[0] == "samples" and chosen.unit == "count":
        return round(float(own.sum()))
    period = profile.meta.get("period") or 0
    of_time = chosen.unit in ("ns", "us", "ms", "s")
    if period <= 1 or not of_time or profile.meta.get("period_type") != chosen.name:
        return 0
    ticks = own / period
    # a period of 1/150 s is cut to whole nanoseconds in the header, not in the values
    if (np.abs(ticks - np.rint(ticks)) > _ROUNDING * np.maximum(ticks, 1.0)).any():
        return 0
    return round(float(np.rint(ticks).sum()))


def interval(part: Any, whole: float, ticks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the 95 % intervals of ``part`` in ``whole``, in percent, from this number of ticks. NaN without ticks
    or a whole, and for negative parts."""
    share = np.asarray(part, dtype=np.float64) / (whole if whole > 0 else np.nan)
    if ticks <= 0:
        share = np.full_like(share, np.nan)
    share = np.where((share < 0) | (share > 1 + 1e-9), np.nan, np.minimum(share, 1.0))
    hits = share * ticks
    low, high = _exact(hits, ticks) if ticks <= EXACT_TICKS else _wilson(share, ticks)
    return 100.0 * low, 100.0 * high


def _wilson(share: NDArray[np.float64], ticks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    square = _Z * _Z / ticks
    middle = (share + square / 2) / (1 + square)
    width = _Z / (1 + square) * np.sqrt(share * (1 - share) / ticks + square / (4 * ticks))
    return np.where(share <= 0, 0.0 * share, middle - width), np.where(share >= 1, share, middle + width)


def _exact(hits: NDArray[np.float64], ticks: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hits may be fractions (shares of other weights): beta distributions allow that."""
    low = np.where(hits <= 0, 0.0 * hits, _beta_quantile(_TAIL, np.maximum(hits, 1e-9), ticks - hits + 1))
    misses = ticks - hits
    high = np.where(misses <= 0, 1.0 + 0.0 * hits, _beta_quantile(1 - _TAIL, hits + 1, np.maximum(misses, 1e-9)))
    return low, high


def _beta_quantile(p: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the distribution function of beta(a, b) is p, by bisection."""
    low, high = np.zeros_like(a), np.ones_like(a)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        below = _beta_cdf(middle, a, b) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(np.isnan(a + b), np.nan, (low + high) / 2)


def _beta_cdf(x: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22, Lentz's method)."""
    swapped = x > (a + 1) / (a + b + 2)
    x, a, b = np.where(swapped, 1 - x, x), np.where(swapped, b, a), np.where(swapped, a, b)
    from math import lgamma

    log_gamma = np.vectorize(lgamma, otypes=[float])
    with np.errstate(divide="ignore", invalid="ignore"):
        front = np.exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * np.log(x) + b * np.log1p(-x)) / a
        c, d = np.ones_like(x), 1 / (1 - (a + b) * x / (a + 1))
        value = d.copy()
        for m in range(1, _FRACTION):
            even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            for term in (even, odd):
                d, c = 1 / (1 + term * d), 1 + term / c
                value *= c * d
            if np.nanmax(np.abs(c * d - 1), initial=0.0) < 1e-12:
                break
    part = np.where(x <= 0, 0.0, front * value)
    return np.where(swapped, 1 - part, part)

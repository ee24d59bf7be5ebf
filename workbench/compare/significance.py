"""Whether two counts differ by more than chance, and by how much: exact tests, corrected for the number of tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.stats.false_discovery import adjusted

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
# System calls come in groups of about ten: a commit makes some ten writes and locks. Used if a single step does not
# show how much their counts vary; as in workbench.analysis.growth.
CALLS_COME_IN = 10.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """after / before - 1 in percent with its interval, and the probability ``p`` of a difference this large by chance.
    NaN: not known."""

    change_pct: float
    low_pct: float
    high_pct: float
    p: float


def rates(before: tuple[float, float], after: tuple[float, float], dispersion: float = 1.0) -> Ratio:
    """Two rates from counts and exposures (receipts, say), each ``(count, exposure)``.

    Given their sum, the later count is binomial: the exact conditional test of two Poisson rates (Przyborowski and
    Wilenski 1940) with Clopper and Pearson's interval. ``dispersion``: how many times larger the variance of the counts
    is than Poisson's; they are divided by it. The interval uses the quotients without rounding, since rounding small
    counts would change the rate.
    """
    from scipy.stats import binomtest

    (one, exposed), (other, exposed_then) = before, after
    if one <= 0 and other <= 0:
        return Ratio(0.0, math.nan, math.nan, 1.0)
    share = exposed_then / (exposed + exposed_then)
    scatter = max(dispersion, 1.0)
    counts = [max(0, round(count / scatter)) for count in (one, other)]
    change = 100 * ((other / exposed_then) / (one / exposed) - 1) if one > 0 else math.inf
    if not sum(counts):
        return Ratio(change, math.nan, math.nan, 1.0)
    low, high = (_percent(end, share) for end in _clopper_pearson(other / scatter, (one + other) / scatter))
    return Ratio(change, low, high, float(binomtest(counts[1], sum(counts), share).pvalue))


def _clopper_pearson(some: float, all_: float) -> tuple[float, float]:
    """The interval of a share if ``some`` of ``all_`` were seen. They need not be whole numbers, since Clopper and
    Pearson's ends are quantiles of beta distributions."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, some, all_ - some + 1)) if some > 0 else 0.0
    return low, float(beta.isf(tail, some + 1, all_ - some)) if some < all_ else 1.0


def shares(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The probability that two equal shares, each ``(count, of)``, differ this much by chance: Fisher's exact test,
    since Boschloo's cannot handle large counts."""
    from scipy.stats import fisher_exact

    table = [[one, of - one] for one, of in (before, after)]
    return float(fisher_exact(table).pvalue)


def corrected(chances: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """P values adjusted such that at most a share q of those called real at q is false: Benjamini and Hochberg (1995).
    NaN stays NaN and is not counted."""
    values = np.asarray(chances, dtype=np.float64)
    known = ~np.isnan(values)
    out = np.full(len(values), np.nan)
    out[known] = adjusted(values[known])
    return out


def dispersion(counts: Sequence[float], exposures: Sequence[float]) -> tuple[float, int]:
    """The variance of the steps' counts about one rate, in multiples of Poisson's (Pearson's chi-squared over its
    degrees of freedom), and these degrees; NaN and 0 with fewer than two steps."""
    observed, exposed = np.asarray(counts, dtype=np.float64), np.asarray(exposures, dtype=np.float64)
    if len(observed) < 2 or not observed.sum() > 0:
        return math.nan, 0
    expected = exposed * observed.sum() / exposed.sum()
    free = len(observed) - 1
    return float(((observed - expected) ** 2 / expected).sum() / free), free


def joint_dispersion(sides: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """The dispersion of the steps of both sides together, at least 1; CALLS_COME_IN if neither has two steps."""
    found = [dispersion(counts, exposures) for counts, exposures in sides]
    free = sum(degrees for _, degrees in found)
    if not free:
        return CALLS_COME_IN
    return max(1.0, sum(value * degrees for value, degrees in found if degrees) / free)


def _percent(part: float, share: float) -> float:
    """A share of the later count, converted to a change of the rate in percent."""
    return math.inf if part >= 1 else 100 * ((part / (1 - part)) / (share / (1 - share)) - 1)

"""Where a figure changed over the runs of a service.

Candidates are found by PELT (Killick, Fearnhead and Eckley 2012, in the library ``ruptures``) with squared deviations
as cost and a penalty of PENALTY * variance * log n. The scatter is that of the differences of neighbours, because a
change would enlarge any other and hide itself. Each candidate is then tested as in Apache Otava: Welch's t-test of the
runs on its two sides. The least significant one is dropped and its neighbours are joined, until all that are left are
significant. A single slow run on a busy machine is no change: before all this, each figure is limited to OUTLIER
standard deviations from the median of the five runs around it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Series = NDArray[np.float64]

FEWEST = 2
"""The fewest runs on each side of a change: a change is found two runs after it happened."""
PENALTY = 4.0
SIGNIFICANCE = 0.001
OUTLIER = 4.0
_AROUND = 2  # runs on each side
# figures that differ by less than this share are equal
_EXACT = 1e-7
# the median of the absolute differences of neighbours, in standard deviations of the figures
_MAD_OF_DIFFERENCES = 0.9539


@dataclass(frozen=True, slots=True)
class Change:
    """A change between two runs: ``first`` is the index of the first run after it. ``before`` and ``after`` are the
    medians of the runs up to the neighbouring changes; ``p`` is the probability of such a difference by chance (0 if
    the figures do not scatter)."""

    first: int
    before: float
    after: float
    p: float

    @property
    def percent(self) -> float:
        """The change in percent of the figure before it; NaN if that was 0."""
        return 100 * (self.after - self.before) / abs(self.before) if self.before else float("nan")


def change_points(values: Sequence[float], significance: float = SIGNIFICANCE) -> list[Change]:
    """The changes in a series of figures, in the order of the runs; none if there are fewer than 2 * FEWEST runs."""
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * FEWEST or np.ptp(series) == 0:
        return []
    # smaller differences count as none
    least = _EXACT * float(np.max(np.abs(series)))
    scatter = max(float(np.median(np.abs(np.diff(series)))) / _MAD_OF_DIFFERENCES, least)
    calm = _without_outliers(series, scatter)
    bounds = [0, *_candidates(calm / scatter), len(series)]
    while True:
        threes = zip(bounds, bounds[1:], bounds[2:], strict=False)
        tested = [(_p(calm[begin:first], calm[first:end], least), first) for begin, first, end in threes]
        weakest = max(tested, default=None)
        if weakest is None or weakest[0] <= significance:
            break
        bounds.remove(weakest[1])
    parts = [float(np.median(series[begin:end])) for begin, end in itertools.pairwise(bounds)]
    return [Change(first, parts[at], parts[at + 1], p) for at, (p, first) in enumerate(tested)]


def _without_outliers(series: Series, scatter: float) -> Series:
    """The series with each value at most OUTLIER times the scatter from the median of the runs around it."""
    padded = np.pad(series, _AROUND, mode="reflect")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1), axis=1)
    clipped: Series = np.clip(series, middle - OUTLIER * scatter, middle + OUTLIER * scatter)
    return clipped


def _candidates(series: Series) -> list[int]:
    """The first indices of segments with different means, in a series with a scatter of 1."""
    from ruptures import KernelCPD

    model = KernelCPD(kernel="linear", min_size=FEWEST).fit(series)  # PELT of squared deviations, compiled
    return [int(bound) for bound in model.predict(pen=PENALTY * float(np.log(len(series))))[:-1]]


def _p(before: Series, after: Series, least: float) -> float:
    """The probability that the runs on both sides differ this much by chance (Welch's t-test, two-sided)."""
    from scipy.special import stdtr

    difference = abs(float(after.mean() - before.mean()))
    if max(float(before.std()), float(after.std())) <= least:
        return 0.0 if difference > least else 1.0
    parts = [float(side.var(ddof=1)) / len(side) for side in (before, after)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (before, after), strict=True)
    )
    return float(2 * stdtr(freedom, -difference / math.sqrt(sum(parts))))

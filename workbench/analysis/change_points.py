"""Where a figure changed over the runs of a service.

Candidates are found by PELT (Killick, Fearnhead and Eckley 2012, as in the library ``ruptures``) with a cost of squared
deviations and a penalty of PENALTY times variance times log n. The scatter is that of the differences of neighbours, so
that a change does not hide itself by making it larger. Each candidate is then tested: Welch's t-test of the runs on its
two sides, as Apache Otava does. The one that says least is dropped and its neighbours are joined, until all that are
left say enough. A single slow run on a busy machine is no change: before all this, a figure is brought to within
OUTLIER standard deviations of the median of five runs around it.
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
"""Runs on each side of a change, at least: it is seen two runs after it happened."""
PENALTY = 4.0
SIGNIFICANCE = 0.001
OUTLIER = 4.0
_AROUND = 2  # runs on each side
# counts that are the same to so many parts do not scatter; what differs by more has changed
_EXACT = 1e-7
# the median of absolute differences of neighbours, over the standard deviation of what they are taken from
_MAD_OF_DIFFERENCES = 0.9539


@dataclass(frozen=True, slots=True)
class Change:
    """A change between two runs: ``first`` is the index of the first run after it. ``before`` and ``after`` are the
    medians of the runs up to the neighbouring changes; ``p`` is the probability of such a difference by chance (0 where
    the figures do not scatter)."""

    first: int
    before: float
    after: float
    p: float

    @property
    def percent(self) -> float:
        """By how much the figure changed, in percent of what it was; NaN where that was 0."""
        return 100 * (self.after - self.before) / abs(self.before) if self.before else float("nan")


def change_points(values: Sequence[float], significance: float = SIGNIFICANCE) -> list[Change]:
    """The changes in a series of figures, in order of the runs; none in fewer than twice FEWEST."""
    series = np.asarray(values, dtype=np.float64)
    if len(series) < 2 * FEWEST or np.ptp(series) == 0:
        return []
    # what is as good as the same
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
    """The series with each value no further from the median of those around it than OUTLIER times the scatter."""
    padded = np.pad(series, _AROUND, mode="reflect")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1), axis=1)
    clipped: Series = np.clip(series, middle - OUTLIER * scatter, middle + OUTLIER * scatter)
    return clipped


def _candidates(series: Series) -> list[int]:
    """Where segments begin that differ in their means, in a series that scatters by 1."""
    from ruptures import KernelCPD

    model = KernelCPD(kernel="linear", min_size=FEWEST).fit(series)  # PELT of squared deviations, compiled
    return [int(bound) for bound in model.predict(pen=PENALTY * float(np.log(len(series))))[:-1]]


def _p(before: Series, after: Series, least: float) -> float:
    """The probability that the runs on both sides of a change differ so much by chance (Welch's t-test, two-sided)."""
    from scipy.special import stdtr

    difference = abs(float(after.mean() - before.mean()))
    if max(float(before.std()), float(after.std())) <= least:
        return 0.0 if difference > least else 1.0
    parts = [float(side.var(ddof=1)) / len(side) for side in (before, after)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, (before, after), strict=True)
    )
    return float(2 * stdtr(freedom, -difference / math.sqrt(sum(parts))))

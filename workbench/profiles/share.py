"""Percentages, where there is something to be a part of.

A part is a percentage of a whole only where the whole is above zero and no part of it is below: the net of a
difference is no whole, and "the share" of a function in it can be anything. There percentages are NaN, which every
table shows as a dash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

# clocks that are read twice make single costs a little negative; a difference has more than that
_TOLERATED = 0.01


def whole_of(profile: Profile, metric: str | None = None) -> float:
    """What is 100 % in a profile: the sum of its self costs; NaN where that is not above 0, where negative costs are
    more than 1 % of it, as in a difference, or where the metric is a ratio, which has no sum."""
    chosen = profile.metric(metric)
    if not chosen.additive:
        return float("nan")
    both = profile.sums(chosen.name)
    whole, below = float(both[0]), -float(both[1])
    return whole if whole > 0 and below <= _TOLERATED * whole else float("nan")


def percent(values: Any, whole: float) -> NDArray[np.float64]:
    """``values`` in percent of ``whole``; NaN where that is not above 0."""
    return np.asarray(values, dtype=np.float64) / (whole if whole > 0 else np.nan) * 100.0

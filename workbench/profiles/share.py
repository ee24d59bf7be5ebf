"""Percentages, if there is a valid whole.

A percentage makes sense only if the whole is above zero and no part is negative: the net of a difference is not a
whole, and a "share" of it can be anything. Otherwise percentages are NaN, which tables show as a dash.
"""

from __future__ import annotations

import numpy as np

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

# two readings of a clock can make single costs slightly negative; differences have more
_TOLERATED = 0.01


def whole_of(profile: Profile, metric: str | None = None) -> float:
    """The 100 % of a profile: the sum of its self costs. NaN if that is not above 0, if negative costs are more than 1
    % of it (as in a difference), or if the metric is a ratio, which has no sum."""
    chosen = profile.metric(metric)
    if not chosen.additive:
        return float("nan")
    both = profile.sums(chosen.name)
    whole, below = float(both[0]), -float(both[1])
    return whole if whole > 0 and below <= _TOLERATED * whole else float("nan")


def percent(values: Any, whole: float) -> NDArray[np.float64]:
    """``values`` in percent of ``whole``; NaN if that is not above 0."""
    return np.asarray(values, dtype=np.float64) / (whole if whole > 0 else np.nan) * 100.0

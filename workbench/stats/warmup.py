"""Where the start-up of a series ends: the MSER-5 rule (White 1997; White, Cobb and Spratt 2000).

Five neighbours each are one group, and as many groups are cut off at the start as make the mean of the rest surest. A
group counts with its median, since one slow answer is no warm-up. By itself that rule cuts a little off any series;
so a start is only called a warm-up where it differs from the rest by more than chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.stats.bootstrap import block_length, long_run_variance

if TYPE_CHECKING:
    import numpy.typing as npt

GROUP = 5
MOST_GROUPS = 2_000
FEWEST_ROWS = 100
MOST_SHARE = 0.5
"""A start that is longer than this part of a series is none: the series does not settle."""
_SURE = 4.0
_MATTERS = 0.05


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The start of a series that differs from the rest.

    ``rows`` of the ``n`` belong to it, 0 where there is none; ``settles`` is False where no steady part was found,
    because the series still changes after half of it; None where there are too few rows to say (under 100). ``before``
    and ``after``: the means of the start and of the rest, in the unit of the values; NaN where there is no start.
    """

    n: int
    rows: int
    settles: bool | None
    before: float = math.nan
    after: float = math.nan


def warm_up(values: npt.ArrayLike) -> WarmUp:
    """Where the warm-up of ``values``, in the order of time, ends. Nothing is cut: that is for whoever reads it."""
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < FEWEST_ROWS:
        return WarmUp(n, 0, None)
    size = max(GROUP, -(-n // MOST_GROUPS))
    groups = x[: n // size * size].reshape(-1, size)
    middles = np.median(groups, axis=1)
    cut = _surest(middles)
    if not cut or not _differ(middles[:cut], middles[cut:]):
        return WarmUp(n, 0, True)
    return WarmUp(
        n,
        cut * size,
        settles=cut < int(len(groups) * MOST_SHARE),
        before=float(groups[:cut].mean()),
        after=float(groups[cut:].mean()),
    )


def _surest(groups: npt.NDArray[np.float64]) -> int:
    """How many groups to cut off so that the marginal standard error of the mean of the rest is least; half at most."""
    count = len(groups)
    left = np.arange(count, 0, -1)
    sums, squares = (np.cumsum(part[::-1])[::-1] for part in (groups - groups.mean(), (groups - groups.mean()) ** 2))
    errors = (squares - sums**2 / left) / left**2
    return int(np.argmin(errors[: int(count * MOST_SHARE) + 1]))


def _differ(start: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]) -> bool:
    """Whether the mean of the start is off from that of the rest by more than chance, and by enough to matter."""
    away = abs(float(start.mean() - rest.mean()))
    spread = long_run_variance(rest, max(1, min(round(block_length(rest)), len(rest) // 8)))
    error = math.sqrt(max(spread, 0.0) * (1 / len(start) + 1 / len(rest)))
    return away > _SURE * error and away > _MATTERS * abs(float(rest.mean()))

"""Where the start-up of a series ends: the MSER-5 rule (White 1997; White, Cobb and Spratt 2000).

Each five neighbours form a group, represented by its median, since one slow answer is no warm-up. Groups are cut off at
the start until the standard error of the mean of the rest is least. That rule alone cuts a little off any series, so a
start is called a warm-up only if it differs from the rest by more than chance.
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
"""The longest start, as a share of the series; with a longer one the series does not settle."""
_SURE = 4.0
_MATTERS = 0.05


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The start of a series, if it differs from the rest.

    ``rows`` of the ``n`` belong to it (0: none). ``settles`` is False if the series still changes after its first half,
    None with too few rows to tell (under 100). ``before`` and ``after``: the means of the start and of the rest, in the
    unit of the values; NaN if there is no start.
    """

    n: int
    rows: int
    settles: bool | None
    before: float = math.nan
    after: float = math.nan


def warm_up(values: npt.ArrayLike) -> WarmUp:
    """Where the warm-up of ``values``, in the order of time, ends. Nothing is removed from ``values``."""
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
    """How many groups to cut off so that the marginal standard error of the mean of the rest is least; at most half."""
    count = len(groups)
    left = np.arange(count, 0, -1)
    sums, squares = (np.cumsum(part[::-1])[::-1] for part in (groups - groups.mean(), (groups - groups.mean()) ** 2))
    errors = (squares - sums**2 / left) / left**2
    return int(np.argmin(errors[: int(count * MOST_SHARE) + 1]))


def _differ(start: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]) -> bool:
    """Whether the mean of the start differs from that of the rest by more than chance, and by enough to matter."""
    away = abs(float(start.mean() - rest.mean()))
    spread = long_run_variance(rest, max(1, min(round(block_length(rest)), len(rest) // 8)))
    error = math.sqrt(max(spread, 0.0) * (1 / len(start) + 1 / len(rest)))
    return away > _SURE * error and away > _MATTERS * abs(float(rest.mean()))

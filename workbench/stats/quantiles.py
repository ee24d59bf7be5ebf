"""Percentiles with their intervals, or the reason why there is none.

The interval of a quantile needs no assumption about the distribution: the share of rows up to the true quantile is a
mean of zeros and ones. Its interval (:mod:`workbench.stats.bootstrap`) gives two ranks, and the values at those ranks
bound the quantile.

Two rules. A percentile needs ten rows beyond it (p50 needs 20 rows, p95 200, p99 1,000), because otherwise one hiccup
decides it; with fewer there is no value. An interval needs FEWEST_BEYOND **independent** rows beyond the percentile and
FEWEST in all, because a thousand correlated rows may tell as much as fifty independent ones; with fewer there is a
value, which describes these rows, and no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.stats.bootstrap import (
    LEVEL,
    REPLICATES,
    Dependence,
    dependence,
    interval_of,
    mean_replicates,
    rank_of,
    ranks,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.stats.bootstrap import Floats

SHARES = (0.5, 0.9, 0.95, 0.99)
ROWS_BEYOND = 10
FEWEST_BEYOND = 7
FEWEST = 25


@dataclass(frozen=True, slots=True)
class Quantile:
    """One percentile of ``n`` values.

    ``share``: 0.95 is p95. ``value``, ``low``, ``high`` are in the unit of the values; the interval is of 95 % unless
    another level was requested. ``effective_n``: how many independent values would tell as much. ``refused`` says why
    the interval, or the value too, is NaN; empty if both exist.
    """

    share: float
    value: float
    low: float
    high: float
    n: int
    effective_n: float
    refused: str = ""

    @property
    def name(self) -> str:
        """``p95``; ``p99.9``."""
        return f"p{100 * self.share:.10g}"


@dataclass(frozen=True, slots=True)
class Ranks:
    """The interval of a quantile as positions (from 0) among ``n`` sorted values; or why there is none."""

    low: int
    high: int
    refused: str = ""


def quantiles(
    values: npt.ArrayLike, shares: Sequence[float] = SHARES, *, level: float = LEVEL, seed: int = 0
) -> tuple[Quantile, ...]:
    """The quantiles at ``shares`` of ``values``, which are in the order of time (for latencies: of sending)."""
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    ordered = np.sort(x)
    together = dependence(ranks(x))

    def below(share: float) -> Floats:
        found: Floats = (x <= ordered[rank_of(n, share)]).astype(np.float64)
        return found

    found = rank_intervals(n, shares, below, together, level=level, seed=seed)
    return tuple(
        of_ranks(share, one, n, together.effective_n, lambda rank: float(ordered[rank]))
        for share, one in zip(shares, found, strict=True)
    )


def rank_intervals(
    n: int,
    shares: Sequence[float],
    below: Callable[[float], Floats],
    together: Dependence,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[Ranks, ...]:
    """The interval of each quantile of ``n`` values as positions among the sorted values.

    ``below(share)``: in the order of time, the share of rows up to that quantile; one entry per row, or per group of
    equally many neighbours if there are too many rows for memory. ``together``: the correlation of the ranks of the
    same entries.
    """
    found = []
    for number, share in enumerate(shares):
        refused = too_few(n, share) or hang_together(n, share, together.effective_n)
        if refused:
            found.append(Ranks(0, 0, refused))
            continue
        entries = below(share)
        drawn = mean_replicates(entries, block=together.block, replicates=REPLICATES, seed=seed * 1009 + number)
        around = interval_of(drawn - float(entries.mean()) + share, level)
        low, high = math.floor(n * around.low) - 1, math.floor(n * around.high)
        found.append(Ranks(max(low, 0), min(high, n - 1)))
    return tuple(found)


def of_ranks(share: float, found: Ranks, n: int, effective_n: float, value: Callable[[int], float]) -> Quantile:
    """The quantile of ``n`` values whose interval was ``found``; ``value(rank)`` is the value at a position from 0."""
    middle = math.nan if too_few(n, share) else value(rank_of(n, share))
    low, high = (math.nan, math.nan) if found.refused else (value(found.low), value(found.high))
    return Quantile(share, middle, low, high, n, effective_n, found.refused)


def too_few(n: int, share: float) -> str:
    """Why ``n`` rows are too few for this quantile; empty if they are enough."""
    needed = round(ROWS_BEYOND / min(share, 1 - share), 6)
    return "" if n >= needed else f"{_name(share)} needs {math.ceil(needed):,} rows, found {n:,}"


def hang_together(n: int, share: float, effective_n: float) -> str:
    """Why correlated rows are too few for an interval of this quantile; empty if they are enough."""
    needed = max(FEWEST, FEWEST_BEYOND / min(share, 1 - share))
    if effective_n >= needed or effective_n >= n:
        return ""
    return (
        f"neighbouring rows are correlated: {n:,} of them tell as much as {effective_n:,.0f} independent ones, and the "
        f"interval of {_name(share)} needs {math.ceil(round(needed, 6)):,}"
    )


def grouped(parts: Iterable[npt.ArrayLike], size: int) -> Iterator[Floats]:
    """Means of each ``size`` consecutive values of all ``parts`` joined; an incomplete last group is left out."""
    left = np.empty(0)
    for part in parts:
        left = np.concatenate([left, np.asarray(part, dtype=np.float64)])
        whole = len(left) // size
        yield left[: whole * size].reshape(whole, size).mean(axis=1)
        left = left[whole * size :]


def _name(share: float) -> str:
    return f"p{100 * share:.10g}"

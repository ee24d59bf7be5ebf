"""Steps that were measured several times: what the repeats say together.

A step's own interval shows how exact its figure is under the conditions of that step. It does not include what changes
from one step to the next (a cache, other users of the machine, the time of day). So claims rest on repeats: each gives
one figure, and the interval of their mean is Student's t over these figures (Kalibera and Jones 2013). One repeat has
no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.stats.student import quantile

if TYPE_CHECKING:
    import pandas as pd

FIGURES = (
    "throughput_per_s",
    "response_p50_ms",
    "response_p90_ms",
    "response_p95_ms",
    "response_p99_ms",
    "service_p50_ms",
    "service_p99_ms",
)
COLUMNS = ("receipts", "figure", "repeats", "mean", "low", "high", "lowest", "highest", "spread_pct")
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Repeated:
    """One figure of several repeats: ``mean`` with its 95 % interval ``low`` to ``high`` (NaN for fewer than two)."""

    repeats: int
    mean: float
    low: float
    high: float


def together(values: Sequence[float]) -> Repeated:
    """The mean of several repeats with its interval; NaN values are left out."""
    known = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if not len(known):
        return Repeated(0, math.nan, math.nan, math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Repeated(1, mean, math.nan, math.nan)
    margin = quantile((1 + _LEVEL) / 2, len(known) - 1) * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Repeated(len(known), mean, mean - margin, mean + margin)


def repeats_table(steps: pd.DataFrame) -> pd.DataFrame:
    """A row for each size of step that was measured more than once and each of FIGURES.

    Columns: ``receipts`` of the step; ``figure``; ``repeats``: how many are valid, without a profiler, and have it;
    ``mean``, ``low`` and ``high`` (95 % interval of the mean), ``lowest`` and ``highest`` repeat, in the figure's unit;
    ``spread_pct``: from the lowest to the highest, in percent of the mean. Empty if each step was measured once.
    """
    import pandas as pd

    rows = []
    if len(steps) and "repeat" in steps:
        own = steps[(steps["kind"] == "step") & (steps["profiler"] == "none")]
        for receipts, of_size in own.groupby("receipts", sort=True):
            valid = of_size[of_size["verdict"] != "INVALID"]
            if of_size["repeat"].nunique() < 2:
                continue
            for figure in FIGURES:
                values = valid[figure].dropna()
                found = together(values.tolist())
                spread = 100 * (values.max() - values.min()) / found.mean if found.repeats > 1 else math.nan
                rows.append((receipts, figure, *_cells(found), values.min(), values.max(), spread))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sentences(table: pd.DataFrame) -> list[str]:
    """The median and p95 of each size in words."""
    said = []
    for receipts, rows in table.groupby("receipts", sort=True):
        by = rows.set_index("figure")
        parts = [
            f"{label} {row['mean']:,.4g} ({row['low']:,.4g} to {row['high']:,.4g}) {unit}"
            for name, label, unit in (
                ("throughput_per_s", "throughput", "/s"),
                ("response_p50_ms", "response p50", "ms"),
                ("response_p95_ms", "p95", "ms"),
            )
            if (row := by.loc[name])["repeats"] > 1
        ]
        repeats = int(by.loc["throughput_per_s", "repeats"])
        what = ", ".join(parts) or "too few valid repeats"
        said.append(f"{receipts:,} receipts, {repeats} valid repeats: {what}")
    return said


def _cells(found: Repeated) -> tuple[int, float, float, float]:
    return found.repeats, found.mean, found.low, found.high

"""The noise floor of a target: how far two equal loads differ (A/A). Smaller differences mean nothing. Pure.

Loads run in pairs whose order alternates (A B, B A, A B ..), so that a drift does not look like a difference. The
differences of the pairs, in percent of the pair's mean, scatter around 0. The **floor** of a figure is what 95 % of
them stay below: their scatter times Student's t for the number of pairs, or the 95th percentile of those seen if that
is larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workbench.analysis.repeats import FIGURES
from workbench.analysis.step_row import StepRow
from workbench.stats.student import quantile

LEVEL = 0.95
FEWEST_PAIRS = 3


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise floor of one figure.

    ``differences_pct``: B minus A of each valid pair, in percent of their mean. ``floor_pct``: two equal loads can
    differ by this much (NaN for fewer than FEWEST_PAIRS pairs). ``bias_pct``: the mean of the differences, near 0 if
    nothing drifts.
    """

    figure: str
    pairs: int
    floor_pct: float
    bias_pct: float
    differences_pct: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Floor:
        """The inverse of :meth:`to_json`; null is NaN."""
        numbers = {name: math.nan if facts[name] is None else float(facts[name]) for name in ("floor_pct", "bias_pct")}
        differences = tuple(float(one) for one in facts["differences_pct"])
        return cls(str(facts["figure"]), int(facts["pairs"]), **numbers, differences_pct=differences)


def noise_floors(rows: Sequence[StepRow]) -> tuple[Floor, ...]:
    """The floor of each of FIGURES, from equal loads in order; two at a time are a pair. Pairs with an INVALID load, or
    without the figure, are left out."""
    steps = [row for row in rows if row.kind == "step"]
    pairs = list(zip(steps[0::2], steps[1::2], strict=False))
    return tuple(_floor(figure, pairs) for figure in FIGURES)


def _floor(figure: str, pairs: Sequence[tuple[StepRow, StepRow]]) -> Floor:
    found = []
    for number, (first, second) in enumerate(pairs):
        one, other = float(getattr(first, figure)), float(getattr(second, figure))
        valid = "INVALID" not in (first.verdict, second.verdict)
        if valid and one + other > 0:  # False for NaN
            found.append((-1) ** number * 200 * (other - one) / (one + other))
    if len(found) < FEWEST_PAIRS:
        return Floor(figure, len(found), math.nan, math.nan, tuple(found))
    away = np.abs(found)
    spread = float(np.sqrt((away**2).mean()))  # around 0: equal loads have no difference
    floor = max(quantile((1 + LEVEL) / 2, len(found)) * spread, float(np.quantile(away, LEVEL)))
    return Floor(figure, len(found), floor, float(np.mean(found)), tuple(found))


def sentence(floor: Floor) -> str:
    """One floor in words."""
    if math.isnan(floor.floor_pct):
        return f"{floor.figure}: not known: {floor.pairs} valid pairs, at least {FEWEST_PAIRS} are needed"
    return f"{floor.figure}: differences below {floor.floor_pct:.1f} % are noise ({floor.pairs} pairs)"

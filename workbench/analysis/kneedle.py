"""Kneedle: where a curve bends most (Satopaa, Albrecht, Irwin and Raghavan 2011). Pure.

Both axes are scaled to 0..1. The knee is where the curve is farthest from the straight line between its ends. The paper
also smooths the curve; here each of the few points is a measurement.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_POINTS = 5
LEAST_BEND = 0.1
"""The least distance of a bend from the straight line, as a share of the curve's rise."""

Bend = Literal["down", "up"]


def knee(x: ArrayLike, y: ArrayLike, bend: Bend) -> float:
    """The x at which ``y`` bends ``down`` most (a throughput that levels off) or ``up`` (a latency that takes off).

    ``x`` rises. NaN if there are fewer than 5 points, or if the curve bends by less than a tenth of its rise.
    """
    across, up = _scaled(np.asarray(x, dtype=np.float64)), _scaled(np.asarray(y, dtype=np.float64))
    if len(across) < LEAST_POINTS or not np.isfinite(up).all() or not np.isfinite(across).all():
        return float("nan")
    away = up - across if bend == "down" else across - up
    at = int(np.argmax(away))
    return float(np.asarray(x, dtype=np.float64)[at]) if away[at] >= LEAST_BEND else float("nan")


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    span = float(values.max() - values.min()) if len(values) else 0.0
    return (values - values.min()) / span if span else np.full(len(values), np.nan)

"""How much the cost of a receipt rises over a sweep, and whether that is worth a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.fit import FORMS, GROWTH_PART, MARGINAL_PART, Fit, Windows

if TYPE_CHECKING:
    from workbench.analysis.fit import Flags, Floats, Whole

FEWEST_STEPS = 3
# The least rise of a receipt's cost from start to end of the sweep, without fixed cost; with three steps it is larger.
LEAST_RISE = 0.10
LEAST_RISE_OF_THREE = 0.25
# With three steps, the middle one must show this part of the rise that a straight line gives it.
LEAST_PART_OF_WAY = 1 / 3
# The rise must be this part of the whole cost of the largest step.
LEAST_PART_OF_WHOLE = 0.005


def shape(form: Whole, at: float) -> Floats:
    """g(x) of each place's form."""
    return np.where(form == FORMS.index("n log n"), np.log(max(at, 1.0)), at)


def rise_of(fits: Fit, form: Whole, windows: Windows) -> Floats:
    """How much more a receipt costs at the largest position than at the smallest, as a share of the latter, without the
    fixed cost."""
    first, last = (shape(form, float(at)) for at in (windows.position.min(), windows.position.max()))
    marginal, growing = fits.coefficients[:, MARGINAL_PART], fits.coefficients[:, GROWTH_PART]
    start = marginal + growing * first
    return np.divide(growing * (last - first), start, out=np.zeros(len(start)), where=start > 0)


def seen_to_rise(costs: Floats, windows: Windows) -> Flags:
    """Whether the measured costs rise. A model of three positions cannot be tested against them. So the cost per
    receipt at the largest must be above that of each other step by LEAST_RISE_OF_THREE, and the middle one must show
    LEAST_PART_OF_WAY of the rise of a straight line. Periodic work comes in bursts, and a burst in the largest step
    alone is no growth."""
    positions = np.unique(windows.position)
    if len(positions) > FEWEST_STEPS:
        return np.ones(len(costs), dtype=bool)
    each, largest = costs / windows.receipts, windows.position == positions[-1]
    last, before = each[:, largest].mean(axis=1), each[:, ~largest].max(axis=1, initial=0.0)
    rises = np.asarray(last >= (1 + LEAST_RISE_OF_THREE) * before, dtype=bool)
    first = each[:, windows.position == positions[0]].mean(axis=1)
    for at in positions[1:-1]:
        way = (at - positions[0]) / (positions[-1] - positions[0])
        middle = each[:, windows.position == at].mean(axis=1)
        rises &= middle - first >= LEAST_PART_OF_WAY * way * (last - first)
    return rises


def matters(fits: Fit, form: Whole, rise: Floats, windows: Windows, whole: Floats) -> Flags:
    """Whether a rise is worth a flag, for the place and for the whole."""
    least = LEAST_RISE if len(np.unique(windows.position)) > FEWEST_STEPS else LEAST_RISE_OF_THREE
    first, last = (shape(form, float(at)) for at in (windows.position.min(), windows.position.max()))
    end = int(np.argmax(windows.position))
    part = fits.coefficients[:, GROWTH_PART] * (last - first) * windows.receipts[end]
    return np.asarray((rise >= least) & (part >= LEAST_PART_OF_WHOLE * whole[end]), dtype=bool)

"""False discovery rates (Benjamini and Hochberg 1995): of what many tests flag, which part is flagged wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def false_discovery_rates(p: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each of the ``tested`` the rate at which it would be the last to be flagged (the step-up adjustment of its
    ``p``); 1 for the others."""
    q = np.ones(len(p))
    chosen = p[tested]
    falling = np.argsort(-chosen, kind="stable")
    adjusted = np.empty(len(chosen))
    adjusted[falling] = np.minimum.accumulate(chosen[falling] * len(chosen) / np.arange(len(chosen), 0, -1))
    q[tested] = np.minimum(adjusted, 1.0)
    return q

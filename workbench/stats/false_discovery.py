"""False discovery rates (Benjamini and Hochberg 1995): of what many tests flag, which part is flagged wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def false_discovery_rates(p: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each of the ``tested`` the rate at which it would be the last to be flagged (the step-up adjustment of its
    ``p``); 1 for the others."""
    from scipy.stats import false_discovery_control

    q = np.ones(len(p))
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q

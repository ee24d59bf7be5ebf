"""False discovery rates (Benjamini and Hochberg 1995): the expected share of wrong flags among everything that many
tests flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def false_discovery_rates(p: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each of the ``tested`` the lowest false discovery rate at which it is flagged (the step-up adjustment of its
    ``p``); 1 for the others."""
    from scipy.stats import false_discovery_control

    q = np.ones(len(p))
    if tested.any():
        q[tested] = false_discovery_control(p[tested])
    return q

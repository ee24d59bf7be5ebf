"""False discovery rates: the expected share of wrong flags among everything that many tests flag.

``scipy.stats.false_discovery_control`` gives the same figures, and its import takes longer than everything else in the
report of a profiled run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def adjusted(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each chance the lowest false discovery rate at which it is flagged: the step-up procedure of Benjamini and
    Hochberg (1995). The k-th smallest of n is multiplied by n / k, and none is larger than a later one."""
    order = np.argsort(p)
    stepped = p[order] * (len(p) / np.arange(1, len(p) + 1))
    q = np.empty(len(p))
    q[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    return np.minimum(q, 1.0)


def false_discovery_rates(p: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The :func:`adjusted` chances of the ``tested``; 1 for the others."""
    q = np.ones(len(p))
    q[tested] = adjusted(p[tested])
    return q

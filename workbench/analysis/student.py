"""Student's t for whole degrees of freedom, exactly: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.

With so few steps as a sweep has, the normal distribution would make intervals far too narrow; these few lines spare a
dependency larger than the rest of the workbench.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upper_tail(t: NDArray[np.float64], df: int) -> NDArray[np.float64]:
    """The chance of a value above ``t``, for ``df`` degrees of freedom (1 or more)."""
    if df < 1:
        raise ValueError(f"degrees of freedom must be 1 or more, found {df}")
    values = np.asarray(t, dtype=np.float64)
    angle = np.arctan(values / math.sqrt(df))
    sine, cosine = np.sin(angle), np.cos(angle)
    odd = df % 2
    # odd: cos + 2/3 cos^3 + 2*4/(3*5) cos^5 ...; even: 1 + 1/2 cos^2 + 1*3/(2*4) cos^4 ...
    term = cosine if odd else np.ones_like(cosine)
    series = np.zeros_like(cosine)
    for power in range(odd, df - 1, 2):
        series = series + term
        term = term * cosine**2 * (power + 1) / (power + 2)
    inside = (2 / math.pi) * (angle + sine * series) if odd else sine * series
    return np.asarray(np.clip((1 - inside) / 2, 0.0, 1.0), dtype=np.float64)


def quantile(p: float, df: int) -> float:
    """The value below which a share ``p`` lies (0.5 < p < 1)."""
    if not 0.5 < p < 1:
        raise ValueError(f"a share between 0.5 and 1 is needed, found {p}")
    low, high = 0.0, 1.0
    while upper_tail(np.array([high]), df)[0] > 1 - p:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if upper_tail(np.array([middle]), df)[0] > 1 - p:
            low = middle
        else:
            high = middle
    return (low + high) / 2

"""Student's t, from scipy. A sweep has few steps, so the normal distribution would make intervals too narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upper_tail(t: NDArray[np.float64], df: int) -> NDArray[np.float64]:
    """The probability of a value above ``t``, for ``df`` degrees of freedom (1 or more)."""
    from scipy.special import stdtr

    if df < 1:
        raise ValueError(f"degrees of freedom must be 1 or more, found {df}")
    return np.asarray(stdtr(df, -np.asarray(t, dtype=np.float64)), dtype=np.float64)


def quantile(p: float, df: int) -> float:
    """The value below which a share ``p`` lies (0.5 < p < 1)."""
    from scipy.special import stdtrit

    if not 0.5 < p < 1:
        raise ValueError(f"p must be between 0.5 and 1, found {p}")
    if df < 1:
        raise ValueError(f"degrees of freedom must be 1 or more, found {df}")
    return float(stdtrit(df, p))

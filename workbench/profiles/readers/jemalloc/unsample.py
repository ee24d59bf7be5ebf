"""Scales sampled values up to allocated ones, as jeprof does.

jemalloc samples bytes as a Poisson process: an allocation of ``size`` bytes is sampled with the probability ``1 -
exp(-size / period)``. So a stack's samples are divided by that probability at their mean size.

Source: ``AdjustSamples`` of jeprof (sampling version 2). Its exponential of a small number loses digits, ours does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unsampled(objects: NDArray[np.int64], size: NDArray[np.int64], period_bytes: int) -> NDArray[np.float64]:
    """The allocations that sampled ``objects`` with ``size`` bytes in sum stand for: two columns, objects and bytes.
    Unchanged without a size or a number, and if each allocation was recorded (period 0)."""
    recorded = np.column_stack((objects, size)).astype(np.float64)
    if period_bytes == 0:
        return recorded
    some = (recorded > 0).all(axis=1)
    mean = recorded[:, 1] / np.where(some, recorded[:, 0], 1.0)
    seen = np.where(some, -np.expm1(-mean / period_bytes), 1.0)
    return np.asarray(recorded / seen[:, None])

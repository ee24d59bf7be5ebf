"""When each receipt is sent: a pure function from index to intended time.

An open loop has an absolute plan: every intended time is known before the first request, so a late request is seen
as late and does not push the others back. A closed loop has no times: a request starts when one before it ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.errors import SettingsError

NS_PER_S = 1_000_000_000
MAX_PLAN_S = 7 * 86_400
CHUNK = 1_000_000
"""Gaps that are drawn at once: a plan of many receipts is summed up by as many, and only what is asked for is kept."""


@dataclass(frozen=True)
class OpenPlan:
    """``count`` receipts at ``rate`` per second on an absolute schedule."""

    count: int
    rate: float
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 1

    def __post_init__(self) -> None:
        _require_count(self.count)
        if not 0 < self.rate < float("inf"):
            raise SettingsError(f"rate must be a positive number of receipts per second, found {self.rate}")
        if self.count / self.rate > MAX_PLAN_S:
            raise SettingsError(
                f"{self.count} receipts at {self.rate:g}/s would take {self.count / self.rate / 86400:.0f} days",
                where="rate",
                hint="Raise the rate, or send fewer",
            )
        if self.arrivals not in ("constant", "poisson"):
            raise SettingsError(f"arrivals must be constant or poisson, found {self.arrivals!r}")

    def offsets_ns(self, worker: int = 0, workers: int = 1) -> npt.NDArray[np.int64]:
        """Intended times in nanoseconds after the start, in order; the first of all is 0.

        Of every ``workers``-th receipt from ``worker`` on: the same times as in the whole plan, and no others are held.
        constant: i / rate. poisson: gaps drawn from the exponential distribution with mean 1 / rate, from ``seed``.
        """
        if self.arrivals == "constant":
            indexes = np.arange(worker, self.count, workers)
            constant: npt.NDArray[np.int64] = np.rint(indexes * (NS_PER_S / self.rate)).astype(np.int64)
            return constant
        random, passed = np.random.default_rng(self.seed), 0.0
        offsets = np.empty(len(range(worker, self.count, workers)), dtype=np.int64)
        for begin in range(0, self.count, CHUNK):
            gaps = random.exponential(NS_PER_S / self.rate, min(CHUNK, self.count - begin))
            # added one after the other, as over the whole plan at once: the same to the last bit
            gaps[0] = passed + gaps[0] if begin else 0
            times = np.cumsum(gaps)
            passed = float(times[-1])
            own = times[(worker - begin) % workers :: workers]
            first = -(-max(0, begin - worker) // workers)
            offsets[first : first + len(own)] = np.rint(own)
        return offsets


@dataclass(frozen=True)
class ClosedPlan:
    """``count`` receipts with ``concurrency`` requests in flight at any time."""

    count: int
    concurrency: int

    def __post_init__(self) -> None:
        _require_count(self.count)
        if self.concurrency < 1:
            raise SettingsError(f"concurrency must be at least 1, found {self.concurrency}")


Plan = OpenPlan | ClosedPlan


def _require_count(count: int) -> None:
    if count < 1:
        raise SettingsError(f"the number of receipts must be at least 1, found {count}")

"""When each receipt is sent: a pure function from index to intended time.

An open loop has an absolute plan: every intended time is known before the first request, so a late request counts as
late and does not delay the others. A closed loop has no times: a request starts when an earlier one ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import SettingsError
from workbench.ramp import FORM, Ramp, is_ramp

NS_PER_S = 1_000_000_000
MAX_PLAN_S = 7 * 86_400
CHUNK = 1_000_000
"""How many gaps are drawn at a time, so that of a long plan only the requested times are in memory."""


@dataclass(frozen=True)
class OpenPlan:
    """``count`` receipts on an absolute schedule.

    ``arrivals``: ``constant`` and ``poisson`` at ``rate`` per second; a ramp such as ``ramp:100:2000:60s`` contains its
    rates, and ``rate`` is None.
    """

    count: int
    rate: float | None
    arrivals: str = "constant"
    seed: int = 1

    def __post_init__(self) -> None:
        _require_count(self.count)
        if self.arrivals not in ("constant", "poisson") and not is_ramp(self.arrivals):
            raise SettingsError(f"arrivals must be constant, poisson or {FORM}, found {self.arrivals!r}")
        if self.ramp is not None:
            if self.rate is not None:
                raise SettingsError(f"{self.arrivals} sets its own rates, found the rate {self.rate:g}", where="rate")
        elif self.rate is None or not 0 < self.rate < float("inf"):
            raise SettingsError(f"rate must be a positive number of receipts per second, found {self.rate}")
        if self.duration_s > MAX_PLAN_S:
            raise SettingsError(
                f"{self.count} receipts at {self.mean_rate:g}/s would take {self.duration_s / 86400:.0f} days",
                where="rate",
                hint="Raise the rate, or send fewer",
            )

    @cached_property
    def ramp(self) -> Ramp | None:
        """The ramp of the rate; None if the rate is constant on average. Raises SettingsError for an invalid ramp."""
        if not is_ramp(self.arrivals):
            return None
        try:
            return Ramp.parse(self.arrivals)
        except ValueError as error:
            raise SettingsError(str(error), where="arrivals") from None

    @property
    def duration_s(self) -> float:
        """Seconds from the first receipt to when the one after the last would be due."""
        if self.ramp is not None:
            return float(_reached_s(self.ramp, np.array([self.count]))[0])
        return self.count / (self.rate or math.inf)

    @property
    def mean_rate(self) -> float:
        """Receipts per second over the whole plan."""
        return self.count / self.duration_s if self.rate is None else self.rate

    @property
    def peak_rate(self) -> float:
        """The highest planned receipts per second; for Poisson arrivals the mean."""
        return self.mean_rate if self.ramp is None else self.ramp.peak

    def offsets_ns(self, worker: int = 0, workers: int = 1) -> npt.NDArray[np.int64]:
        """Intended times in nanoseconds after the start, in order; the first of the plan is 0.

        For every ``workers``-th receipt from ``worker`` on: the same times as in the whole plan, without holding the
        others. constant: i / rate. poisson: gaps drawn from the exponential distribution with mean 1 / rate, from
        ``seed``. A ramp: when the integral of the rate reaches i.
        """
        indexes = np.arange(worker, self.count, workers)
        if self.ramp is not None:
            return _in_ns(_reached_s(self.ramp, indexes) * NS_PER_S)
        if self.arrivals == "constant":
            return _in_ns(indexes * (NS_PER_S / self.mean_rate))
        return _poisson_ns(self, worker, workers)


def _in_ns(times: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    rounded: npt.NDArray[np.int64] = np.rint(times).astype(np.int64)
    return rounded


def _poisson_ns(plan: OpenPlan, worker: int, workers: int) -> npt.NDArray[np.int64]:
    """The times of a share, from gaps drawn and summed CHUNK at a time. They equal those of the whole plan to the last
    bit, since the order of additions is the same."""
    random, passed = np.random.default_rng(plan.seed), 0.0
    offsets = np.empty(len(range(worker, plan.count, workers)), dtype=np.int64)
    for begin in range(0, plan.count, CHUNK):
        gaps = random.exponential(NS_PER_S / plan.mean_rate, min(CHUNK, plan.count - begin))
        gaps[0] = passed + gaps[0] if begin else 0
        times = np.cumsum(gaps)
        passed = float(times[-1])
        own = times[(worker - begin) % workers :: workers]
        first = -(-max(0, begin - worker) // workers)
        offsets[first : first + len(own)] = _in_ns(own)
    return offsets


def _reached_s(ramp: Ramp, sent: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """When this many receipts have become due, in seconds.

    Up to the end of the ramp they are start * t + (end - start) / (2 * duration) * t^2; solved for t in the form that
    also works if the rates are (nearly) equal.
    """
    total = (ramp.start + ramp.end) / 2 * ramp.duration_s
    within = np.minimum(sent, total)
    root = np.sqrt(np.maximum(ramp.start**2 + 2 * (ramp.end - ramp.start) * within / ramp.duration_s, 0))
    rising_s = 2 * within / np.maximum(ramp.start + root, 1e-300)
    after_s = (sent - within) / ramp.end
    reached: npt.NDArray[np.float64] = rising_s + after_s
    return reached


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

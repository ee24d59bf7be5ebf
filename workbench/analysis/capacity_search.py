"""The search for the highest rate that passes a noisy test. Pure: trials in, the next rate and the bracket out.

Rates are doubled until one fails. From then on the next rate is the median of the likely capacities. One trial decides
nothing: near the capacity, trials pass and fail by chance, and a hiccup can fail any rate. So the search keeps a
distribution: for each possible capacity C, how likely are the trials seen so far? A trial at rate r passes with the
probability

    HICCUP + (1 - 2 HICCUP) / (1 + exp(-(ln C - ln r) / s))

where s, the width of the range in which trials both pass and fail, is not known: all WIDTHS are summed over. C is the
rate at which half of the trials pass. Trying the median each time is probabilistic bisection (Horstein 1963; Waeber,
Frazier and Henderson 2013). The bracket is the central interval of the distribution at the requested confidence.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Outcome = Literal["pass", "fail", "invalid"]

CONFIDENCE = 0.95
PRECISION = 1.1
"""The search ends when the upper end of the bracket is at most this times the lower end."""
HICCUP = 0.03
"""The share of trials that give the wrong result at any rate, because of other work on the machine."""
WIDTHS = (0.01, 0.03, 0.06, 0.12)
"""The values of s that are summed over, as shares of the rate."""
INVALID = 3
"""After so many trials of a rate that the generator could not offer, neither it nor a higher rate is tried."""
_STEP = 0.005


@dataclass(frozen=True)
class CapacityBracket:
    """The result: the capacity is between ``low`` and ``high`` receipts per second with ``confidence``. ``low`` 0: no
    rate passed; ``high`` None: no rate failed, or there are too few trials to be sure. ``limited_by``: why the
    requested precision was not reached ("": it was)."""

    low: float
    high: float | None
    confidence: float
    limited_by: str = ""


@dataclass(frozen=True)
class CapacitySearch:
    """The trials so far: (rate, outcome) in their order. Immutable; :meth:`tried` returns the next search.

    ``start`` is the first rate; all rates are between ``lowest`` and ``highest``. The search ends after ``max_trials``
    at the latest. ``unseen``: a rate up to this times the capacity passes, because a trial cannot see such a small
    overload; the lower end of the bracket allows for it. In an ``invalid`` trial the rate was not offered, so it says
    nothing about the service.
    """

    start: float = 50.0
    lowest: float = 1.0
    highest: float = 100_000.0
    precision: float = PRECISION
    confidence: float = CONFIDENCE
    max_trials: int = 40
    unseen: float = 1.0
    trials: tuple[tuple[float, Outcome], ...] = ()

    def tried(self, rate: float, outcome: Outcome) -> CapacitySearch:
        """The search after one more trial."""
        return replace(self, trials=(*self.trials, (rate, outcome)))

    def upcoming(self) -> float | None:
        """The rate to try next; None when the search has ended."""
        if len(self.trials) >= self.max_trials:
            return None
        return self._wanted()

    def bracket(self) -> CapacityBracket:
        """The interval of the capacity, from all trials so far."""
        passed, failed = self._rates("pass"), self._rates("fail")
        low, high = self._interval()
        if not failed:  # rates that were not tried are not known to pass
            low = min(low, max(passed, default=0.0))
        return CapacityBracket(
            low=_round(low / self.unseen) if passed else 0.0,
            # an upper end above all trials comes from the prior, not from a trial
            high=_round(high) if failed and high <= max(passed + failed) else None,
            confidence=self.confidence,
            limited_by=self._limit(),
        )

    @property
    def ceiling(self) -> float:
        """The lowest rate that the generator could not offer; infinite if it offered all."""
        spoilt = Counter(rate for rate, outcome in self.trials if outcome == "invalid")
        good = {rate for rate, outcome in self.trials if outcome != "invalid"}
        return min((rate for rate, count in spoilt.items() if count >= INVALID and rate not in good), default=math.inf)

    def _wanted(self) -> float | None:
        passed, failed = self._rates("pass"), self._rates("fail")
        if not passed and not failed:
            first = min(self.start, self.highest)
            return first if first < self.ceiling else self._below(self.ceiling / 2)
        if not failed:
            return self._growing(max(passed))
        if not passed:
            return self._shrinking(min(failed))
        low, high = self._interval()
        if high * self.unseen <= low * self.precision:
            return None
        rate = min(max(_round(self._quantile(0.5)), self.lowest), self.highest)
        if rate < self.ceiling:
            return rate
        return self._under_ceiling(max(passed))

    def _growing(self, passed: float) -> float | None:
        if passed >= self.highest:
            # the highest rate must pass twice
            return None if self.trials.count((passed, "pass")) > 1 else passed
        rate = min(self.highest, _round(2 * passed))
        return rate if rate < self.ceiling else self._under_ceiling(passed)

    def _shrinking(self, failed: float) -> float | None:
        if failed <= self.lowest:
            return None if self.trials.count((failed, "fail")) > 1 else failed
        return self._below(min(failed, self.ceiling) / 2)

    def _below(self, rate: float) -> float | None:
        return max(self.lowest, _round(rate)) if rate >= self.lowest / 2 else None

    def _under_ceiling(self, passed: float) -> float | None:
        """A rate between the highest that passed and the lowest that cannot be offered; None if they are close."""
        rate = _round(math.sqrt(passed * self.ceiling))
        return rate if passed * self.precision < self.ceiling and passed < rate < self.ceiling else None

    def _limit(self) -> str:
        low, high = self._interval()
        passed, failed = self._rates("pass"), self._rates("fail")
        if passed and failed and high * self.unseen <= low * self.precision:
            return ""
        if self._wanted() is not None:
            return "the number of trials" if len(self.trials) >= self.max_trials else "the search was cut short"
        if self.ceiling < math.inf:
            return f"the generator, which could not offer {self.ceiling:g}/s"
        return "the highest rate to be tried" if passed else "the lowest rate to be tried"

    def _rates(self, outcome: Outcome) -> list[float]:
        return [rate for rate, came in self.trials if came == outcome]

    def _interval(self) -> tuple[float, float]:
        tail = (1 - self.confidence) / 2
        return self._quantile(tail), self._quantile(1 - tail)

    def _quantile(self, share: float) -> float:
        grid, below = self._distribution
        return float(np.exp(np.interp(share, below, grid)))

    @cached_property
    def _distribution(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The logarithms of possible capacities, and the probability that the capacity is at most each of them."""
        grid = np.arange(math.log(self.lowest / 2), math.log(self.highest * 2), _STEP)
        widths = np.array(WIDTHS)[:, None]
        total = np.zeros((len(WIDTHS), len(grid)))
        for (rate, outcome), times in Counter(self.trials).items():
            if outcome != "invalid":
                passes = HICCUP + (1 - 2 * HICCUP) / (1 + np.exp(np.clip((math.log(rate) - grid) / widths, -50, 50)))
                total += times * np.log(passes if outcome == "pass" else 1 - passes)
        weights = np.exp(total - total.max()).sum(axis=0)
        return grid, np.cumsum(weights) / weights.sum()


def _round(rate: float) -> float:
    """A rate with three digits, which people can read."""
    return float(f"{rate:.3g}")

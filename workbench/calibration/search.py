"""Searches for the highest rate that passes a noisy test. Pure: trials in, the next rate out.

Rates are doubled until one fails, then the gap is halved (on a logarithmic scale, since a gap is a ratio). A single
trial decides nothing: a rate fails when most of its trials fail, and is the result only when most of its trials pass.
While doubling, one pass is enough to go on; the skipped trials are made before the rate becomes the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

VOTES = 3
"""The most trials of one rate; two equal results decide."""
PRECISION = 1.05
"""The search ends when the lowest failed rate is at most this times the highest passed rate."""


@dataclass(frozen=True)
class Search:
    """The trials made: (rate, passed) in order. Immutable; :meth:`tried` returns the next state.

    Rates are between ``lowest`` and ``highest``; after ``max_trials`` the search ends with what it has.
    """

    start: float
    lowest: float = 50.0
    highest: float = 1_000_000.0
    max_trials: int = 30
    trials: tuple[tuple[float, bool], ...] = ()

    def tried(self, rate: float, passed: bool) -> Search:
        """The search after one more trial."""
        return replace(self, trials=(*self.trials, (rate, passed)))

    @property
    def found(self) -> float:
        """The highest rate below all failed ones that passed most of its trials; 0 if there is none."""
        below = self._lowest_failed
        return max((rate for rate in self._rates() if self._has(rate, True) and rate < below), default=0.0)

    @property
    def at_least(self) -> float:
        """The highest rate below all failed ones that passed at least once and at least as often as it failed: the
        result of a search that was cut short. 0 if there is none."""
        below = self._lowest_failed
        passed = (rate for rate in self._rates() if self._votes(rate, True) >= max(1, self._votes(rate, False)))
        return max((rate for rate in passed if rate < below), default=0.0)

    @property
    def complete(self) -> bool:
        """Whether the rate was found with the wanted precision, or no rate passes. False while there is more to try,
        also if the search was cut short."""
        return self._next() is None

    def upcoming(self) -> float | None:
        """The rate to try next; None when the search has ended."""
        return None if len(self.trials) >= self.max_trials else self._next()

    def _next(self) -> float | None:
        failed = self._lowest_failed
        passed = max((rate for rate in self._rates() if rate < failed and self._votes(rate, True)), default=0.0)
        undecided = [rate for rate in self._rates() if passed < rate < failed]
        if undecided:  # failed once: a disturbance, or the limit
            return min(undecided)
        if not passed:
            return None if failed <= self.lowest else max(self.lowest, _round(min(failed / 2, self.start)))
        if failed == math.inf and passed < self.highest:
            return min(self.highest, _round(2 * passed))
        if failed > passed * PRECISION:
            middle = _round(math.sqrt(passed * failed)) if failed < math.inf else self.highest
            if passed < middle < failed:
                return middle
        return None if self._has(passed, True) else passed

    @property
    def _lowest_failed(self) -> float:
        return min((rate for rate in self._rates() if self._has(rate, False)), default=math.inf)

    def _rates(self) -> set[float]:
        return {rate for rate, _ in self.trials}

    def _votes(self, rate: float, passed: bool) -> int:
        return sum(at == rate and result == passed for at, result in self.trials)

    def _has(self, rate: float, passed: bool) -> bool:
        """Whether this result has the majority of a rate's VOTES trials, made or to come."""
        return 2 * self._votes(rate, passed) > VOTES


def _round(rate: float) -> float:
    """Rounded to three digits, for people to read."""
    digits = 2 - math.floor(math.log10(rate))
    return float(round(rate, digits))

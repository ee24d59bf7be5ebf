"""The search for the sender limit: how many receipts to try next, and what that can cost. Pure.

A payer that never paid sends a number of receipts and is then denied or not; once the agent has counted them, its
answer is certain. So one trial per number is enough, and halving the gap finds the exact receipt. The prediction is
tried first: the receipt before it must not lead to denial, and it must. Without a prediction, or if it was too low,
numbers are doubled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from workbench.analysis.limit import Bracket

START = 100
"""The first number that is tried without a prediction."""
BEYOND = 4
"""The largest number that is tried is this many times the predicted one."""
UNPREDICTED_MOST = 10_000
"""The largest number that is tried without a prediction."""


@dataclass(frozen=True)
class Cost:
    """The cost of a search: ``trials``, each with its own payer, and the ``receipts`` of all."""

    trials: int
    receipts: int


@dataclass(frozen=True)
class LimitSearch:
    """What is known of the limit, in receipts of one fresh budget; nothing above ``most`` is tried."""

    predicted: int | None = None
    most: int = UNPREDICTED_MOST
    bracket: Bracket = field(default_factory=lambda: Bracket(None, None))

    @classmethod
    def of(cls, predicted: int | None) -> LimitSearch:
        """The search that begins with a prediction, or without one. A prediction below 1 is not used: it means that a
        payer is denied before it pays anything."""
        if predicted is None or predicted < 1:
            return cls()
        return cls(predicted, max(BEYOND * predicted, START))

    def tried(self, charged: int, denied: bool) -> LimitSearch:
        """The search after a trial whose payer was charged for so many receipts, and then was denied or not."""
        return replace(self, bracket=self.bracket.with_step(charged, denied))

    def upcoming(self) -> int | None:
        """How many receipts to try next; None if the limit is found, or if there is none up to ``most``."""
        low, high = self.bracket.low or 0, self.bracket.high
        if self.bracket.exact or (high is None and low >= self.most):
            return None
        foretold = self.predicted
        if foretold is not None and low < foretold and (high is None or foretold <= high):
            if foretold - 1 > low:
                return foretold - 1
            if high is None or foretold < high:
                return foretold
        if high is None:
            return min(self.most, 2 * low if low else START)
        return (low + high) // 2

    def expected(self) -> Cost:
        """What is left to spend if the prediction holds; without one, if there is no limit up to ``most``."""
        return self._cost(self.predicted if self.predicted is not None else self.most + 1)

    def at_most(self) -> Cost:
        """The most that is left to spend, wherever the limit is."""
        costs = [self._cost(limit) for limit in self._worst()]
        return Cost(max(cost.trials for cost in costs), max(cost.receipts for cost in costs))

    def _cost(self, limit: int) -> Cost:
        """The cost of the search if this is the limit and a denied payer is charged for everything it sends."""
        search, trials, receipts = self, 0, 0
        while (count := search.upcoming()) is not None:
            trials, receipts = trials + 1, receipts + count
            search = search.tried(count, count >= limit)
        return Cost(trials, receipts)

    def _worst(self) -> Iterable[int]:
        """Limits that include the most expensive one: both ends, and those next to each number tried on the way up.
        Just below such a number, every trial in the gap is survived."""
        search = self
        yield from (1, self.most, self.most + 1)
        while (count := search.upcoming()) is not None:
            yield from (max(1, count - 1), count, count + 1)
            search = search.tried(count, False)

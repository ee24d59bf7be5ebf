"""The search for the sender limit: how many receipts to try next, and what that can cost. Pure.

A payer that never paid is given a number of receipts and is then denied or not, which the agent says without doubt
once it has counted them. So a number decides, and halving the gap ends at the receipt. What was predicted is tried
first: the receipt before it must be survived, and it must not be. Without a prediction, or where it was too low,
numbers are doubled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from workbench.analysis.limit import Bracket

START = 100
"""The first number that is tried where nothing is predicted."""
BEYOND = 4
"""The largest number that is tried is this many times the predicted one."""
UNPREDICTED_MOST = 10_000
"""The largest number that is tried where nothing is predicted."""


@dataclass(frozen=True)
class Cost:
    """What a search takes: ``trials``, each a payer of its own, and ``receipts`` of all of them."""

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
        """The search that begins with a prediction, or without one. One below 1 is none: it says that a payer is
        denied before it pays anything."""
        if predicted is None or predicted < 1:
            return cls()
        return cls(predicted, max(BEYOND * predicted, START))

    def tried(self, charged: int, denied: bool) -> LimitSearch:
        """The search after a trial whose payer was charged for so many receipts, and then was denied or not."""
        return replace(self, bracket=self.bracket.with_step(charged, denied))

    def upcoming(self) -> int | None:
        """How many receipts to try next; None when the limit is found, or when there is none up to ``most``."""
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
        """What is left to spend at most, wherever the limit is."""
        costs = [self._cost(limit) for limit in self._worst()]
        return Cost(max(cost.trials for cost in costs), max(cost.receipts for cost in costs))

    def _cost(self, limit: int) -> Cost:
        """What the search spends where this is the limit and a denied payer is charged for all that it sends."""
        search, trials, receipts = self, 0, 0
        while (count := search.upcoming()) is not None:
            trials, receipts = trials + 1, receipts + count
            search = search.tried(count, count >= limit)
        return Cost(trials, receipts)

    def _worst(self) -> Iterable[int]:
        """Limits of which one is the dearest: just below each number that may be tried on the way up, so that all
        halves of the gap under it are survived, and those at the ends."""
        search = self
        yield from (1, self.most, self.most + 1)
        while (count := search.upcoming()) is not None:
            yield from (max(1, count - 1), count, count + 1)
            search = search.tried(count, False)

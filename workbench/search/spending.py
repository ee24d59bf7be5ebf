"""What a search may cost, reported before it begins, and what it has cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.analysis.step_row import StepRow
from workbench.numbers import counted, grt


@dataclass(frozen=True)
class Spending:
    """Trials, receipts and GRT: what a search may spend (``receipts`` is a hard limit) or has spent."""

    trials: int
    receipts: int
    grt: float

    @classmethod
    def of(cls, trials: int, receipts: int, value_grt: float) -> Spending:
        """This number of receipts of this value."""
        return cls(trials, receipts, receipts * value_grt)

    @property
    def text(self) -> str:
        """In words."""
        return f"{counted(self.trials, 'trial')}, {counted(self.receipts, 'receipt')} ({grt(self.grt)})"

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def spent(rows: Sequence[StepRow], value_grt: float, cut_off: int = 0) -> Spending:
    """What the trials of a search have cost: all receipts sent, plus ``cut_off`` of trials that were cut short."""
    return Spending.of(len(rows), sum(row.sent for row in rows) + cut_off, value_grt)

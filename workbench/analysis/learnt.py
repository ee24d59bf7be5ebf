"""What the finished steps of a sweep show of the limit. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workbench.analysis.limit import Bracket
from workbench.analysis.step_row import StepRow

_OUTSIDE = ("paired", "warm_up")


@dataclass(frozen=True)
class CutOff:
    """``paid`` receipts of ``payer`` in a step that was cut off."""

    step: int
    payer: str
    paid: int


@dataclass(frozen=True)
class Learnt:
    """``bracket``: where the limit was seen. ``predicted``: the receipt of a fresh budget that should trigger denial.
    ``approached``: receipts that the pinpoint sent at once before it sent one by one. ``cut_off``: what was paid for in
    steps that were cut off and run again with the same payer."""

    bracket: Bracket = field(default_factory=lambda: Bracket(None, None))
    predicted: int | None = None
    approached: int = 0
    cut_off: tuple[CutOff, ...] = ()

    def with_row(self, row: StepRow, rows: Sequence[StepRow]) -> Learnt:
        """With the result of one more step, in receipts of one budget; ``rows``: all rows so far, this one included."""
        if not math.isnan(row.counted):
            charged = round(row.counted)
        else:
            charged = sum(other.paid for other in rows if other.payer == row.payer)
            charged += sum(one.paid for one in self.cut_off if one.payer == row.payer and one.step <= row.step)
        denied = {"yes": True, "no": False}.get(row.denied_after_settle)
        bracket = self.bracket
        if row.kind == "pinpoint" and denied and charged > self.approached:
            # the agent had counted the receipt before the last one, and had not denied the payer
            bracket = bracket.with_step(charged - 1, False)
        elif denied and 0 < row.survived < charged:
            bracket = bracket.with_step(int(row.survived), False)
        if row.kind in _OUTSIDE and not denied:
            return self  # receipts sent outside of the steps do not count as accepted
        return replace(self, bracket=bracket.with_step(charged, denied))


def learnt_from(
    rows: Sequence[StepRow], *, predicted: int | None, approached: int, cut_off: Sequence[CutOff] = ()
) -> Learnt:
    """What the finished steps of a run show, in their order."""
    learnt = Learnt(predicted=predicted, approached=approached, cut_off=tuple(cut_off))
    for count, row in enumerate(rows, start=1):
        learnt = learnt.with_row(row, rows[:count])
    return learnt

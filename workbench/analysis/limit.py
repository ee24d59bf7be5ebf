"""When denial came: the first refusal, the receipt that crossed the limit, and the lag between them. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.outcome import CODE_OF, Outcome, is_paid
from workbench.receipts.fields import WEI_PER_GRT

if TYPE_CHECKING:
    import pandas as pd

_CODES = {outcome.value: code for outcome, code in CODE_OF.items()}


@dataclass(frozen=True)
class Denial:
    """How one step met the limit. Indices are positions in the plan, times seconds after its first intended time.

    ``refusal_index``: the first receipt, in the order they were sent, that the denylist refused; ``refusal_s`` when
    that answer came; ``fees_grt`` the payer's fees at that moment (before the step + receipts paid for that were sent
    before it); ``crossing_index``: the receipt that used up the budget; ``lag_receipts`` and ``lag_s``: how many
    receipts were still taken, and how much time passed between the two sendings, from the crossing to the first
    refusal (NaN where the budget was used up before the step). ``paid``: all receipts of the step that were paid for.
    NaN: not seen.
    """

    refusal_index: float
    refusal_s: float
    fees_grt: float
    crossing_index: float
    lag_receipts: float
    lag_s: float
    paid: int
    paid_before_refusal: float

    @property
    def refused(self) -> bool:
        """Whether a receipt was refused by the denylist."""
        return not math.isnan(self.refusal_index)


def find_denial(samples: pd.DataFrame, *, spent_wei: int, value_wei: int, budget: int | None) -> Denial:
    """The denial of one step from its samples.

    ``spent_wei`` is what counted against the payer before, ``budget`` the predicted number of the receipt that
    triggers denial (None when unknown). Receipts are ordered by their sending: a refusal is answered at once and an
    accepted receipt only after graph-node, so the order of the answers would put refusals too early.
    """
    nan = math.nan
    order = np.argsort(samples["sent_ns"].to_numpy(), kind="stable")
    ordered = samples.iloc[order]
    outcome = ordered["outcome"].astype(str).to_numpy()
    sent, done = ordered["sent_ns"].to_numpy(), ordered["done_ns"].to_numpy()
    index = ordered["index"].to_numpy()
    paid = np.array(
        [is_paid(status, _CODES[name]) for status, name in zip(ordered["status"], outcome, strict=True)], dtype=bool
    )
    denied = outcome == Outcome.DENIED.value
    paid_positions = np.flatnonzero(paid)

    crossing_index = crossing_sent = nan
    if budget is not None and 1 <= budget <= len(paid_positions):
        position = paid_positions[budget - 1]
        crossing_index, crossing_sent = float(index[position]), float(sent[position])

    if not denied.any():
        return Denial(nan, nan, nan, crossing_index, nan, nan, len(paid_positions), nan)
    first = int(np.argmax(denied))
    before = int(paid[:first].sum())
    # a few receipts that were sent just before the crossing can be counted after it: never less than none
    lag_receipts = float(max(0, before - budget)) if budget and len(paid_positions) >= budget else nan
    return Denial(
        refusal_index=float(index[first]),
        refusal_s=float(done[first] - samples["intended_ns"].min()) / 1e9,
        fees_grt=(spent_wei + before * value_wei) / WEI_PER_GRT,
        crossing_index=crossing_index,
        lag_receipts=lag_receipts,
        lag_s=max(0.0, float(sent[first]) - crossing_sent) / 1e9 if not math.isnan(crossing_sent) else nan,
        paid=len(paid_positions),
        paid_before_refusal=float(before),
    )


@dataclass(frozen=True)
class Heard:
    """The moment of denial as the database told it, NaN where it did not.

    ``denied_s`` after the step's first intended time; ``lag_s`` after the sending of the receipt that crossed the
    limit; ``paid_after``: receipts that were sent later and taken all the same.
    """

    denied_s: float = math.nan
    lag_s: float = math.nan
    paid_after: float = math.nan


def heard_denial(samples: pd.DataFrame, denial: Denial, denied_ns: int | None) -> Heard:
    """What the payer's entry in the denylist at ``denied_ns``, on the samples' clock, says of a step."""
    if denied_ns is None or not len(samples):
        return Heard()
    crossing = samples.loc[samples["index"] == denial.crossing_index, "sent_ns"]
    later = samples[samples["sent_ns"] > denied_ns]
    paid = [is_paid(status, _CODES[str(name)]) for status, name in zip(later["status"], later["outcome"], strict=True)]
    return Heard(
        denied_s=(denied_ns - int(samples["intended_ns"].min())) / 1e9,
        lag_s=(denied_ns - int(crossing.iloc[0])) / 1e9 if len(crossing) else math.nan,
        paid_after=float(sum(paid)),
    )


@dataclass(frozen=True)
class Bracket:
    """Where the limit lies, in receipts of one fresh budget: ``low`` were survived, ``high`` led to denial.

    None: not seen. The limit is ``high`` exactly when the two are neighbours.
    """

    low: int | None
    high: int | None

    @property
    def exact(self) -> bool:
        """Whether the limit is known to the receipt."""
        return self.high is not None and self.low is not None and self.high == self.low + 1

    def holds(self, predicted: int | None) -> bool | None:
        """Whether a predicted limit lies in the bracket; None when nothing contradicts it and nothing confirms it."""
        if predicted is None:
            return None
        if self.low is not None and predicted <= self.low:
            return False
        if self.high is None:
            return None
        return predicted <= self.high

    def with_step(self, paid: int, denied: bool | None) -> Bracket:
        """The bracket after a step in which ``paid`` receipts were paid for, and the payer then was denied or not."""
        if denied is None or paid < 1:
            return self
        if denied:
            return Bracket(self.low, paid if self.high is None else min(self.high, paid))
        return Bracket(paid if self.low is None else max(self.low, paid), self.high)

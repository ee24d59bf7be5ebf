"""When denial came: the first refusal, the receipt that crossed the limit, and the lag between them. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.histogram import order_statistics
from workbench.receipts.fields import WEI_PER_GRT

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.load.chunks import Chunk, Chunks


@dataclass(frozen=True)
class Denial:
    """How one step met the limit. Indices are positions in the plan, from 0; times seconds after its first intended
    time.

    ``refusal_index``: the first receipt, in the order they were sent, that the denylist refused; ``refusal_s`` when
    that answer came; ``fees_grt`` the payer's fees at that moment (before the step + receipts paid for that were sent
    before it); ``crossing_index``: the receipt that used up the budget; ``lag_receipts`` and ``lag_s``: how many
    receipts were still taken, and how much time passed between the two sendings, from the crossing to the first
    refusal (NaN where the budget was used up before the step, or the refusal was answered before the receipt that
    should have used it up was sent: the budget was not what it was thought to be). ``paid``: all receipts of the step
    that were paid for. NaN: not seen.
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


def find_denial(chunks: Chunks, *, spent_wei: int, value_wei: int, budget: int | None) -> Denial:
    """The denial of one step from its rows.

    ``spent_wei`` is what counted against the payer before, ``budget`` the predicted number of the receipt that
    triggers denial (None when unknown). Receipts are ordered by their sending: a refusal is answered at once and an
    accepted receipt only after graph-node, so the order of the answers would put refusals too early.
    """
    nan = math.nan
    paid, intended_ns, first = 0, [], None
    for chunk in chunks:
        if len(chunk):
            paid += int(chunk.paid.sum())
            intended_ns.append(int(chunk.intended_ns.min()))
            first = min((one for one in (first, _first_denied(chunk)) if one is not None), default=None)
    crossing = None
    if budget is not None and 1 <= budget <= paid:
        crossing = _nth_paid(chunks, budget - 1, min(intended_ns))
    crossing_index = nan if crossing is None else float(crossing.index)
    if first is None:
        return Denial(nan, nan, nan, crossing_index, nan, nan, paid, nan)
    before = sum(_paid_before(chunk, first) for chunk in chunks)
    lag_receipts = lag_s = nan
    if budget is not None and crossing is not None and first.done_ns >= crossing.sent_ns:
        # a few receipts that were sent just before the crossing can be counted after it: never less than none
        lag_receipts = float(max(0, before - budget))
        lag_s = max(0.0, float(first.sent_ns - crossing.sent_ns)) / 1e9
    return Denial(
        refusal_index=float(first.index),
        refusal_s=float(first.done_ns - min(intended_ns)) / 1e9,
        fees_grt=(spent_wei + before * value_wei) / WEI_PER_GRT,
        crossing_index=crossing_index,
        lag_receipts=lag_receipts,
        lag_s=lag_s,
        paid=paid,
        paid_before_refusal=float(before),
    )


@dataclass(frozen=True, order=True)
class _Sent:
    """One receipt; they compare in the order they were sent."""

    sent_ns: int
    index: int
    done_ns: int = 0


def _first_denied(chunk: Chunk) -> _Sent | None:
    """The denied receipt of a chunk that was sent first."""
    rows = np.flatnonzero(chunk.denied)
    if not len(rows):
        return None
    row = rows[np.argmin(chunk.sent_ns[rows])]
    return _Sent(int(chunk.sent_ns[row]), int(chunk.index[row]), int(chunk.done_ns[row]))


def _paid_before(chunk: Chunk, one: _Sent) -> int:
    """How many receipts of a chunk were paid for and sent before ``one``."""
    earlier = (chunk.sent_ns < one.sent_ns) | ((chunk.sent_ns == one.sent_ns) & (chunk.index < one.index))
    return int((earlier & chunk.paid).sum())


def _nth_paid(chunks: Chunks, position: int, since_ns: int) -> _Sent:
    """The paid receipt at ``position``, from 0, in the order they were sent, in a step that began at ``since_ns``."""

    def sent() -> Iterator[npt.NDArray[np.int64]]:
        return ((chunk.sent_ns - since_ns)[chunk.paid] for chunk in chunks)

    (after_ns,) = order_statistics(sent, [position])
    sent_ns = after_ns + since_ns
    alike = [chunk.index[chunk.paid & (chunk.sent_ns == sent_ns)] for chunk in chunks]
    earlier = sum(int((chunk.paid & (chunk.sent_ns < sent_ns)).sum()) for chunk in chunks)
    return _Sent(sent_ns, int(np.concatenate(alike)[position - earlier]))


@dataclass(frozen=True)
class Heard:
    """The moment of denial as the database told it, NaN where it did not.

    ``denied_s`` after the step's first intended time; ``lag_s`` after the sending of the receipt that crossed the
    limit; ``paid_after``: receipts that were sent later and taken all the same.
    """

    denied_s: float = math.nan
    lag_s: float = math.nan
    paid_after: float = math.nan


def heard_denial(chunks: Chunks, denial: Denial, denied_ns: int | None) -> Heard:
    """What the payer's entry in the denylist at ``denied_ns``, on the samples' clock, says of a step."""
    if denied_ns is None:
        return Heard()
    intended_ns, crossing, paid_after = [], math.nan, 0
    for chunk in chunks:
        if len(chunk):
            intended_ns.append(int(chunk.intended_ns.min()))
            paid_after += int((chunk.paid & (chunk.sent_ns > denied_ns)).sum())
            for sent_ns in chunk.sent_ns[chunk.index == denial.crossing_index].tolist():
                crossing = (denied_ns - sent_ns) / 1e9
    if not intended_ns:
        return Heard()
    return Heard(denied_s=(denied_ns - min(intended_ns)) / 1e9, lag_s=crossing, paid_after=float(paid_after))


@dataclass(frozen=True)
class Bracket:
    """Where the limit lies, in receipts of one fresh budget: ``low`` were accepted, ``high`` led to denial.

    None: not seen. The limit is ``high`` exactly when the two are neighbours; no receipt at all is always survived.
    """

    low: int | None
    high: int | None

    @property
    def exact(self) -> bool:
        """Whether the limit is known to the receipt."""
        return self.high is not None and self.high == (self.low or 0) + 1

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

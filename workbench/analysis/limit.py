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
    """How one step reached the limit. Indices are positions in the plan, from 0; times are seconds after the first
    intended time.

    ``refusal_index``: the first receipt, in the order of sending, that the denylist refused; ``refusal_s``: when that
    answer came; ``fees_grt``: the payer's fees at that moment (before the step, plus paid receipts sent before it);
    ``crossing_index``: the receipt that used up the budget; ``lag_receipts`` and ``lag_s``: from the crossing to the
    first refusal, how many receipts were still accepted and how much time passed between the two sendings (NaN if the
    budget was used up before the step, or if the refusal was answered before the crossing receipt was sent: then the
    assumed budget was wrong). ``paid``: all paid receipts of the step. NaN: not seen.
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

    ``spent_wei``: what counted against the payer before; ``budget``: the predicted number of the receipt that triggers
    denial (None: not known). Receipts are ordered by their sending. A refusal is answered at once, an accepted receipt
    only after graph-node answers, so in the order of answers refusals would come too early.
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
        # a few receipts sent just before the crossing can be counted after it, so the lag is at least 0
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
    """One receipt, ordered by its sending."""

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
    """The number of paid receipts of a chunk that were sent before ``one``."""
    earlier = (chunk.sent_ns < one.sent_ns) | ((chunk.sent_ns == one.sent_ns) & (chunk.index < one.index))
    return int((earlier & chunk.paid).sum())


def _nth_paid(chunks: Chunks, position: int, since_ns: int) -> _Sent:
    """The paid receipt at ``position``, from 0, in the order of sending, in a step that began at ``since_ns``."""

    def sent() -> Iterator[npt.NDArray[np.int64]]:
        return ((chunk.sent_ns - since_ns)[chunk.paid] for chunk in chunks)

    (after_ns,) = order_statistics(sent, [position])
    sent_ns = after_ns + since_ns
    alike = [chunk.index[chunk.paid & (chunk.sent_ns == sent_ns)] for chunk in chunks]
    earlier = sum(int((chunk.paid & (chunk.sent_ns < sent_ns)).sum()) for chunk in chunks)
    return _Sent(sent_ns, int(np.concatenate(alike)[position - earlier]))


@dataclass(frozen=True)
class Heard:
    """The moment of denial from the database; NaN if it is not known.

    ``denied_s``: after the step's first intended time; ``lag_s``: after the crossing receipt was sent; ``paid_after``:
    receipts that were sent later and still accepted.
    """

    denied_s: float = math.nan
    lag_s: float = math.nan
    paid_after: float = math.nan


def heard_denial(chunks: Chunks, denial: Denial, denied_ns: int | None) -> Heard:
    """What the payer's entry in the denylist at ``denied_ns``, on the samples' clock, shows of a step."""
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
    """Where the limit is, in receipts of one fresh budget: ``low`` were accepted, ``high`` led to denial.

    None: not seen. If they are neighbours, the limit is exactly ``high``; 0 receipts never lead to denial.
    """

    low: int | None
    high: int | None

    @property
    def exact(self) -> bool:
        """Whether the limit is known to the receipt."""
        return self.high is not None and self.high == (self.low or 0) + 1

    def holds(self, predicted: int | None) -> bool | None:
        """Whether a predicted limit is in the bracket; None if the bracket neither contradicts nor confirms it."""
        if predicted is None:
            return None
        if self.low is not None and predicted <= self.low:
            return False
        if self.high is None:
            return None
        return predicted <= self.high

    def with_step(self, paid: int, denied: bool | None) -> Bracket:
        """The bracket after a step with ``paid`` paid receipts, and whether the payer was ``denied`` after it."""
        if denied is None or paid < 1:
            return self
        if denied:
            return Bracket(self.low, paid if self.high is None else min(self.high, paid))
        return Bracket(paid if self.low is None else max(self.low, paid), self.high)

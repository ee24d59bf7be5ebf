"""The tap-agent's accounts: fees per payer and the rule of denial. Pure; all amounts in wei."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

# An allocation's fees are kept by receipt version and collection id.
FeesKey = tuple[int, bytes]


def deny_condition(*, pending: int, unaggregated: int, invalid: int, balance: int, limit: int) -> bool:
    """Whether a payer must be denied.

    Rule A: pending RAVs plus unaggregated fees reach the escrow balance. Rule B: unaggregated plus invalid fees
    reach the most the indexer is willing to lose. Both with >=, so an empty escrow is denied.
    """
    return pending + unaggregated >= balance or unaggregated + invalid >= limit


def rav_backoff_s(failures: int) -> float:
    """Seconds until a RAV is tried again after so many failures in a row: doubling from 0.2, at most 60."""
    return min(0.1 * 2.0 ** min(failures, 20), 60.0)


@dataclass(slots=True)
class Fees:
    """Fees of one payer under one collection.

    ``unaggregated`` covers everything counted and not yet in a RAV; of that, ``ravable`` is outside the timestamp
    buffer and ``buffered`` (a heap of timestamp and value) still inside.
    """

    unaggregated: int = 0
    invalid: int = 0
    pending: int = 0
    ravable: int = 0
    ravable_receipts: int = 0
    buffered: list[tuple[int, int]] = field(default_factory=list)

    def add(self, timestamp_ns: int, value: int) -> None:
        """Count one receipt."""
        self.unaggregated += value
        heapq.heappush(self.buffered, (timestamp_ns, value))

    def age(self, before_ns: int) -> None:
        """Move receipts with an older timestamp out of the buffer."""
        while self.buffered and self.buffered[0][0] < before_ns:
            self.ravable += heapq.heappop(self.buffered)[1]
            self.ravable_receipts += 1

    def replace(self, receipts: list[tuple[int, int]]) -> None:
        """Replace everything counted by these (timestamp, value)."""
        self.unaggregated = sum(value for _, value in receipts)
        self.ravable = self.ravable_receipts = 0
        self.buffered = list(receipts)
        heapq.heapify(self.buffered)


@dataclass(slots=True)
class Account:
    """One payer: fees by allocation, whether it is denied, and when a failed RAV may be tried again."""

    payer: bytes
    denied: bool = False
    failed_ravs: int = 0
    next_rav_at: float = 0.0
    fees: dict[FeesKey, Fees] = field(default_factory=dict)

    def of(self, key: FeesKey) -> Fees:
        """The fees under one allocation, made empty when they are new."""
        fees = self.fees.get(key)
        if fees is None:
            fees = self.fees[key] = Fees()
        return fees

    @property
    def unaggregated(self) -> int:
        """Fees not in a RAV, over all allocations."""
        return sum(fees.unaggregated for fees in self.fees.values())

    def must_be_denied(self, balance: int, limit: int) -> bool:
        """The deny condition over all allocations."""
        pending = unaggregated = invalid = 0
        for fees in self.fees.values():
            pending += fees.pending
            unaggregated += fees.unaggregated
            invalid += fees.invalid
        return deny_condition(pending=pending, unaggregated=unaggregated, invalid=invalid, balance=balance, limit=limit)

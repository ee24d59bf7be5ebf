"""The rows of one payer in the services' database, as plain data: receipts, invalid ones, RAVs, denial.

Receipts are deleted once a RAV covers them, so their number falls while a payer goes on paying. Their value is kept in
the RAV. So the stored total is computed from values: receipts, invalid receipts and RAVs together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_NUMBER = re.compile(r"\d{4,}")
_REASON_LENGTH = 200


@dataclass(frozen=True)
class Rav:
    """One aggregate voucher. ``last``: its allocation was closed; ``final``: redeemed and past reorganisations."""

    collection: str
    value_wei: int
    last: bool
    final: bool
    redeemed: bool


@dataclass(frozen=True)
class Stored:
    """The rows of one payer at one moment; amounts in wei.

    ``invalid``: receipts that the tap-agent refused to aggregate, each counted once and only if it is no longer among
    the ``receipts``; ``invalid_reasons``: each reason with its count. ``unaggregated_wei``: the value of receipts newer
    than their collection's RAV, which the agent's fee tracker should show. ``denied``: whether the payer is in the
    denylist. ``last_id``: the highest id of the receipts (None if there are none).
    """

    receipts: int
    receipts_wei: int
    invalid: int
    invalid_wei: int
    invalid_reasons: tuple[tuple[str, int], ...]
    ravs: tuple[Rav, ...]
    unaggregated_wei: int
    denied: bool
    last_id: int | None

    @property
    def aggregated_wei(self) -> int:
        """The value in RAVs."""
        return sum(rav.value_wei for rav in self.ravs)

    @property
    def pending_wei(self) -> int:
        """The value in RAVs that are not redeemed yet."""
        return sum(rav.value_wei for rav in self.ravs if not rav.redeemed)

    @property
    def ever_wei(self) -> int:
        """The value of all receipts that ever reached the database. Aggregation does not lower it."""
        return self.receipts_wei + self.invalid_wei + self.aggregated_wei


@dataclass(frozen=True)
class StoredSince:
    """What was added to the database between two readings; ``aggregated_wei``: what RAVs took up meanwhile. ``denied``:
    whether the payer was in the denylist at the second."""

    receipts: int
    invalid: int
    invalid_reasons: tuple[tuple[str, int], ...]
    aggregated_wei: int
    denied: bool

    @property
    def reasons(self) -> str:
        """Why receipts were invalid, with how many of each, in one text."""
        return "; ".join(f"{count} {reason}" for reason, count in self.invalid_reasons)


def since(before: Stored, after: Stored, value_wei: int) -> StoredSince:
    """The difference between two readings of one payer whose receipts have ``value_wei``."""
    reasons = Counter(dict(after.invalid_reasons)) - Counter(dict(before.invalid_reasons))
    receipts = after.receipts + after.invalid - before.receipts - before.invalid
    if value_wei > 0:
        receipts = (after.ever_wei - before.ever_wei) // value_wei
    return StoredSince(
        receipts=receipts,
        invalid=after.invalid - before.invalid,
        invalid_reasons=tuple(reasons.most_common()),
        aggregated_wei=after.aggregated_wei - before.aggregated_wei,
        denied=after.denied,
    )


def by_reason(logs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The reasons in texts of ``error_log``, with their counts, the most frequent first. Addresses and large numbers
    are removed from the texts, because they differ between receipts."""
    reasons: Counter[str] = Counter()
    for text, count in logs:
        reason = _NUMBER.sub("…", _ADDRESS.sub("0x…", " ".join(text.split())))[:_REASON_LENGTH]
        reasons[reason or "no reason given"] += count
    return tuple(reasons.most_common())

"""The ten receipt checks of indexer-service, in its order and with its texts. The first failure wins.

Each check returns None or the text after "Issue encountered while performing check: ".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.receipts.address import checksum
from workbench.standin.chain import Chain

_NO_PREFIX = bytes(12)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A receipt under check. V1 receipts have neither service provider nor data service."""

    version: int
    collection_id: bytes
    claimed_payer: bytes
    service_provider: bytes
    data_service: bytes
    timestamp_ns: int
    value: int

    @property
    def allocation(self) -> bytes:
        """The 20-byte allocation address at the end of the collection id."""
        return self.collection_id[12:]


@dataclass
class Knowledge:
    """What the service checks receipts against: its configuration, and the latest state from its watchers."""

    indexer: bytes
    data_service: bytes
    tolerance_ns: int
    max_value: int
    min_value: int
    chain: Chain
    denied: set[bytes] = field(default_factory=set)
    redeemed: set[tuple[bytes, bytes, bytes]] = field(default_factory=set)


Check = Callable[[Candidate, bytes, int, Knowledge], str | None]


def allocation_eligible(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """1: the collection id is canonical and its allocation is one of this indexer's."""
    if receipt.collection_id[:12] != _NO_PREFIX:
        return "Invalid collection_id: first 12 bytes must be zero, got non-zero prefix"
    if receipt.allocation not in known.chain.allocations:
        return f"Receipt allocation ID `{checksum(receipt.allocation)}` is not eligible for this indexer"
    return None


def allocation_not_redeemed(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """2: no closing RAV of this payer, data service and collection has been redeemed."""
    if (sender, receipt.data_service, receipt.collection_id) in known.redeemed:
        allocation, payer = checksum(receipt.allocation), checksum(sender)
        return f"Closing RAV already redeemed for collection {allocation} of payer {payer}"
    return None


def sender_balance(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """3: the sender has any balance left that is not thawing."""
    if known.chain.available(sender) > 0:
        return None
    return f"Receipt sender `{checksum(sender)}` does not have a sufficient balance"


def timestamp(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """4: the timestamp is strictly within the tolerance on both sides."""
    if abs(receipt.timestamp_ns - now_ns) < known.tolerance_ns:
        return None
    seconds = receipt.timestamp_ns // 10**9
    return f"Receipt timestamp `{seconds}` is outside of current system time +/- timestamp_error_tolerance"


def denylist(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """5: the tap-agent has not denied the sender."""
    if sender in known.denied:
        return f"Received a receipt from a denylisted sender: {checksum(sender)}"
    return None


def maximum_value(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """6: the value is below the maximum; the maximum itself is refused."""
    if receipt.value < known.max_value:
        return None
    return f"Receipt value `{receipt.value}` is higher than the limit set by the user"


def minimum_value(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """7: the value is at least the minimum."""
    if receipt.value >= known.min_value:
        return None
    return (
        "Query receipt does not have the minimum value. "
        f"Expected value: {known.min_value}. Received value: {receipt.value}."
    )


def service_provider(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """8: the receipt is addressed to this indexer."""
    if receipt.service_provider == known.indexer:
        return None
    return "Invalid service_provider: receipt is not addressed to this indexer"


def payer(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """9: the payer it names is the one its signer signs for."""
    if receipt.claimed_payer == sender:
        return None
    return (
        f"Invalid payer: receipt claims payer {checksum(receipt.claimed_payer)} "
        f"but signer is authorized for {checksum(sender)}"
    )


def data_service(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """10: the data service is the SubgraphService contract."""
    if receipt.data_service == known.data_service:
        return None
    return f"Invalid data_service: {receipt.data_service.hex()} is not allowed for this indexer"


CHECKS_V1: tuple[Check, ...] = (
    allocation_eligible,
    allocation_not_redeemed,
    sender_balance,
    timestamp,
    denylist,
    maximum_value,
    minimum_value,
)
CHECKS_V2: tuple[Check, ...] = (*CHECKS_V1, service_provider, payer, data_service)


def first_failure(receipt: Candidate, sender: bytes, now_ns: int, known: Knowledge) -> str | None:
    """The text of the first check that fails for a receipt whose signer belongs to ``sender``; None if all pass."""
    for check in CHECKS_V2 if receipt.version == 2 else CHECKS_V1:
        failure = check(receipt, sender, now_ns, known)
        if failure is not None:
            return failure
    return None

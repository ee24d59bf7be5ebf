"""The tap-agent's figures for a payer. Its gauges named "grt" are in wei."""

from __future__ import annotations

from workbench.receipts.address import checksum
from workbench.service.budget import Fees
from workbench.service.metrics import Reading, scrape, total

LIMIT = "tap_max_fee_per_sender_grt_total"
BALANCE = "tap_sender_escrow_balance_grt_total"
TRACKER = "tap_sender_fee_tracker_grt_total"
INVALID = "tap_invalid_receipt_fees_grt_total"
PENDING = "tap_pending_rav_grt_total"
DENIED = "tap_sender_denied"
RECEIVED = "tap_receipts_received_total"


def fees_of(readings: list[Reading], payer: bytes, *, limit: int | None) -> Fees:
    """The fees of ``payer`` from one scrape of the agent.

    The agent creates a payer's series when it first sees the payer; without them the balance is None. The limit is the
    same for all payers, so any payer's series is used; if there is none, ``limit``.
    """
    sender = checksum(payer)

    def wei(name: str) -> int:
        return round(total(readings, name, sender=sender) or 0)

    own_limit = total(readings, LIMIT, sender=sender)
    if own_limit is None:
        own_limit = next((reading.value for reading in readings if reading.name == LIMIT), None)
    own_balance = total(readings, BALANCE, sender=sender)
    return Fees(
        limit=limit if own_limit is None else round(own_limit),
        balance=None if own_balance is None else round(own_balance),
        unaggregated=wei(TRACKER),
        invalid=wei(INVALID),
        pending=wei(PENDING),
        received=wei(RECEIVED),
        denied=bool(total(readings, DENIED, sender=sender)),
        source="tap-agent metrics" if own_limit is not None else "settings",
    )


async def read_fees(url: str, payer: bytes, *, limit: int | None, timeout_s: float | None = None) -> Fees:
    """The fees of ``payer`` from the agent's metrics at ``url``; ``timeout_s`` as in
    :func:`workbench.service.metrics.scrape`. Raises TargetError."""
    return fees_of(await scrape(url, "the tap-agent's metrics", timeout_s), payer, limit=limit)


def has_actor(readings: list[Reading], payer: bytes) -> bool:
    """Whether the agent has a running actor for ``payer``: such an actor reports the payer's escrow.

    If the aggregator cannot be reached when the actor starts, the actor does not run and the payer is denied. Then only
    the gauges are there that are set before the aggregator is asked: the limit, and that the payer is not denied.
    """
    sender = checksum(payer)
    return any(total(readings, name, sender=sender) is not None for name in (BALANCE, TRACKER))


def held_denied(readings: list[Reading], payer: bytes) -> bool | None:
    """Whether the agent holds ``payer`` denied; None if it has no such series."""
    value = total(readings, DENIED, sender=checksum(payer))
    return None if value is None else bool(value)


def unaggregated_of(readings: list[Reading], payer: bytes) -> int | None:
    """The fees of ``payer`` that are in no RAV, in wei; None if the agent has no such series."""
    value = total(readings, TRACKER, sender=checksum(payer))
    return None if value is None else round(value)

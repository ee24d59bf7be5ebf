"""Queries to the network subgraph: the indexer's allocations and the payers' escrow."""

from __future__ import annotations

from workbench.errors import TargetError
from workbench.receipts.address import parse_address
from workbench.service.fetch import post_graphql


async def find_allocation(url: str, indexer: bytes) -> bytes:
    """The first active allocation of ``indexer``. Receipts for the allocation of another indexer would be refused.

    Raises TargetError if the subgraph does not answer or the indexer has no allocation.
    """
    query = (
        f'{{ allocations(first: 1000, where: {{ status: Active, indexer: "0x{indexer.hex()}" }}) '
        "{ id indexer { id } subgraphDeployment { id } } }"
    )
    data = await post_graphql(url, query, "the network subgraph")
    found = data.get("allocations") or []
    for allocation in found:
        try:
            if parse_address(allocation["indexer"]["id"]) == indexer:
                return parse_address(allocation["id"])
        except (KeyError, TypeError):
            continue
    raise TargetError(
        f"indexer 0x{indexer.hex()} has no active allocation (the answer has {len(found)} of other indexers)",
        where=url,
        hint="Give --indexer or --allocation, or open an allocation",
    )


async def escrow_balance(url: str, collector: bytes, indexer: bytes, payer: bytes) -> int | None:
    """Escrow of ``payer`` minus the amount being thawed, in wei; None if the subgraph has no account."""
    query = (
        f'{{ paymentsEscrowAccounts(first: 1000, where: {{ collector: "0x{collector.hex()}", '
        f'receiver: "0x{indexer.hex()}", payer: "0x{payer.hex()}" }}) '
        "{ balance totalAmountThawing payer { id } } }"
    )
    data = await post_graphql(url, query, "the network subgraph")
    for account in data.get("paymentsEscrowAccounts") or []:
        try:
            if parse_address(account["payer"]["id"]) == payer:
                return int(account["balance"]) - int(account["totalAmountThawing"])
        except (KeyError, TypeError, ValueError):
            continue
    return None

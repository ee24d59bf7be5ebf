"""The network subgraph under the questions of the two programs, in the form their GraphQL client sends them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from workbench.network.subgraph import Subgraph
from workbench.network.world import DISPUTE_MANAGER, World
from workbench.receipts.address import parse_address
from workbench.settings import Settings
from workbench.standin.accounts import payer

NOW = 1_795_968_000.0
SETTINGS = Settings(standin_payers=5, escrow_grt=Decimal(10))
INDEXER = SETTINGS.indexer.lower()
COLLECTOR = SETTINGS.collector.lower()
MAX = str((1 << 256) - 1)
LEAST = str(10**17)

# names, arguments and fields of indexer-rs' operations; the first with the comment it carries
ALLOCATIONS = """
# This query retrieves allocations for a specified indexer. A query of the TAP system.
query AllocationsQuery($indexer: ID!, $closedAtThreshold: Int!, $block: Block_height, $first: Int!, $last: ID!) {
  meta: _meta(block: $block) { block { number hash timestamp } }
  allocations(block: $block, orderBy: id, orderDirection: asc, first: $first, where: { and: [
    { id_gt: $last } { indexer_: { id: $indexer } }
    { or: [{ status: Active } { and: [{ status: Closed, closedAt_gte: $closedAtThreshold }] }] } ] }
  ) { ...AllocationFragment }
}
fragment AllocationFragment on Allocation { id isLegacy indexer { id } allocatedTokens createdAtBlockHash
  createdAtEpoch closedAtEpoch subgraphDeployment { id deniedAt } }
"""
ESCROW = """
query NetworkEscrowAccountQueryV2($receiver: Bytes!, $thawEndTimestamp: BigInt!, $collector: String!, $first: Int!,
  $last: ID!, $minBalance: BigInt!, $block: Block_height) {
  meta: _meta(block: $block) { block { number hash timestamp } }
  paymentsEscrowAccounts(block: $block, orderBy: id, orderDirection: asc, first: $first, where: { and: [
    { id_gt: $last } { receiver_: { id: $receiver } } { collector: $collector } { balance_gt: $minBalance } ] }
  ) { id balance totalAmountThawing payer { id signers(first: 1000, orderBy: id, orderDirection: asc,
      where: { thawEndTimestamp_lte: $thawEndTimestamp, isAuthorized: true }) { id } } }
}"""
SIGNERS = """
query SignersByPayerQuery($payer: String!, $first: Int!, $last: ID!, $thawEndTimestamp: BigInt!, $block: Block_height) {
  signers(block: $block, first: $first, orderBy: id, where: { and: [{ id_gt: $last } { payer: $payer }] }) { id }
}"""
CLOSED = """
query ClosedAllocations($allocation_ids: [ID!]!, $block: Block_height, $first: Int!, $last: ID!) {
  meta: _meta(block: $block) { block { number hash timestamp } }
  allocations(block: $block, first: $first, where: { and: [{ closedAt_not: null } { id_gt: $last }
    { id_in: $allocation_ids }] }) { id }
}"""
REDEEMED = """
query PaymentsEscrowTransactionsRedeemQuery($payer: Bytes!, $receiver: Bytes!, $allocationIds: [Bytes!]) {
  paymentsEscrowTransactions(where: { type: "redeem", payer_: { id: $payer }, receiver_: { id: $receiver },
    allocationId_in: $allocationIds }) { id allocationId timestamp }
}"""


@pytest.fixture
def world() -> World:
    return World.of(SETTINGS)


def ask(world: World, query: str, name: str | None = None, now: float = NOW, **variables: Any) -> Any:
    body: dict[str, Any] = {"variables": variables, "query": query}
    if name is not None:
        body["operationName"] = name
    answer = json.loads(Subgraph(world, lambda: now).answer(json.dumps(body).encode()))
    return answer.get("data", answer)


def escrow_page(world: World, first: int, last: str = "", **changes: Any) -> Any:
    variables = {"receiver": INDEXER, "collector": COLLECTOR, "minBalance": LEAST, "thawEndTimestamp": MAX}
    variables |= {"first": first, "last": last, "block": None}
    return ask(world, ESCROW, "NetworkEscrowAccountQueryV2", **(variables | changes))


def test_allocations(world: World) -> None:
    for name in ("AllocationsQuery", None):
        data = ask(world, ALLOCATIONS, name, indexer=INDEXER, closedAtThreshold=1, first=200, last="", block=None)
        assert data["meta"]["block"]["timestamp"] == int(NOW)
        (found,) = data["allocations"]
        assert found == {
            "id": f"0x{world.place.allocation.hex()}",
            "status": "Active",
            "isLegacy": False,
            "indexer": {"id": INDEXER},
            "allocatedTokens": str(10**18),
            "createdAtBlockHash": found["createdAtBlockHash"],
            "createdAtEpoch": 1,
            "closedAtEpoch": None,
            "subgraphDeployment": {"id": f"0x{world.place.deployment.hex()}", "deniedAt": 0},
        }
        assert parse_address(found["id"]) == world.place.allocation
        assert len(found["createdAtBlockHash"]) == 66


def test_allocations_end_after_the_last_and_belong_to_one_indexer(world: World) -> None:
    own = f"0x{world.place.allocation.hex()}"
    asked = {"closedAtThreshold": 1, "first": 200, "block": None}
    assert ask(world, ALLOCATIONS, "AllocationsQuery", indexer=INDEXER, last=own, **asked)["allocations"] == []
    other = "0x" + "11" * 20
    assert ask(world, ALLOCATIONS, "AllocationsQuery", indexer=other, last="", **asked)["allocations"] == []


def test_block_timestamps_are_fresh_and_numbers_rise(world: World) -> None:
    clock = iter([NOW, NOW + 5, NOW + 65])
    subgraph = Subgraph(world, lambda: next(clock))
    body = json.dumps({"query": "{ _meta { block { number timestamp } } }"}).encode()
    first, second = (json.loads(subgraph.answer(body))["data"]["_meta"]["block"] for _ in range(2))
    assert (second["timestamp"] - first["timestamp"], second["number"] - first["number"]) == (60, 60)
    assert first["timestamp"] == NOW + 5


def test_escrow_accounts(world: World) -> None:
    accounts = escrow_page(world, 200)["paymentsEscrowAccounts"]
    assert {account["payer"]["id"]: account["payer"]["signers"] for account in accounts} == {
        f"0x{payer(n).address.hex()}": [{"id": f"0x{payer(n).key.address.hex()}"}] for n in range(5)
    }
    assert {(account["balance"], account["totalAmountThawing"]) for account in accounts} == {(str(10**19), "0")}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_escrow_accounts_in_pages(world: World, size: int) -> None:
    """As the programs page: on from the last id while a page is full, pinned to the first page's block."""
    ids: list[str] = []
    last, block = "", None
    while True:
        data = escrow_page(world, size, last, block=block)
        block = {"hash": data["meta"]["block"]["hash"]}
        page = [account["id"] for account in data["paymentsEscrowAccounts"]]
        ids += page
        if len(page) < size:
            break
        last = page[-1]
    assert ids == sorted(set(ids))
    assert len(ids) == 5


def test_escrow_of_too_small_a_balance_or_of_others_is_left_out(world: World) -> None:
    poor = world.chain.accounts[payer(1).address]
    poor.balance = 10**17
    assert len(escrow_page(world, 200)["paymentsEscrowAccounts"]) == 4
    poor.balance += 1
    assert len(escrow_page(world, 200)["paymentsEscrowAccounts"]) == 5
    for changes in ({"receiver": "0x" + "11" * 20}, {"collector": "0x" + "11" * 20}):
        assert escrow_page(world, 200, **changes)["paymentsEscrowAccounts"] == []


def test_signers_of_a_payer(world: World) -> None:
    asked = {"first": 1000, "thawEndTimestamp": "0", "block": None}
    of_one = f"0x{payer(2).address.hex()}"
    signer = f"0x{payer(2).key.address.hex()}"
    assert ask(world, SIGNERS, "SignersByPayerQuery", payer=of_one, last="", **asked) == {"signers": [{"id": signer}]}
    assert ask(world, SIGNERS, "SignersByPayerQuery", payer=of_one, last=signer, **asked) == {"signers": []}
    assert ask(world, SIGNERS, "SignersByPayerQuery", payer="0x" + "11" * 20, last="", **asked) == {"signers": []}


def test_the_short_ones(world: World) -> None:
    horizon = "query HorizonDetectionQuery { paymentsEscrowAccounts(first: 1) { id } }"
    assert len(ask(world, horizon, "HorizonDetectionQuery")["paymentsEscrowAccounts"]) == 1
    dispute = "query DisputeManager { graphNetwork(id: 1) { disputeManager } }"
    assert ask(world, dispute, "DisputeManager")["graphNetwork"]["disputeManager"] == f"0x{DISPUTE_MANAGER.hex()}"
    epoch = "query CurrentEpoch { graphNetwork(id: 1) { currentEpoch } }"
    assert ask(world, epoch, "CurrentEpoch")["graphNetwork"]["currentEpoch"] == 1
    # the agent leaves the 0x out here
    redeemed = {"payer": payer(0).address.hex(), "receiver": INDEXER[2:], "allocationIds": ["11" * 20]}
    assert ask(world, REDEEMED, "PaymentsEscrowTransactionsRedeemQuery", **redeemed) == {
        "paymentsEscrowTransactions": []
    }


def test_closed_allocations(world: World) -> None:
    own = f"0x{world.place.allocation.hex()}"
    asked = {"allocation_ids": [own, "0x" + "11" * 20], "first": 200, "last": "", "block": None}
    assert ask(world, CLOSED, "ClosedAllocations", **asked)["allocations"] == []
    world.chain.allocations.clear()
    assert ask(world, CLOSED, "ClosedAllocations", **asked)["allocations"] == [{"id": own}]


def test_the_workbench_asks_without_a_name(world: World) -> None:
    found = ask(world, f'{{ allocations(first: 1000, where: {{ status: Active, indexer: "{INDEXER}" }}) {{ id }} }}')
    assert [entry["id"] for entry in found["allocations"]] == [f"0x{world.place.allocation.hex()}"]
    one = f"0x{payer(3).address.hex()}"
    found = ask(
        world, f'{{ paymentsEscrowAccounts(first: 1, where: {{ payer: "{one}" }}) {{ balance payer {{ id }} }} }}'
    )
    assert [entry["payer"]["id"] for entry in found["paymentsEscrowAccounts"]] == [one]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected a GraphQL request"),
        (b"[]", "expected a GraphQL request"),
        (b'{"query": 1}', "must be text"),
        (b'{"query": "{ nothing }"}', "Type `Query` has no field `nothing`"),
        (b'{"query": "{ _meta"}', "unexpected end of input"),
        (b'{"query": "query AllocationsQuery { a }", "variables": {}}', "Invalid value provided"),
    ],
)
def test_what_is_no_question(world: World, body: bytes, words: str) -> None:
    (error,) = json.loads(Subgraph(world).answer(body))["errors"]
    assert words in error["message"]

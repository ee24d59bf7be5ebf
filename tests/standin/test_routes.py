"""The rows of the contract beside the paid route: health, status, cost, their limits, the network subgraph."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from workbench.receipts.address import parse_deployment
from workbench.standin.accounts import ALLOCATION, payer
from workbench.standin.misc import MISC_BURST
from workbench.standin.server import Standin

from .conftest import Caller

# The other routes.


async def test_root(caller: Caller) -> None:
    answer = await caller.query(method="GET", path="/")
    assert (answer.status, answer.text) == (200, "Service is up and running")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_info(caller: Caller) -> None:
    answer = await caller.query(method="GET", path="/info")
    assert answer.json == {"publicKey": caller.settings.indexer.lower()}


async def test_version(caller: Caller) -> None:
    answer = await caller.query(method="GET", path="/version/")
    assert "standin" in answer.json["version"]
    assert isinstance(answer.json["dependencies"], dict)


async def test_healthz(caller: Caller) -> None:
    answer = await caller.query(method="GET", path="/healthz")
    healthy = {"status": "healthy"}
    assert (answer.status, answer.json) == (
        200,
        {"status": "healthy", "checks": {"database": healthy, "graph_node": healthy}},
    )


@pytest.mark.parametrize("part", ["database", "graph_node"])
async def test_healthz_is_503_when_a_part_is_down(caller: Caller, standin: Standin, part: str) -> None:
    if part == "database":
        standin.switches.store = "lost"
    else:
        standin.switches.backend_down = True
    answer = await caller.query(method="GET", path="/healthz")
    other = {"database": "graph_node", "graph_node": "database"}[part]
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["checks"][part]["status"] == "unhealthy"
    assert answer.json["checks"][part]["error"]
    assert answer.json["checks"][other] == {"status": "healthy"}


@pytest.mark.parametrize(
    ("deployment", "status", "body"),
    [
        (None, 200, {"health": "healthy"}),
        ("nonsense", 404, {"errors": ["Deployment not found"]}),
        ("0x" + "11" * 32, 404, {"errors": ["Deployment not found"]}),
    ],
    ids=["known", "unreadable", "unknown"],
)
async def test_subgraph_health(caller: Caller, deployment: str | None, status: int, body: Any) -> None:
    path = f"/subgraph/health/{deployment or caller.settings.deployment}"
    answer = await caller.query(method="GET", path=path)
    assert (answer.status, answer.json) == (status, body)


async def test_subgraph_health_is_502_when_graph_node_is_down(caller: Caller, standin: Standin) -> None:
    standin.switches.backend_down = True
    answer = await caller.query(method="GET", path=f"/subgraph/health/{caller.settings.deployment}")
    assert (answer.status, answer.json) == (502, {"errors": ["Failed to send request"]})


@pytest.mark.parametrize(("method", "path"), [("POST", "/network"), ("GET", "/dips/info"), ("GET", "/health")])
async def test_routes_that_are_not_there(caller: Caller, method: str, path: str) -> None:
    answer = await caller.query(method=method, path=path)
    assert (answer.status, answer.text) == (404, "")


async def status_query(caller: Caller, query: str) -> Any:
    return await caller.query(path="/status", body=json.dumps({"query": query}).encode())


async def test_status(caller: Caller) -> None:
    answer = await status_query(caller, "query Q { indexingStatuses { subgraph health } ... { version { version } } }")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["data"]["indexingStatuses"][0]["subgraph"] == caller.settings.deployment


def nested(depth: int) -> str:
    return "{ " + "... { " * depth + "version { version }" + " }" * depth + " }"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("{ version } #" + "x" * 32768, "Invalid status query: Query exceeds maximum size of 32768 bytes"),
        ("{ nonsense }", 'Unsupported status query fields: ["nonsense"]'),
        ("{ ...F } fragment F on Query { nonsense }", 'Unsupported status query fields: ["nonsense"]'),
        ("{ ...F }", "Invalid status query: Undefined fragment: F"),
        (
            "{ ...F } fragment F on Query { ...F }",
            "Invalid status query: Circular fragment reference detected: F",
        ),
        (nested(11), "Invalid status query: Query exceeds maximum nesting depth of 10"),
        (
            "{ version",
            ("Invalid status query: query parse error: Parse error at 1:10\nUnexpected end of input\nExpected }\n"),
        ),
    ],
    ids=["too large", "field", "field in a fragment", "undefined fragment", "circular fragment", "depth", "syntax"],
)
async def test_status_refuses(caller: Caller, query: str, text: str) -> None:
    answer = await status_query(caller, query)
    assert (answer.status, answer.message) == (400, text)


async def test_status_takes_ten_levels(caller: Caller) -> None:
    assert (await status_query(caller, nested(10))).status == 200


async def test_status_is_502_when_graph_node_is_down(caller: Caller, standin: Standin) -> None:
    standin.switches.backend_down = True
    answer = await status_query(caller, "{ version { version } }")
    assert (answer.status, answer.message.split(":")[0]) == (502, "Internal server error")


async def cost_query(caller: Caller, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    return await caller.query(path="/cost", body=body)


async def test_cost(caller: Caller) -> None:
    deployment = caller.settings.deployment
    query = f'query Q {{ costModel(deployment: "{deployment}") {{ model }} }}'
    assert (await cost_query(caller, query)).json == {"data": {"costModel": None}}
    batch = "query Q($ids: [String!]!) { costModels(deployments: $ids) { deployment model variables } }"
    assert (await cost_query(caller, batch, ids=[deployment] * 200)).json == {"data": {"costModels": []}}
    answer = (await cost_query(caller, batch, ids=[deployment] * 201)).json
    assert answer["errors"][0]["message"] == "Batch size 201 exceeds maximum allowed (200)"
    (refused,) = (await cost_query(caller, batch, ids=["nonsense"])).json["errors"]
    assert refused == {
        "message": 'invalid hex string "": invalid string length',
        "locations": [{"line": 1, "column": 29}],
        "path": ["costModels"],
    }


@pytest.mark.parametrize("path", ["/", "/info", "/version", "/healthz", "/subgraph/health/x"])
async def test_misc_routes_are_rate_limited(caller: Caller, path: str) -> None:
    answers = await asyncio.gather(*(caller.query(method="GET", path=path) for _ in range(MISC_BURST * 4)))
    refused = [answer for answer in answers if answer.status == 429]
    # While they arrive the limit refills; it cannot have refilled by half of them.
    assert MISC_BURST <= len(answers) - len(refused) <= MISC_BURST * 2
    for answer in refused:
        assert answer.text == "Too Many Requests! Wait for 0s"
        assert (answer.headers["x-ratelimit-after"], answer.headers["retry-after"]) == ("0", "0")


async def test_rate_limit_is_per_client(caller: Caller) -> None:
    async def statuses(**headers: str) -> list[int]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        ask = (caller.query(method="GET", path="/", headers=sent) for _ in range(MISC_BURST))
        return [answer.status for answer in await asyncio.gather(*ask)]

    for _ in range(2):
        await statuses()
    assert set(await statuses(x_forwarded_for="10.0.0.1, 10.0.0.9")) == {200}
    assert set(await statuses(x_real_ip="10.0.0.2")) == {200}
    assert set(await statuses(forwarded="for=10.0.0.3;proto=http")) == {200}
    assert 429 in await statuses(x_forwarded_for="10.0.0.1")


@pytest.mark.parametrize("path", ["/status", "/cost"])
async def test_status_and_cost_are_not_rate_limited(caller: Caller, path: str) -> None:
    ask = (caller.query(path=path) for _ in range(MISC_BURST * 4))
    assert 429 not in {answer.status for answer in await asyncio.gather(*ask)}


# The network subgraph.


async def test_network_subgraph(caller: Caller, standin: Standin) -> None:
    async def ask(query: str) -> Any:
        return (await caller.fetch(caller.endpoints.graph_url, "POST", json.dumps({"query": query}).encode())).json

    allocations = "{ allocations(where: { status: Active }) { id indexer { id } subgraphDeployment { id } } }"
    found = (await ask(allocations))["data"]["allocations"]
    assert [(a["id"], a["indexer"]["id"]) for a in found] == [
        (f"0x{ALLOCATION.hex()}", caller.settings.indexer.lower())
    ]
    assert parse_deployment(found[0]["subgraphDeployment"]["id"]) == parse_deployment(caller.settings.deployment)
    await standin.thaw(payer(1).address, Decimal(3))
    accounts = (await ask("{ paymentsEscrowAccounts(first: 2) { id balance totalAmountThawing } }"))["data"]
    assert [(a["balance"], a["totalAmountThawing"]) for a in accounts["paymentsEscrowAccounts"]] == [
        (str(10 * 10**18), "0"),
        (str(10 * 10**18), str(3 * 10**18)),
    ]
    signers = [s["id"] for a in accounts["paymentsEscrowAccounts"] for s in a["payer"]["signers"]]
    assert signers == [f"0x{payer(index).key.address.hex()}" for index in (0, 1)]
    standin.close_allocation()
    assert (await ask(allocations))["data"]["allocations"] == []
    assert "errors" in await ask("{ nonsense { id } }")

"""graph-node's addresses and the admin's, in a process of their own as the network runs them."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from workbench.errors import TargetError
from workbench.network.child import Child, child
from workbench.network.http import Connection
from workbench.network.node import GraphNode
from workbench.network.world import World
from workbench.receipts.address import checksum
from workbench.settings import Settings
from workbench.standin.accounts import payer

QUERY = b'{"query":"{ _meta { block { number } } }"}'
PAID = "/subgraphs/id/QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs"
SETTINGS = Settings(graph_port=0, standin_payers=3, backend_latency="constant:0")


@pytest.fixture
async def graph(tmp_path: Path) -> AsyncIterator[Child]:
    async with child("graph", SETTINGS, tmp_path / "graph.log") as running:
        yield running


def call(url: str, body: bytes | dict[str, Any] | None = None) -> tuple[int, Any, Any]:
    """Status, headers and JSON of an answer."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())


def test_paid_queries_are_attestable() -> None:
    node = GraphNode(World.of(SETTINGS), seed=1)
    for body in (QUERY, b'{"query":"{ nothing }"}', b"no query"):
        reply = node.handle(b"POST", PAID.encode(), body)
        assert reply.data is not None
        assert b"\r\ngraph-attestable: true\r\n" in reply.data


async def test_the_addresses(graph: Child) -> None:
    status, headers, answer = await asyncio.to_thread(call, graph.url + PAID, QUERY)
    assert (status, headers["graph-attestable"]) == (200, "true")
    assert answer == {"data": {"_meta": {"block": {"number": 1000}}}}
    status, headers, answer = await asyncio.to_thread(call, graph.url + "/graphql", b'{"query":"{ __typename }"}')
    assert (status, headers["content-type"], answer) == (200, "application/json", {"data": {"__typename": "Query"}})
    health = {
        "query": "query HealthQuery($ids: [String!]!) { indexingStatuses(subgraphs: $ids)"
        " { synced health fatalError { message } nonFatalErrors { message } } }",
        "operationName": "HealthQuery",
        "variables": {"ids": [SETTINGS.deployment]},
    }
    _, _, answer = await asyncio.to_thread(call, graph.url + "/graphql", health)
    (found,) = answer["data"]["indexingStatuses"]
    assert (found["synced"], found["health"], found["fatalError"], found["nonFatalErrors"]) == (
        True,
        "healthy",
        None,
        [],
    )
    health["variables"] = {"ids": ["QmOther"]}
    _, _, answer = await asyncio.to_thread(call, graph.url + "/graphql", health)
    assert answer == {"data": {"indexingStatuses": []}}
    _, _, answer = await asyncio.to_thread(call, graph.url + "/graphql", b'{"query":"{ secrets }"}')
    assert answer["errors"][0]["message"] == 'Unknown field "secrets" on type "Query"'
    assert (await asyncio.to_thread(call, graph.url + "/elsewhere", QUERY))[0] == 404


async def test_only_the_loopback_address_is_listened_on(graph: Child) -> None:
    listening = [c.laddr.ip for c in psutil.Process(graph.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]


async def test_balances_and_payers_change_while_it_runs(graph: Child) -> None:
    first, new = checksum(payer(0).address), checksum(payer(40).address)
    changes = {
        "payers": {
            first: {"balance_grt": "0.5", "thawing_grt": "0.25"},
            new: {"balance_grt": 7, "signer": checksum(payer(40).key.address)},
        }
    }
    status, _, described = await asyncio.to_thread(call, graph.url + "/network", changes)
    assert status == 200
    assert described["payers"][first]["balance_grt"] == "0.5"
    assert (await asyncio.to_thread(call, graph.url + "/network"))[2] == described
    query = {"query": "{ paymentsEscrowAccounts(first: 100) { id } }"}
    _, _, answer = await asyncio.to_thread(call, graph.url + "/subgraphs/name/graph-network", query)
    accounts = {one["payer"]["id"]: one for one in answer["data"]["paymentsEscrowAccounts"]}
    assert len(accounts) == 4
    assert (accounts[first.lower()]["balance"], accounts[first.lower()]["totalAmountThawing"]) == (
        str(5 * 10**17),
        str(25 * 10**16),
    )
    assert accounts[new.lower()]["balance"] == str(7 * 10**18)
    assert accounts[new.lower()]["payer"]["signers"] == [{"id": f"0x{payer(40).key.address.hex()}"}]


async def test_failures_are_switched_while_it_runs(graph: Child) -> None:
    graph_node, subgraph = graph.url + PAID, graph.url + "/subgraphs/name/graph-network"
    asked = {"query": "{ _meta { block { number } } }"}
    await asyncio.to_thread(call, graph.url + "/network", {"backend_down": True})
    for url in (graph_node, graph.url + "/graphql"):
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            await asyncio.to_thread(call, url, asked)
    assert (await asyncio.to_thread(call, subgraph, asked))[0] == 200
    await asyncio.to_thread(call, graph.url + "/network", {"backend_down": False, "subgraph_down": True})
    assert (await asyncio.to_thread(call, graph_node, asked))[0] == 200
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        await asyncio.to_thread(call, subgraph, asked)
    await asyncio.to_thread(call, graph.url + "/network", {"subgraph_down": False, "reset_share": 1})
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        await asyncio.to_thread(call, graph_node, asked)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (b"no json", "expected a JSON object"),
        ({"latency": "constant:1"}, "latency: unknown name; valid are payers, backend_down"),
        ({"backend_latency": "slow"}, "expected a latency such as constant:MS"),
        ({"backend_down": "yes"}, "backend_down: expected true or false, found 'yes'"),
        ({"reset_share": 2}, "reset_share: expected a share from 0 to 1, found 2"),
        ({"payers": []}, "payers: must be an object with addresses"),
        ({"payers": {"0x12": {}}}, "payer must be 20 bytes of hex"),
        ({"payers": {"0x" + "11" * 20: {"balance_grt": 1}}}, "is a new payer, so its signer must be given"),
        ({"payers": {"0x" + payer(0).address.hex(): {"balance_grt": "-1"}}}, "expected an amount in GRT, found '-1'"),
        (
            {"payers": {"0x" + payer(0).address.hex(): {"balance": 1}}},
            "may only have balance_grt, thawing_grt, signer",
        ),
    ],
)
def test_changes_that_cannot_be_made_change_nothing(changes: Any, words: str) -> None:
    world = World.of(SETTINGS)
    node = GraphNode(world, seed=1)
    before = node.handle(b"GET", b"/network", b"").data
    if isinstance(changes, dict):
        # what comes before the bad one is not applied either
        changes = json.dumps({"subgraph_down": True} | changes).encode()
    reply = node.handle(b"POST", b"/network", changes).data
    assert reply is not None
    assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert words in json.loads(reply.partition(b"\r\n\r\n")[2])["errors"][0]["message"]
    assert node.handle(b"GET", b"/network", b"").data == before


def test_latencies_follow_the_distribution() -> None:
    node = GraphNode(World.of(Settings(backend_latency="uniform:2:4")), seed=1)
    delays = [node.handle(b"POST", PAID.encode(), QUERY).delay_s * 1000 for _ in range(200)]
    assert 2 <= min(delays) < 2.2 < 3.8 < max(delays) <= 4
    again = GraphNode(World.of(Settings(backend_latency="uniform:2:4")), seed=1)
    assert [again.handle(b"POST", PAID.encode(), QUERY).delay_s * 1000 for _ in range(200)] == delays


async def test_a_taken_port_is_one_line(graph: Child, tmp_path: Path) -> None:
    port = int(graph.url.rpartition(":")[2])
    taken = SETTINGS.model_copy(update={"graph_port": port})
    with pytest.raises(TargetError) as caught:
        async with child("graph", taken, tmp_path / "second.log"):
            pass
    assert str(caught.value) == (
        f"127.0.0.1:{port}: cannot listen: address already in use. "
        "Give another port with --graph-port (0 takes a free one)"
    )


async def _requests(port: int, count: int, connections: int) -> None:
    """That many paid queries over connections that are kept."""
    head = f"POST {PAID} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\naccept: */*\r\n"
    request = f"{head}content-length: {len(QUERY)}\r\n\r\n".encode() + QUERY

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count // connections):
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


async def test_a_query_costs_less_than_half_of_a_bare_aiohttp_answer() -> None:
    """By CPU time of one and the same loop and clients, so that a slow machine is slow for both."""
    node = GraphNode(World.of(SETTINGS), seed=1)
    loop = asyncio.get_running_loop()
    ours = await loop.create_server(lambda: Connection(node.handle), "127.0.0.1", 0)

    async def bare(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=b'{"data":{"_meta":{"block":{"number":1000}}}}', content_type="application/json")

    runner = web.ServerRunner(web.Server(bare, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    class Silent(asyncio.Protocol):
        """The clients' own cost and the sockets': each request, which comes in one piece, gets ready bytes."""

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    silent = await loop.create_server(Silent, "127.0.0.1", 0)
    ports = {
        "ours": ours.sockets[0].getsockname()[1],
        "aiohttp": runner.addresses[0][1],
        "clients": silent.sockets[0].getsockname()[1],
    }
    cpu = {name: float("inf") for name in ports}
    for _ in range(3):
        for name, port in ports.items():
            before = time.process_time()
            await _requests(port, 2000, 16)
            cpu[name] = min(cpu[name], time.process_time() - before)
    await runner.cleanup()
    for server in (ours, silent):
        server.close()
    assert cpu["ours"] - cpu["clients"] < 0.5 * (cpu["aiohttp"] - cpu["clients"])

"""A stand-in on free ports, and a client that signs receipts for it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from workbench.receipts import v2
from workbench.receipts.address import collection_of, parse_address
from workbench.receipts.keys import SigningKey
from workbench.settings import Settings
from workbench.standin.accounts import ALLOCATION, payer
from workbench.standin.endpoints import Endpoints
from workbench.standin.server import Standin

MILLI_GRT = 10**15
_NONCES = itertools.count(1)


def quick(**changes: Any) -> Settings:
    """Settings on free ports, without the delays a real service has."""
    free = dict.fromkeys(("service_port", "service_metrics_port", "agent_metrics_port", "graph_port"), 0)
    return Settings(**{**free, "backend_latency": "constant:0", "agent_delay_ms": 0, "standin_payers": 4, **changes})


@dataclass(frozen=True)
class Answer:
    """Status, headers and text of an HTTP answer."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        message: str = self.json["message"]
        return message


class Caller:
    """Sends queries to one stand-in as one of its payers."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings, endpoints: Endpoints) -> None:
        self.session = session
        self.settings = settings
        self.endpoints = endpoints

    def signed(self, index: int = 0, *, key: SigningKey | None = None, **fields: Any) -> v2.SignedReceipt:
        """A receipt that every check passes, but for the ``fields`` given."""
        who = payer(index)
        receipt = v2.Receipt(
            collection_of(ALLOCATION),
            who.address,
            parse_address(self.settings.data_service),
            parse_address(self.settings.indexer),
            time.time_ns(),
            next(_NONCES),
            MILLI_GRT,
        )
        receipt = replace(receipt, **fields)
        domain = v2.domain(self.settings.chain_id, parse_address(self.settings.collector))
        return v2.SignedReceipt(receipt, (key or who.key).sign(domain.digest(receipt.struct_hash())))

    async def pay(self, index: int = 0, **fields: Any) -> Answer:
        """One paid query."""
        return await self.query(receipt=self.signed(index, **fields).header())

    async def query(
        self,
        *,
        receipt: str | None = None,
        path: str | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Answer:
        """One request to the paid route, or to another path of the service."""
        sent = dict(headers or {})
        if receipt is not None:
            sent["Tap-Receipt"] = receipt
        if body is None and method == "POST":
            body = json.dumps({"query": self.settings.query}).encode()
        path = f"/subgraphs/id/{self.settings.deployment}" if path is None else path
        return await self.fetch(f"{self.endpoints.service_url}{path}", method, body, sent)

    async def fetch(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Any request."""
        async with self.session.request(
            method, url, data=body, headers=headers, skip_auto_headers=["Content-Type"]
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    def rows(self, query: str, *parameters: object) -> list[Any]:
        """Rows from the stand-in's database, read from outside."""
        connection = sqlite3.connect(f"file:{self.endpoints.database}?mode=ro", uri=True)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    async def agent_metric(self, name: str, **labels: str) -> float | None:
        """One series of the tap-agent's metrics."""
        return sample((await self.fetch(self.endpoints.agent_metrics_url)).text, name, **labels)

    def stored(self) -> int:
        """How many V2 receipts are in the database."""
        return int(self.rows("SELECT count(*) FROM tap_horizon_receipts")[0][0])


async def eventually(condition: Callable[[], bool | Awaitable[bool]], patience_s: float = 60.0) -> None:
    """Wait until a condition holds, and fail when it never does. What takes long to look at is looked at less often."""
    async with asyncio.timeout(patience_s):
        while True:
            began = time.thread_time()
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(max(0.01, 4 * (time.thread_time() - began)))


def sample(exposition: str, name: str, **labels: str) -> float | None:
    """The value of one series in Prometheus text, or None."""
    # The parser adds _total to the name of any counter that does not end so.
    for family in text_string_to_metric_families(exposition):
        for found in family.samples:
            if found.name in (name, f"{name}_total") and labels.items() <= found.labels.items():
                return found.value
    return None


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
async def standin() -> AsyncIterator[Standin]:
    async with Standin(quick()) as standin:
        yield standin


@pytest.fixture
def caller(session: aiohttp.ClientSession, standin: Standin) -> Caller:
    return Caller(session, standin.settings, standin.endpoints)


@pytest.fixture
def call_of(session: aiohttp.ClientSession) -> Callable[[Standin], Caller]:
    """Makes the caller of a stand-in that a test has started itself."""
    return lambda standin: Caller(session, standin.settings, standin.endpoints)

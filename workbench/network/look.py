"""Which parts of a network run and answer, and who can pay."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import TargetError, WorkbenchError
from workbench.masking import shown
from workbench.network.run import Network
from workbench.service.fetch import get_text, post_json
from workbench.settings.kinds import without_password

PATIENCE_S = 5.0


@dataclass(frozen=True)
class Part:
    """A part of the network: its address, without a password, and what is wrong with it ("" for nothing)."""

    name: str
    address: str
    wrong: str


async def look(network: Network) -> tuple[Part, ...]:
    """The parts that the network runs or was given, each checked now: database, graph-node, aggregator."""
    return tuple(
        await asyncio.gather(
            _part("postgres", without_password(network.database_url), lambda: _database(network.database_url)),
            _part("graph", network.graph_url, lambda: describe(network)),
            _part("aggregator", network.aggregator_url, lambda: _connects(network.aggregator_url)),
        )
    )


async def programs(network: Network) -> tuple[Part, ...]:
    """The two programs, checked through their metrics at the addresses of their configuration files; they may not be
    started."""
    addresses = network.addresses
    return tuple(
        await asyncio.gather(
            _part("indexer-service", addresses.service_url, lambda: _connects(addresses.service_url)),
            _part("tap-agent", str(addresses.agent_metrics_url), lambda: _connects(str(addresses.agent_metrics_url))),
        )
    )


async def require_answering(network: Network) -> None:
    """Raise TargetError naming the first part that does not answer: for example because it was killed during a step."""
    for part in await look(network):
        if part.wrong:
            raise TargetError(
                f"the network's {part.name} does not answer: {part.wrong}",
                where=part.address,
                hint=f"Its log and data are in {network.folder}",
            )


async def describe(network: Network) -> dict[str, Any]:
    """Payers, balances and faults from the admin address. Raises TargetError if it does not answer."""
    status, text = await get_text(network.admin_url, "the network")
    if status != 200:
        raise TargetError(f"answers HTTP {status}", where=network.admin_url)
    return _facts(network, status, text)


async def change(network: Network, changes: dict[str, Any]) -> dict[str, Any]:
    """Change payers, balances, latency or failures (see :mod:`workbench.network.admin`); the state after it.

    Raises TargetError if the network does not answer, or with its message if it refuses the change.
    """
    answer = await post_json(network.admin_url, changes, "the network", timeout_s=PATIENCE_S)
    facts = _facts(network, answer.status, answer.text)
    if "errors" in facts:
        raise TargetError(str(facts["errors"][0]["message"]), where=network.admin_url)
    return facts


def _facts(network: Network, status: int, text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise TargetError(
            f"the answer is not that of a workbench network: HTTP {status}, {shown(text, 120)}",
            where=network.admin_url,
            hint="Something else listens there; run: workbench network status",
        )
    return facts


async def denied(network: Network) -> set[str]:
    """Addresses of the payers on the agent's denylist, 40 hex digits each. Raises TargetError without a database."""
    import psycopg

    try:
        connection = await psycopg.AsyncConnection.connect(network.database_url, connect_timeout=int(PATIENCE_S))
        async with connection:
            found = await connection.execute("SELECT DISTINCT sender_address FROM tap_horizon_denylist")
            return {str(address).strip() for (address,) in await found.fetchall()}
    except psycopg.Error as error:
        raise TargetError(_words(error), where=without_password(network.database_url)) from None


async def _part(name: str, address: str, ask: Callable[[], Awaitable[Any]]) -> Part:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ask()
    except TimeoutError:
        return Part(name, address, f"no answer within {PATIENCE_S:.0f} s")
    except WorkbenchError as error:
        return Part(name, address, error.what)
    except OSError as error:
        # asyncio has another text, so the system's text is used
        return Part(name, address, os.strerror(error.errno).lower() if error.errno else str(error))
    return Part(name, address, "")


async def _database(url: str) -> None:
    import psycopg

    try:
        connection = await psycopg.AsyncConnection.connect(url, connect_timeout=int(PATIENCE_S))
        async with connection:
            await connection.execute("SELECT 1 FROM tap_horizon_receipts LIMIT 1")
    except psycopg.Error as error:
        raise TargetError(_words(error)) from None


async def _connects(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    _, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()
    await writer.wait_closed()


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

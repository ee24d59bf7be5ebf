"""How the two services, as two processes, follow each other's changes through the database.

PostgreSQL would notify; SQLite is polled: its data version changes when another connection has committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

from workbench.standin.agent import Agent
from workbench.standin.chain import Chain
from workbench.standin.checks import Knowledge
from workbench.standin.database import Database
from workbench.standin.tables import apply_watched, read_receipts, read_watched

POLL_S = 0.02
_RECEIPTS_AT_ONCE = 2_000


async def follow_tables(database: Database, known: Knowledge) -> None:
    """Keep the service's knowledge of denylist, redemptions and escrow up to date. Runs until cancelled."""

    async def refresh() -> None:
        apply_watched(await database.run(read_watched), known)

    await _at_every_commit(database, refresh)


async def follow_receipts(database: Database, chain: Chain, agent: Agent) -> None:
    """Notify the agent of every receipt the service stores. Runs until cancelled."""
    seen = agent.counted

    async def read() -> None:
        while found := await database.run(read_receipts, chain.owner_of, seen, _RECEIPTS_AT_ONCE):
            for notice in found:
                seen[notice.version] = notice.id
            agent.notify(found)

    await _at_every_commit(database, read)


async def _at_every_commit(database: Database, act: Callable[[], Awaitable[None]]) -> None:
    version: int | None = None
    while True:
        current = await database.run(_data_version)
        if current != version:
            version = current
            await act()
        await asyncio.sleep(POLL_S)


def _data_version(connection: sqlite3.Connection) -> int:
    # https://www.sqlite.org/pragma.html#pragma_data_version
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version

"""The database of both services as one SQLite file: the tables of indexer-service and tap-agent under their names.

Hex columns are lower case without 0x. Numbers that can exceed 2^63 (nonce, value, value_aggregate) are decimal text:
SQLite's integers end there and its SUM would overflow or round, so sums are computed in Python.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from workbench.errors import SettingsError

P = ParamSpec("P")
T = TypeVar("T")

LOG_BYTES = 32 << 20
"""The largest write-ahead log that is kept after it was copied into the file; without a limit SQLite never shrinks
it."""
LOCKED_S = 30.0
"""How long a connection waits for another one's lock on the file."""

_RECEIPT_COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    signer_address CHAR(40) NOT NULL,
    signature BLOB NOT NULL,
    collection_id CHAR(64) NOT NULL,
    payer CHAR(40) NOT NULL,
    data_service CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    nonce TEXT NOT NULL,
    value TEXT NOT NULL
"""
_RECEIPT_V1_COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    signer_address CHAR(40) NOT NULL,
    signature BLOB NOT NULL,
    allocation_id CHAR(40) NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    nonce TEXT NOT NULL,
    value TEXT NOT NULL
"""
# standin_escrow exists only in the stand-in: escrow accounts that have changed since the start.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tap_horizon_receipts ({_RECEIPT_COLUMNS});
CREATE INDEX IF NOT EXISTS tap_horizon_receipts_payer_idx
    ON tap_horizon_receipts (payer, collection_id, timestamp_ns);
CREATE TABLE IF NOT EXISTS tap_horizon_receipts_invalid (
    {_RECEIPT_COLUMNS}, error_log TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS tap_horizon_ravs (
    signature BLOB NOT NULL,
    collection_id CHAR(64) NOT NULL,
    payer CHAR(40) NOT NULL,
    data_service CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    value_aggregate TEXT NOT NULL,
    metadata BLOB NOT NULL,
    last BOOLEAN NOT NULL DEFAULT FALSE,
    final BOOLEAN NOT NULL DEFAULT FALSE,
    redeemed_at TEXT, created_at TEXT, updated_at TEXT,
    PRIMARY KEY (payer, data_service, service_provider, collection_id)
);
CREATE TABLE IF NOT EXISTS tap_horizon_denylist (sender_address CHAR(40) PRIMARY KEY);
CREATE TABLE IF NOT EXISTS tap_horizon_rav_requests_failed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id CHAR(64) NOT NULL,
    payer CHAR(40) NOT NULL,
    data_service CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    expected_rav TEXT NOT NULL, rav_response TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS scalar_tap_rav_requests_failed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    allocation_id CHAR(40) NOT NULL,
    sender_address CHAR(40) NOT NULL,
    expected_rav TEXT NOT NULL, rav_response TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS scalar_tap_receipts ({_RECEIPT_V1_COLUMNS});
CREATE TABLE IF NOT EXISTS scalar_tap_receipts_invalid (
    {_RECEIPT_V1_COLUMNS}, error_log TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS scalar_tap_ravs (
    sender_address CHAR(40) NOT NULL,
    signature BLOB NOT NULL,
    allocation_id CHAR(40) NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    value_aggregate TEXT NOT NULL,
    last BOOLEAN NOT NULL DEFAULT FALSE,
    final BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TEXT, updated_at TEXT,
    PRIMARY KEY (allocation_id, sender_address)
);
CREATE TABLE IF NOT EXISTS scalar_tap_denylist (sender_address CHAR(40) PRIMARY KEY);
CREATE TABLE IF NOT EXISTS "CostModels" (id INT, deployment TEXT PRIMARY KEY, model TEXT, variables TEXT);
CREATE TABLE IF NOT EXISTS standin_escrow (
    payer CHAR(40) PRIMARY KEY, balance TEXT NOT NULL, thawing TEXT NOT NULL, redeemed TEXT NOT NULL
);
"""


class Database:
    """One SQLite connection and the thread that alone uses it, so that no statement ever blocks the event loop."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, path: Path, purpose: str) -> Database:
        """Open the file and make missing tables. Raises SettingsError if it cannot be used."""
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"standin-{purpose}")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except BaseException:
            thread.shutdown()
            raise
        return cls(connection, thread)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(connection, ...)`` in the thread and return what it returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._connection, *args, **kwargs))

    async def close(self) -> None:
        """Close the connection after the work already queued, and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # Autocommit: a batch is a single INSERT, so it needs no BEGIN and COMMIT.
        connection = sqlite3.connect(
            path, timeout=LOCKED_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
        connection.executescript(SCHEMA)
    except sqlite3.Error as error:
        raise SettingsError(
            f"the stand-in's database cannot be used: {error}", where=str(path), hint="Give another --database"
        ) from error
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log. If another process does the same, as when both roles start together on a new file,
    SQLite reports "locked" at once, without waiting for the connection's timeout."""
    deadline = time.monotonic() + LOCKED_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def fetch(connection: sqlite3.Connection, query: str, *parameters: object) -> list[Any]:
    """The list made by ``SELECT json_group_array(...)``.

    The sqlite3 module releases and takes the interpreter lock for every row, and beside a busy event loop each time
    waits. One row of JSON costs one such step, whatever its size.
    """
    result: list[Any] = json.loads(connection.execute(query, parameters).fetchone()[0])
    return result


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the whole block or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

"""The receipt store: a bounded queue and one writer of batches, as in indexer-service.

Senders wait while the queue is full. The writer takes the queued receipts, at most one batch, writes them as one INSERT
and then takes the next; each request waits for the batch of its receipt.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from workbench.receipts import v1, v2
from workbench.standin import tasks
from workbench.standin.database import Database
from workbench.standin.switches import Switches
from workbench.standin.tables import Notice

_log = logging.getLogger(__name__)

QUEUE_SIZE = 1000
BATCH_SIZE = 100

_INSERT_V2 = (
    "INSERT INTO tap_horizon_receipts (signer_address, signature, collection_id, payer, data_service,"
    " service_provider, timestamp_ns, nonce, value) VALUES "
)
_INSERT_V1 = (
    "INSERT INTO scalar_tap_receipts (signer_address, signature, allocation_id, timestamp_ns, nonce, value) VALUES "
)


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """A checked receipt to be stored."""

    version: int
    payer: bytes
    collection_id: bytes
    timestamp_ns: int
    value: int
    row: tuple[str | bytes | int, ...]


def new_receipt_v2(signed: v2.SignedReceipt, signer: bytes) -> NewReceipt:
    """The row of tap_horizon_receipts."""
    receipt = signed.receipt
    row = (
        signer.hex(),
        signed.signature,
        receipt.collection_id.hex(),
        receipt.payer.hex(),
        receipt.data_service.hex(),
        receipt.service_provider.hex(),
        receipt.timestamp_ns,
        str(receipt.nonce),
        str(receipt.value),
    )
    return NewReceipt(2, receipt.payer, receipt.collection_id, receipt.timestamp_ns, receipt.value, row)


def new_receipt_v1(signed: v1.SignedReceipt, signer: bytes, payer: bytes, collection_id: bytes) -> NewReceipt:
    """The row of scalar_tap_receipts; its payer is known only from the signer."""
    receipt = signed.receipt
    row = (
        signer.hex(),
        signed.signature,
        receipt.allocation_id.hex(),
        receipt.timestamp_ns,
        str(receipt.nonce),
        str(receipt.value),
    )
    return NewReceipt(1, payer, collection_id, receipt.timestamp_ns, receipt.value, row)


class StorageError(Exception):
    """A receipt could not be stored; the text follows the prefix of the service's answer."""


class ReceiptStore:
    """Queue and writer. ``on_commit`` is called in the event loop with each batch that was written, in id order."""

    def __init__(self, database: Database, switches: Switches, on_commit: Callable[[list[Notice]], None]) -> None:
        self._database = database
        self._switches = switches
        self._on_commit = on_commit
        self._queue: asyncio.Queue[tuple[NewReceipt, asyncio.Future[None]]] = asyncio.Queue(QUEUE_SIZE)
        self._writer: asyncio.Task[None] | None = None
        self.largest_batch = 0
        self.batches = 0

    @property
    def waiting(self) -> int:
        """How many receipts are queued and not yet taken by the writer."""
        return self._queue.qsize()

    def start(self) -> None:
        """Start the writer task."""
        self._writer = tasks.start(self._write_forever(), "receipt writer")

    async def stop(self) -> None:
        """Write what is queued, then end the writer."""
        if self._writer is not None:
            if not self._writer.done():
                await self._queue.join()
            await tasks.end(self._writer)

    async def store(self, receipt: NewReceipt) -> None:
        """Queue a receipt and wait for its batch. Raises StorageError with the service's text."""
        if self._switches.store == "gone":
            raise StorageError("Failed to queue receipt for storage: channel closed")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put((receipt, written))
        await written

    async def _write_forever(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH_SIZE and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                error = await self._write([receipt for receipt, _ in batch])
            finally:
                for _ in batch:
                    self._queue.task_done()
            for _, written in batch:
                # A cancelled request no longer waits, but its receipt is stored.
                if not written.done():
                    if error is None:
                        written.set_result(None)
                    else:
                        written.set_exception(error)

    async def _write(self, receipts: list[NewReceipt]) -> StorageError | None:
        self.batches += 1
        self.largest_batch = max(self.largest_batch, len(receipts))
        mode = self._switches.store
        if mode == "slow":
            await asyncio.sleep(self._switches.store_delay_ms / 1000)
        elif mode == "failing":
            return StorageError("Failed to receive storage result")
        elif mode == "lost":
            return None
        try:
            notices = await self._database.run(_insert, receipts)
        except sqlite3.Error as error:
            # As in the real service: logged, and every request of the batch still gets 200.
            _log.error("%d receipts were not stored: %s", len(receipts), error)
            return None
        self._on_commit(notices)
        return None


def _insert(connection: sqlite3.Connection, receipts: list[NewReceipt]) -> list[Notice]:
    notices: list[Notice] = []
    for version, statement in ((2, _INSERT_V2), (1, _INSERT_V1)):
        rows = [receipt for receipt in receipts if receipt.version == version]
        if rows:
            # One statement, not executemany: database.fetch explains why steps are expensive.
            marks = "(" + ",".join("?" * len(rows[0].row)) + ")"
            cursor = connection.execute(
                statement + ",".join([marks] * len(rows)), tuple(chain.from_iterable(row.row for row in rows))
            )
            first_id = (cursor.lastrowid or 0) - len(rows) + 1
            notices += [
                Notice(version, first_id + i, r.payer, r.collection_id, r.timestamp_ns, r.value)
                for i, r in enumerate(rows)
            ]
    return notices

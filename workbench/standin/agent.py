"""tap-agent: counts receipts, denies payers and allows them again, makes RAVs and gets them redeemed.

All changes of the accounts happen one after another under one lock, receipts in the order of their ids. The deny
condition is checked after each receipt, so the first receipt that fulfils it causes the denial.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from workbench.receipts import v2
from workbench.receipts.address import parse_address
from workbench.receipts.eip712 import Domain
from workbench.settings import Settings, to_wei
from workbench.standin import tasks
from workbench.standin.accounting import Account, FeesKey, rav_backoff_s
from workbench.standin.accounts import aggregator_key
from workbench.standin.aggregation import (
    MAX_RECEIPTS_PER_RAV,
    Collection,
    aggregate,
    mark_redeemed,
)
from workbench.standin.chain import Chain, EscrowAccount
from workbench.standin.database import Database, transaction
from workbench.standin.metrics import AgentMetrics, address_label
from workbench.standin.switches import Switches
from workbench.standin.tables import Books, Notice, read_books, write_denied, write_escrow


@dataclass(frozen=True)
class AgentConfig:
    """tap-agent's configuration; amounts in wei."""

    limit: int
    trigger_value: int
    buffer_ns: int
    redeem_after_s: float | None
    indexer: bytes
    data_service: bytes
    domain: Domain

    @classmethod
    def of(cls, settings: Settings) -> AgentConfig:
        """The agent's part of the settings."""
        limit = to_wei(settings.limit_grt)
        return cls(
            limit=limit,
            trigger_value=int(limit / settings.trigger_value_divisor),
            buffer_ns=int(settings.timestamp_tolerance_s * 1e9),
            redeem_after_s=settings.redeem_after_s,
            indexer=parse_address(settings.indexer),
            data_service=parse_address(settings.data_service),
            domain=v2.domain(settings.chain_id, parse_address(settings.collector)),
        )


class Agent:
    """The agent over one database. ``tell`` is called with each payer that was denied (True) or allowed again
    (False)."""

    def __init__(
        self,
        config: AgentConfig,
        database: Database,
        chain: Chain,
        switches: Switches,
        metrics: AgentMetrics,
        tell: Callable[[bytes, bool], None],
    ) -> None:
        self._config = config
        self._database = database
        self._chain = chain
        self._switches = switches
        self._metrics = metrics
        self._tell = tell
        self._aggregator = aggregator_key()
        self._accounts: dict[bytes, Account] = {}
        self._counted = {1: 0, 2: 0}
        self._inbox: deque[tuple[float, list[Notice]]] = deque()
        self._retries: dict[bytes, float] = {}
        self._redemptions: deque[tuple[float, Collection]] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def counted(self) -> dict[int, int]:
        """The last counted id by receipt version."""
        return dict(self._counted)

    async def start(self) -> None:
        """Recompute all sums from the database, check every payer, then continue with new receipts."""
        async with self._lock:
            self._load(await self._database.run(read_books, self._chain.owner_of))
            for account in self._accounts.values():
                await self._judge(account)
        self._task = tasks.start(self._run(), "tap-agent")

    async def stop(self) -> None:
        """Stop; receipts not counted yet are counted at the next start."""
        if self._task is not None:
            await tasks.end(self._task)

    def notify(self, notices: list[Notice]) -> None:
        """Take receipts that have just been committed; they count ``agent_delay_ms`` from now."""
        due = asyncio.get_running_loop().time() + self._switches.agent_delay_ms / 1000
        self._inbox.append((due, notices))
        self._idle.clear()
        self._work.set()

    async def settled(self) -> None:
        """Wait until every receipt notified so far has been counted and acted upon."""
        await self._idle.wait()

    async def escrow_changed(self, payer: bytes) -> None:
        """A payer's escrow account has changed: store it and check the payer."""
        async with self._lock:
            await self._database.run(write_escrow, self._chain.accounts[payer])
            account = self._account(payer)
            self._show_escrow(payer)
            await self._judge(account)

    async def deny(self, payer: bytes) -> None:
        """Deny a payer regardless of its fees; the next check allows it again if its fees are low enough."""
        async with self._lock:
            await self._set_denied(self._account(payer), True)

    async def redeem(self, payer: bytes) -> None:
        """Have the payer's pending RAVs redeemed on chain now."""
        async with self._lock:
            for (version, collection_id), fees in self._account(payer).fees.items():
                if version == 2 and fees.pending:
                    await self._redeem(self._collection(payer, collection_id))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._work.clear()
            due = self._next_due()
            if due is None or due > loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._work.wait()
                continue
            async with self._lock:
                while self._inbox and self._inbox[0][0] <= loop.time():
                    await self._count(self._inbox[0][1])
                    self._inbox.popleft()
                while self._redemptions and self._redemptions[0][0] <= loop.time():
                    await self._redeem(self._redemptions.popleft()[1])
                for payer in [payer for payer, at in self._retries.items() if at <= loop.time()]:
                    await self._retry(self._accounts[payer])
                if not self._inbox:
                    self._idle.set()

    def _next_due(self) -> float | None:
        due = [queue[0][0] for queue in (self._inbox, self._redemptions) if queue]
        return min([*due, *self._retries.values()], default=None)

    async def _count(self, notices: list[Notice]) -> None:
        touched: Counter[tuple[bytes, FeesKey]] = Counter()
        for notice in notices:
            if notice.id <= self._counted[notice.version]:
                continue
            self._counted[notice.version] = notice.id
            account = self._account(notice.payer)
            key = (notice.version, notice.collection_id)
            account.of(key).add(notice.timestamp_ns, notice.value)
            touched[notice.payer, key] += 1
            if self._must_be_denied(account):
                await self._set_denied(account, True)
        for (payer, key), receipts in touched.items():
            self._metrics.received.labels(address_label(payer), key[1].hex()).inc(receipts)
            self._show_unaggregated(payer, key, f"0x{key[1].hex()}")
        for payer in dict.fromkeys(payer for payer, _ in touched):
            if self._accounts[payer].denied:
                # If the row was deleted by hand, a receipt of a denied payer inserts it again.
                await self._database.run(write_denied, payer, True)
            await self._retry(self._accounts[payer])

    async def _retry(self, account: Account) -> None:
        """Check a payer, as the real agent does with every receipt, and every ``retry_s`` for a denied payer."""
        await self._aggregate_if_due(account)
        await self._judge(account)

    async def _judge(self, account: Account) -> None:
        must_be_denied = self._must_be_denied(account)
        if must_be_denied != account.denied:
            await self._set_denied(account, must_be_denied)
        if account.denied:
            self._retries[account.payer] = asyncio.get_running_loop().time() + self._switches.retry_s
            self._work.set()
        else:
            self._retries.pop(account.payer, None)

    def _must_be_denied(self, account: Account) -> bool:
        return account.must_be_denied(self._chain.available(account.payer), self._config.limit)

    async def _set_denied(self, account: Account, denied: bool) -> None:
        if account.denied != denied:
            await self._database.run(write_denied, account.payer, denied)
            account.denied = denied
            self._tell(account.payer, denied)
            self._metrics.denied.labels(address_label(account.payer)).set(denied)

    async def _aggregate_if_due(self, account: Account) -> None:
        """Request a RAV for the allocation with the most fees when enough fees, or receipts, are out of the buffer."""
        before_ns = time.time_ns() - self._config.buffer_ns
        candidates = []
        for (version, collection_id), fees in account.fees.items():
            if version == 2:
                fees.age(before_ns)
                candidates.append((fees.ravable, fees.ravable_receipts, collection_id))
        if not candidates or time.perf_counter() < account.next_rav_at:
            return
        total = sum(ravable for ravable, _, _ in candidates)
        _, receipts, collection_id = max(candidates)
        if total > 0 and (total >= self._config.trigger_value or receipts >= MAX_RECEIPTS_PER_RAV):
            await self._aggregate(account, collection_id, before_ns)

    async def _aggregate(self, account: Account, collection_id: bytes, before_ns: int) -> None:
        started = time.perf_counter()
        collection = self._collection(account.payer, collection_id)
        made = await self._database.run(
            aggregate, collection, self._sign, before_ns=before_ns, counted_id=self._counted[2]
        )
        label = (address_label(account.payer), f"0x{collection_id.hex()}", "v2")
        if made is None:
            account.failed_ravs += 1
            account.next_rav_at = started + rav_backoff_s(account.failed_ravs)
            self._metrics.ravs_failed.labels(*label).inc()
            return
        account.failed_ravs = 0
        fees = account.of((2, collection_id))
        fees.pending += made.aggregated
        fees.invalid += made.invalid
        fees.replace(made.remaining)
        self._metrics.ravs_created.labels(*label).inc()
        self._metrics.rav_seconds.labels(label[0], "v2").observe(time.perf_counter() - started)
        self._show(account.payer, (2, collection_id))
        if self._config.redeem_after_s is not None:
            due = asyncio.get_running_loop().time() + self._config.redeem_after_s
            self._redemptions.append((due, collection))

    def _sign(self, rav: v2.Rav) -> bytes:
        return self._aggregator.sign(self._config.domain.digest(rav.struct_hash()))

    async def _redeem(self, collection: Collection) -> None:
        account = self._account(collection.payer)
        fees = account.of((2, collection.collection_id))
        escrow = self._chain.accounts.get(collection.payer)
        if escrow is None or not fees.pending:
            return
        escrow.balance = max(0, escrow.balance - fees.pending)
        escrow.redeemed += fees.pending
        fees.pending = 0
        await self._database.run(_write_redemption, collection, escrow)
        self._show(account.payer, (2, collection.collection_id))
        self._show_escrow(account.payer)
        await self._judge(account)

    def _load(self, books: Books) -> None:
        for payer in {*self._chain.accounts, *(payer for payer, _ in books.receipts)}:
            self._account(payer)
        for payer in books.denied:
            self._account(payer).denied = True
        for (payer, key), receipts in books.receipts.items():
            self._account(payer).of(key).replace(receipts)
        for (payer, key), value in books.invalid.items():
            self._account(payer).of(key).invalid = value
        for (payer, key), value in books.pending.items():
            self._account(payer).of(key).pending = value
            if value and self._config.redeem_after_s is not None:
                due = asyncio.get_running_loop().time() + self._config.redeem_after_s
                self._redemptions.append((due, self._collection(payer, key[1])))
        self._counted = dict(books.last_id)
        for account in self._accounts.values():
            self._metrics.denied.labels(address_label(account.payer)).set(account.denied)
            for key in account.fees:
                self._show(account.payer, key)

    def _account(self, payer: bytes) -> Account:
        account = self._accounts.get(payer)
        if account is None:
            account = self._accounts[payer] = Account(payer)
            sender = address_label(payer)
            self._metrics.max_fee.labels(sender).set(self._config.limit)
            self._metrics.trigger.labels(sender).set(self._config.trigger_value)
            self._metrics.denied.labels(sender).set(0)
            self._metrics.fee_tracker.labels(sender).set(0)
            self._show_escrow(payer)
        return account

    def _collection(self, payer: bytes, collection_id: bytes) -> Collection:
        return Collection(payer, collection_id, self._config.data_service, self._config.indexer)

    def _show_escrow(self, payer: bytes) -> None:
        self._metrics.escrow.labels(address_label(payer)).set(self._chain.available(payer))

    def _show_unaggregated(self, payer: bytes, key: FeesKey, allocation: str) -> None:
        account, sender = self._accounts[payer], address_label(payer)
        self._metrics.fee_tracker.labels(sender).set(account.unaggregated)
        self._metrics.unaggregated.labels(sender, allocation, f"v{key[0]}").set(account.of(key).unaggregated)

    def _show(self, payer: bytes, key: FeesKey) -> None:
        """All gauges of an allocation after something other than a receipt.

        The real agent writes the allocation of unaggregated fees as 64 hex digits after a receipt and as an address
        after anything else, so that one allocation has two series. This agent does the same.
        """
        fees, sender, allocation = self._accounts[payer].of(key), address_label(payer), address_label(key[1][12:])
        self._show_unaggregated(payer, key, allocation)
        if fees.pending or key[0] == 2:
            self._metrics.pending.labels(sender, allocation).set(fees.pending)
        if fees.invalid:
            self._metrics.invalid.labels(sender, f"0x{key[1].hex()}").set(fees.invalid)


def _write_redemption(connection: sqlite3.Connection, collection: Collection, escrow: EscrowAccount) -> None:
    with transaction(connection):
        mark_redeemed(connection, collection)
        write_escrow(connection, escrow)

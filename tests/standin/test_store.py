"""The receipt store: batches, backpressure, failures, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from workbench.standin.database import Database
from workbench.standin.server import Standin
from workbench.standin.store import BATCH_SIZE, QUEUE_SIZE, NewReceipt, ReceiptStore, new_receipt_v2
from workbench.standin.switches import StoreMode, Switches
from workbench.standin.tables import Notice

from .conftest import Caller, quick


@asynccontextmanager
async def store_alone(path: Path, switches: Switches) -> AsyncIterator[tuple[ReceiptStore, list[list[Notice]]]]:
    database = await Database.open(path, "test")
    batches: list[list[Notice]] = []
    store = ReceiptStore(database, switches, batches.append)
    store.start()
    try:
        yield store, batches
    finally:
        await store.stop()
        await database.close()


def slow(delay_ms: float) -> Switches:
    return Switches.of(quick(store="slow", store_delay_ms=delay_ms))


@pytest.fixture
def receipt(caller: Caller) -> NewReceipt:
    signed = caller.signed()
    return new_receipt_v2(signed, signed.receipt.payer)


async def test_batches_are_bounded_and_every_200_is_a_row(caller: Caller, standin: Standin) -> None:
    standin.switches.store, standin.switches.store_delay_ms = "slow", 20
    answers = await asyncio.gather(*(caller.pay() for _ in range(350)))
    assert [answer.status for answer in answers] == [200] * 350
    assert standin.store.largest_batch == BATCH_SIZE
    assert caller.stored() == 350
    assert caller.rows("SELECT count(DISTINCT nonce) FROM tap_horizon_receipts") == [(350,)]


async def test_a_closed_loop_never_makes_a_batch_larger_than_itself(caller: Caller, standin: Standin) -> None:
    async def client() -> None:
        for _ in range(20):
            assert (await caller.pay()).status == 200

    await asyncio.gather(*(client() for _ in range(4)))
    assert 1 <= standin.store.largest_batch <= 4
    assert caller.stored() == 80


async def test_a_request_waits_for_its_batch(caller: Caller, standin: Standin) -> None:
    standin.switches.store, standin.switches.store_delay_ms = "slow", 150
    started = time.monotonic()
    assert (await caller.pay()).status == 200
    assert time.monotonic() - started >= 0.15


async def test_senders_wait_while_the_queue_is_full(tmp_path: Path, receipt: NewReceipt) -> None:
    switches = slow(500)
    async with store_alone(tmp_path / "db.sqlite", switches) as (store, batches):
        waiting = [asyncio.create_task(store.store(receipt)) for _ in range(1500)]
        await asyncio.sleep(0.05)
        assert store.waiting == QUEUE_SIZE
        assert not any(task.done() for task in waiting)
        switches.store = "ok"
        await asyncio.gather(*waiting)
        assert [notice.id for batch in batches for notice in batch] == list(range(1, 1501))
        assert max(map(len, batches)) == BATCH_SIZE


async def test_stop_writes_what_is_queued(tmp_path: Path, receipt: NewReceipt) -> None:
    async with store_alone(tmp_path / "db.sqlite", slow(10)) as (store, _):
        waiting = [asyncio.create_task(store.store(receipt)) for _ in range(250)]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    connection = sqlite3.connect(tmp_path / "db.sqlite")
    assert connection.execute("SELECT count(*) FROM tap_horizon_receipts").fetchone() == (250,)
    connection.close()


async def test_a_cancelled_request_does_not_take_its_batch_with_it(tmp_path: Path, receipt: NewReceipt) -> None:
    async with store_alone(tmp_path / "db.sqlite", slow(30)) as (store, batches):
        waiting = [asyncio.create_task(store.store(receipt)) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[1].cancel()
        await asyncio.gather(waiting[0], waiting[2])
        assert sum(map(len, batches)) == 3


async def test_a_failing_insert_is_200(caller: Caller) -> None:
    connection = sqlite3.connect(caller.endpoints.database)
    connection.execute("DROP TABLE tap_horizon_receipts")
    connection.close()
    assert (await caller.pay()).status == 200


async def test_switches_take_effect_at_once(caller: Caller, standin: Standin) -> None:
    statuses = []
    modes: tuple[StoreMode, ...] = ("ok", "lost", "failing", "gone", "ok")
    for mode in modes:
        standin.switches.store = mode
        statuses.append((await caller.pay()).status)
    assert statuses == [200, 200, 500, 500, 200]
    assert caller.stored() == 2


async def test_lost_receipts_are_not_counted_by_the_agent(caller: Caller, standin: Standin) -> None:
    standin.switches.store = "lost"
    assert (await caller.pay()).status == 200
    await standin.settled()
    assert await caller.agent_metric("tap_receipts_received_total") is None


async def test_nothing_is_left_behind(call_of: Callable[[Standin], Caller]) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with Standin(quick()) as standin:
        folder = Path(standin.endpoints.database).parent
        assert (await call_of(standin).pay()).status == 200
        assert asyncio.all_tasks() > tasks
    assert not folder.exists()
    # Client tasks of the session are not the stand-in's.
    assert {task.get_name() for task in asyncio.all_tasks() - tasks if "standin" in task.get_name()} == set()
    assert {thread.name for thread in set(threading.enumerate()) - threads if "standin" in thread.name} == set()


@pytest.mark.slow
async def test_a_cancelled_standin_leaves_nothing_behind() -> None:
    async def serve_forever() -> None:
        async with Standin(quick()):
            running.set()
            await asyncio.Event().wait()

    running = asyncio.Event()
    task = asyncio.create_task(serve_forever())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert [thread for thread in threading.enumerate() if thread.name.startswith("standin")] == []


async def test_two_standins_in_one_loop_do_not_touch(call_of: Callable[[Standin], Caller]) -> None:
    async with Standin(quick(limit_grt="0.001")) as one, Standin(quick()) as two:
        first, second = call_of(one), call_of(two)
        assert (await first.pay()).status == 200
        await one.settled()
        assert (await first.pay()).status == 400
        assert (await second.pay()).status == 200
        assert (first.stored(), second.stored()) == (1, 1)
        one.switches.backend_down = True
        assert "Failed to process" not in (await second.pay()).text
        metrics = [(await c.fetch(c.endpoints.service_metrics_url)).text for c in (first, second)]
        assert ["indexer_receipt_failed_total" in text for text in metrics] == [True, False]


async def test_both_roles_may_open_a_new_file_at_the_same_time(tmp_path: Path) -> None:
    # SQLite waits for no one who switches to a write-ahead log: of 300 such pairs 190 had one that was told "locked"
    for number in range(20):
        opened = await asyncio.gather(*(Database.open(tmp_path / f"{number}.sqlite", "test") for _ in range(3)))
        for database in opened:
            await database.close()

"""Denial heard from a real PostgreSQL: each one, at its moment, also when the server is killed meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.service.conftest import Database, Server
from workbench.service.denylist import Change, DenylistWatch, watching_denylist
from workbench.standin.accounts import payer


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_denial_and_its_end_are_heard_in_the_loop_with_their_moment(database: Database) -> None:
    told: list[Change] = []
    who = payer(3).address
    async with watching_denylist(database.url, version=2, on_change=told.append) as watch:
        before_ns = time.monotonic_ns()
        await asyncio.to_thread(database.deny, who)
        await until(lambda: told)
        after_ns = time.monotonic_ns()
        await asyncio.to_thread(database.allow, who)
        await until(lambda: len(told) == 2)
    assert [(change.payer, change.denied, change.late) for change in told] == [
        (who.hex(), True, False),
        (who.hex(), False, False),
    ]
    assert before_ns < told[0].monotonic_ns < after_ns
    assert watch.denied_ns(who, before_ns) == told[0].monotonic_ns
    assert watch.denied_ns(who, after_ns) is None
    assert watch.denied_ns(payer(4).address, before_ns) is None
    assert watch.notes == []


async def test_a_busy_loop_does_not_make_denial_late(database: Database) -> None:
    """The loop is blocked from before the denial until after it: the moment is told all the same."""
    told: list[Change] = []
    async with watching_denylist(database.url, version=2, on_change=told.append) as watch:
        database.deny(payer(0).address)  # blocks the loop
        while not watch.changes:
            time.sleep(0.001)  # so does this
        heard_ns = time.monotonic_ns()
        assert told == []
        await until(lambda: told)
    assert told[0].monotonic_ns <= heard_ns


async def test_a_hundred_denials_at_once_are_all_heard(database: Database) -> None:
    payers = [payer(index).address for index in range(100)]
    async with watching_denylist(database.url, version=2) as watch:
        with ThreadPoolExecutor(50) as threads:
            work = [asyncio.get_running_loop().run_in_executor(threads, database.deny, who) for who in payers]
            await asyncio.gather(*work)
        await until(lambda: len(watch.changes) >= 100)
    assert sorted(change.payer for change in watch.changes) == sorted(who.hex() for who in payers)
    assert all(change.denied and not change.late for change in watch.changes)


async def test_a_server_that_is_killed_is_one_note_and_denial_is_heard_again_after_it(
    database: Database, postgres_server: Server
) -> None:
    notes: list[str] = []
    early, meanwhile, later = (payer(index).address for index in range(3))
    async with watching_denylist(database.url, version=2, on_note=notes.append) as watch:
        await asyncio.to_thread(database.deny, early)
        await until(lambda: watch.changes)
        await asyncio.to_thread(postgres_server.kill)
        await until(lambda: notes)
        await asyncio.to_thread(postgres_server.start)
        await asyncio.to_thread(database.deny, meanwhile)
        await until(lambda: len(notes) == 2 and len(watch.changes) == 2)
        await asyncio.to_thread(database.deny, later)
        await until(lambda: len(watch.changes) == 3)
    assert [change.payer for change in watch.changes] == [early.hex(), meanwhile.hex(), later.hex()]
    assert not watch.changes[2].late
    assert "cannot be seen" in notes[0]
    assert ":***@" in notes[0]
    assert "answers again" in notes[1]
    if watch.changes[1].late:  # it was denied before the watch was back: when, nobody heard
        assert watch.denied_ns(meanwhile, 0) is None


async def test_a_server_that_is_not_there_is_a_note_and_no_error() -> None:
    notes: list[str] = []
    async with watching_denylist("postgresql://u:s3cret@127.0.0.1:9/none", version=2, on_note=notes.append) as watch:
        await until(lambda: notes)
    assert len(notes) == 1
    assert "s3cret" not in notes[0]
    assert watch.changes == []


async def test_a_denial_is_told_once_however_often_it_is_notified(database: Database) -> None:
    """After a reconnection the table may have been read before its notification comes."""
    who, last = payer(0).address, payer(1).address
    again = f'{{"tg_op": "INSERT", "sender_address": "{who.hex()}"}}'
    async with watching_denylist(database.url, version=2) as watch:
        await asyncio.to_thread(database.deny, who)
        await asyncio.to_thread(database.run, "SELECT pg_notify('tap_horizon_deny_notification', %s)", again)
        await asyncio.to_thread(database.deny, last)
        await until(lambda: watch.denied_ns(last, 0))
    assert [change.payer for change in watch.changes] == [who.hex(), last.hex()]


async def test_a_notification_that_nobody_can_read_is_said(database: Database) -> None:
    async with watching_denylist(database.url, version=2) as watch:
        for text in ("nonsense", '{"tg_op": "TRUNCATE", "sender_address": null}'):
            await asyncio.to_thread(database.run, "SELECT pg_notify('tap_horizon_deny_notification', %s)", text)
        await asyncio.to_thread(database.deny, payer(0).address)
        await until(lambda: watch.changes)
    assert isinstance(watch, DenylistWatch)
    assert len(watch.notes) == 2
    assert "nonsense" in watch.notes[0]

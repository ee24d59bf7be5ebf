"""Waiting for due times, and what the loop has to read meanwhile."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic_ns

import pytest
import uvloop

from workbench.load.waiting import SPIN_NS, Waiting


def on_loop(test, *, factory=uvloop.new_event_loop):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(test())


def test_uvloop_still_says_what_it_polls():
    """Private to uvloop: without it the wait would be as coarse as its timers, unseen."""

    async def test():
        return Waiting(asyncio.get_running_loop(), lambda: None, spin=False).exact

    assert on_loop(test)
    assert not on_loop(test, factory=asyncio.SelectorEventLoop)


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
@pytest.mark.parametrize("spin", [True, False])
@pytest.mark.parametrize("brief", [True, False])
@pytest.mark.parametrize("wait_ns", [0, 50_000, 1_000_000, 10_000_000])
def test_a_due_time_is_never_missed_nor_early(factory, spin, brief, wait_ns):
    async def test():
        turns: asyncio.Queue[int] = asyncio.Queue()
        waiting = Waiting(asyncio.get_running_loop(), lambda: turns.put_nowait(1), spin=spin)
        due_ns = monotonic_ns() + wait_ns
        while not waiting.until(due_ns, brief=brief):
            await turns.get()
        assert monotonic_ns() >= due_ns
        return waiting.spun_ns

    spun_ns = on_loop(test, factory=factory)
    assert spin or spun_ns == 0


@pytest.mark.parametrize("spin", [True, False])
def test_what_is_there_to_read_ends_the_wait(spin):
    async def test():
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        read, woken = [], asyncio.Event()
        here.setblocking(False)
        loop.add_reader(here, lambda: read.append(here.recv(10)))
        await asyncio.sleep(0)  # the loop begins to poll it
        await asyncio.sleep(0)
        waiting = Waiting(loop, woken.set, spin=spin)
        there.send(b"answer")
        due_ns = monotonic_ns() + 10 * SPIN_NS
        early = not waiting.until(due_ns, brief=False) and monotonic_ns() < due_ns
        await woken.wait()
        await asyncio.sleep(0)
        loop.remove_reader(here)
        here.close()
        there.close()
        return early, read

    # a machine that stops for 2 ms between two lines makes it late once, not always
    seen = [on_loop(test) for _ in range(20)]
    assert any(early for early, _ in seen)
    assert all(read == [b"answer"] for _, read in seen)

"""Sending a plan. The only timing-critical file: nothing here logs, signs or computes a statistic.

Event loop timers tick in milliseconds, so an open loop does not sleep once per request: it wakes, sends everything
that is due by the absolute plan, and the lateness of each is kept as its lag.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from workbench.load.client import Exchange
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.samples import SampleBuffer

Send = Callable[[int], Awaitable[Exchange]]
_OK = CODE_OF[Outcome.OK]
_GRACE_S = 1.0


@dataclass
class Progress:
    """Counters that a watcher may read while a step runs. ``stop`` set: nothing more is sent."""

    sent: int = 0
    done: int = 0
    ok: int = 0
    in_flight_max: int = 0
    cap_hits: int = 0
    stop: bool = False


async def drive_open(
    offsets_ns: list[int],
    start_ns: int,
    send: Send,
    buffer: SampleBuffer,
    progress: Progress,
    max_in_flight: int,
) -> None:
    """Send request i at ``start_ns + offsets_ns[i]`` whether or not earlier ones were answered.

    With ``max_in_flight`` requests open, sending waits and the wait is lag; requests that had to wait are counted in
    ``progress.cap_hits``. Returns when every answer is in, or soon after ``progress.stop``. Raises what ``send``
    raises: an error of ours ends the step.
    """
    tasks: set[asyncio.Task[None]] = set()
    slot_free = asyncio.Event()

    async def one(index: int, intended_ns: int) -> None:
        seen = await send(index)
        _record(buffer, index, intended_ns, seen, progress)

    def ended(task: asyncio.Task[None]) -> None:
        slot_free.set()
        if not task.cancelled() and task.exception() is None:
            tasks.discard(task)
        else:
            progress.stop = True  # and the task stays, so that _finish raises its error

    index, count, capped = 0, len(offsets_ns), -1
    while index < count and not progress.stop:
        due = start_ns + offsets_ns[index]
        wait_ns = due - time.monotonic_ns()
        if wait_ns > 0:
            # at most 50 ms, so that a stop is seen during a long gap
            await asyncio.sleep(min(wait_ns, 50_000_000) / 1e9)
            continue
        if len(tasks) >= max_in_flight:
            progress.cap_hits += capped != index
            capped = index
            slot_free.clear()
            with contextlib.suppress(TimeoutError):  # looks up now and then, so that a stop is seen
                await asyncio.wait_for(slot_free.wait(), 0.05)
            continue
        task = asyncio.create_task(one(index, due))
        tasks.add(task)
        task.add_done_callback(ended)
        progress.sent += 1
        progress.in_flight_max = max(progress.in_flight_max, len(tasks))
        index += 1
        if index % 16 == 0:
            await asyncio.sleep(0)  # a burst that is due at once must not keep answers from being read
    await _finish(tasks, progress)


async def drive_closed(count: int, concurrency: int, send: Send, buffer: SampleBuffer, progress: Progress) -> None:
    """Keep ``concurrency`` requests in flight until ``count`` were sent. Intended time is the moment of sending.

    Raises what ``send`` raises: an error of ours ends the step.
    """
    upcoming = iter(range(count))
    progress.in_flight_max = min(concurrency, count)

    async def worker() -> None:
        for index in upcoming:
            if progress.stop:
                return
            progress.sent += 1
            seen = await send(index)
            _record(buffer, index, seen.sent_ns, seen, progress)

    tasks = {asyncio.create_task(worker()) for _ in range(min(concurrency, count))}
    await _finish(tasks, progress)


async def _finish(tasks: set[asyncio.Task[None]], progress: Progress) -> None:
    """Wait for the answers; after a stop, cancel those that take longer than a second. Then raise the first error."""
    deadline: float | None = None
    error: BaseException | None = None
    while tasks:
        done, tasks = await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled() and task.exception() is not None:  # one of ours, it must not vanish in a task
                error = error or task.exception()
                progress.stop = True
        if progress.stop and tasks:
            now = time.monotonic()
            deadline = deadline if deadline is not None else now + _GRACE_S
            if now >= deadline:
                for task in tasks:
                    task.cancel()
    if error is not None:
        raise error


def _record(buffer: SampleBuffer, index: int, intended_ns: int, seen: Exchange, progress: Progress) -> None:
    buffer.record(index, intended_ns, seen)
    progress.done += 1
    if seen.outcome == _OK:
        progress.ok += 1

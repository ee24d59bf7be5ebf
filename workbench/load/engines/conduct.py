"""Several generators as one: they start at the same instant, one that ends early ends all, and their reports are
merged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.errors import ToolError
from workbench.load.engines.in_process import START_IN_NS, Start
from workbench.load.samples import SampleBuffer
from workbench.load.spec import Share, StepReport, StepSpec, merge_reports

OnProgress = Callable[[dict[str, Any]], None]
"""Called several times a second with ``sent``, ``done`` and ``ok`` over all generators, their number ``generators``,
and ``pids``, the processes of those on this machine."""

PROGRESS_INTERVAL_S = 0.25
STOP_WITHIN_S = 10.0


@dataclass
class Counters:
    """The latest counts of a generator; ``pid`` 0: it is not on this machine."""

    sent: int = 0
    done: int = 0
    ok: int = 0
    pid: int = 0


class Generator(Protocol):
    """One generator of a step, on any machine."""

    counters: Counters

    async def run(self, start: Start) -> StepReport:
        """Send the whole share. Raises a WorkbenchError if the generator fails; cancelling kills it."""
        ...

    def stop(self) -> None:
        """Send nothing more: ``run`` then returns when the answers in flight have come."""
        ...


async def conduct(
    generators: Sequence[Generator], on_progress: OnProgress | None = None, start_in_ns: int = START_IN_NS
) -> StepReport:
    """Run all generators of a step. They start at the same instant, ``start_in_ns`` after the last one is ready.

    If one ends early, for any reason, the others are told to stop, since the load is no longer the planned one.
    Cancelling (Ctrl-C) stops all, waits for the answers in flight and then raises CancelledError. A generator that does
    not stop in time is killed. Raises the error of the first generator that failed.
    """
    start = _OneStart(len(generators), start_in_ns)
    runs = [asyncio.create_task(generator.run(start)) for generator in generators]
    try:
        failed = await _until_early_end(runs, generators, on_progress)
    finally:
        for generator, run in zip(generators, runs, strict=True):
            if not run.done():
                generator.stop()
        await _end(runs)
    # look at all of them: asyncio would write an error that nobody has seen to standard error
    later = [run.exception() for run in runs if not run.cancelled()]
    if failed is not None:
        raise failed
    if len(later) < len(runs):
        raise ToolError(f"a generator did not stop within {STOP_WITHIN_S:.0f} s and was killed")
    return merge_reports([run.result() for run in runs])


def lost(spec: StepSpec, who: str, what: str, hint: str = "") -> ToolError:
    """The error for a generator that ended during a step: ``who``, ``what`` happened, and how far it got."""
    rows = SampleBuffer.open(spec.buffer, to_write=False)
    finished = (rows if spec.own_rows else rows.of(spec.share)).measured()
    return ToolError(
        f"{who} {what}. It had finished {finished:,} of its {spec.count:,} receipts; "
        f"the other {spec.count - finished:,} were not sent or not answered",
        hint=hint or "Everything measured is kept; run the step again with --resume",
    )


def name_of(share: Share) -> str:
    """A generator's name; they are counted from 1."""
    return "the load generator" if share.workers == 1 else f"generator {share.worker + 1} of {share.workers}"


class _OneStart:
    """The ``start`` of all generators: returns the same instant to each, decided when the last one asks."""

    def __init__(self, generators: int, start_in_ns: int) -> None:
        self._awaited = generators
        self._start_in_ns = start_in_ns
        self._all_ready = asyncio.Event()
        self._instant_ns = 0

    async def __call__(self) -> int:
        self._awaited -= 1
        if not self._awaited:
            self._instant_ns = time.monotonic_ns() + self._start_in_ns
            self._all_ready.set()
        await self._all_ready.wait()
        return self._instant_ns


async def _until_early_end(
    runs: Sequence[asyncio.Task[StepReport]], generators: Sequence[Generator], on_progress: OnProgress | None
) -> BaseException | None:
    """Wait until all have ended, or one has too early; then returns its error."""
    running = set(runs)
    while running:
        done, running = await asyncio.wait(running, timeout=PROGRESS_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
        if on_progress is not None:
            on_progress(_all_counters(generators))
        for run in done:
            if (error := run.exception()) is not None:
                return error
            if run.result().interrupted:
                return None
    return None


async def _end(runs: Sequence[asyncio.Task[StepReport]]) -> None:
    """Wait for generators that were told to stop, and kill those that do not. Their errors only come from being
    stopped."""
    waiting = [run for run in runs if not run.done()]
    try:
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_WITHIN_S)
    finally:
        for run in waiting:
            run.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _all_counters(generators: Sequence[Generator]) -> dict[str, Any]:
    counters = [generator.counters for generator in generators]
    return {
        "sent": sum(one.sent for one in counters),
        "done": sum(one.done for one in counters),
        "ok": sum(one.ok for one in counters),
        "generators": len(counters),
        "pids": [one.pid for one in counters if one.pid],
    }

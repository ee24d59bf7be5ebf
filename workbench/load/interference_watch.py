"""Measures, from inside the generator, what disturbs it during a step.

Cheap: a timer of 10 ms on the loop, a hook of the garbage collector, and the kernel's counters once before and once
after the step. Nothing is read per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.load.cpu_account import CpuAccount, cpu_account, throttled_ms
from workbench.load.interference import CLOCK_STEP_MS, HOLD_UPS_MS, Interference

TICK_S = 0.01
_READ_WITHIN_NS = 100_000  # two clock readings further apart cannot show a step of a millisecond
_READINGS = 20
_HOLD_UPS_NS = tuple(int(limit * 1e6) for limit in HOLD_UPS_MS)


@dataclass
class Seen:
    """The measurement during a step; ``found`` is set at its end."""

    found: Interference | None = None
    delay_max_ns: int = 0
    held_ns: list[int] = field(default_factory=lambda: [0] * len(HOLD_UPS_MS))
    pauses: int = 0
    pause_max_ns: int = 0

    def late(self, delay_ns: int) -> None:
        """The loop was late with a timer."""
        self.delay_max_ns = max(self.delay_max_ns, delay_ns)
        for position, limit in enumerate(_HOLD_UPS_NS):
            if delay_ns <= limit:
                break
            self.held_ns[position] += delay_ns

    def paused(self, pause_ns: int) -> None:
        """A collection of garbage ended."""
        self.pauses += 1
        self.pause_max_ns = max(self.pause_max_ns, pause_ns)


@contextmanager
def watching_interference(
    services: Sequence[int] = (),
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    proc: Path = Path("/proc"),
) -> Iterator[Seen]:
    """Watch the running event loop's process while the block runs.

    ``services``: processes whose CPU time, children included, does not count as other load. ``wall_ns`` reads the wall
    clock; ``proc`` is where the kernel's files are.
    """
    seen = Seen()
    clock = WallClock(wall_ns)
    with contextlib.ExitStack() as stack:
        before, began_ns = cpu_account(proc, os.getpid(), services), time.monotonic_ns()
        throttled, switches = throttled_ms(proc), _preempted()
        stack.enter_context(_collections(seen))
        stack.enter_context(_ticking(seen, clock))
        try:
            yield seen
        finally:
            stack.close()
            seconds = (time.monotonic_ns() - began_ns) / 1e9
            after, stopped = cpu_account(proc, os.getpid(), services), throttled_ms(proc)
            seen.found = Interference(
                seconds=seconds,
                loop_delay_max_ms=seen.delay_max_ns / 1e6,
                loop_held_s=tuple(held / 1e9 for held in seen.held_ns),
                gc_pauses=seen.pauses,
                gc_pause_max_ms=seen.pause_max_ns / 1e6,
                clock_step_ms=clock.largest_step_ns / 1e6,
                preempted=_preempted() - switches,
                throttled_ms=None if stopped is None or throttled is None else stopped - throttled,
                machine=platform.node(),
                **_machine(before, after),
            )


class WallClock:
    """Compares the wall clock with the monotonic one. ``largest_step_ns``: the largest step by which it was set.

    NTP slews both clocks alike on Linux, so only a step separates them.
    """

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._offset_ns = self._read()
        self.largest_step_ns = 0

    def look(self) -> None:
        """Compare; if a pause between the two readings can explain the difference, read again."""
        roughly = self._wall_ns() - time.monotonic_ns()
        if self._offset_ns is None or abs(roughly - self._offset_ns) <= CLOCK_STEP_MS * 1e6:
            return
        now = self._read()
        if now is None:
            return
        step, self._offset_ns = now - self._offset_ns, now
        if abs(step) > max(CLOCK_STEP_MS * 1e6, abs(self.largest_step_ns)):
            self.largest_step_ns = step

    def _read(self) -> int | None:
        for _ in range(_READINGS):
            before = time.monotonic_ns()
            wall = self._wall_ns()
            after = time.monotonic_ns()
            if after - before < _READ_WITHIN_NS:
                return wall - (before + after) // 2
        return None


@contextmanager
def _ticking(seen: Seen, clock: WallClock) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    due_ns = 0
    timer: asyncio.TimerHandle | None = None

    def again() -> None:
        nonlocal due_ns, timer
        due_ns = time.monotonic_ns() + int(TICK_S * 1e9)
        timer = loop.call_later(TICK_S, tick)

    def tick() -> None:
        seen.late(time.monotonic_ns() - due_ns)
        clock.look()
        again()

    again()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        seen.late(time.monotonic_ns() - due_ns)  # a timer that is overdue now; otherwise negative and ignored
        clock.look()


@contextmanager
def _collections(seen: Seen) -> Iterator[None]:
    began_ns = 0

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal began_ns
        if phase == "start":
            began_ns = time.monotonic_ns()
        elif began_ns:
            seen.paused(time.monotonic_ns() - began_ns)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


def _preempted() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _machine(before: CpuAccount | None, after: CpuAccount | None) -> dict[str, Any]:
    """The fields of Interference from the kernel's account; empty if it is not known."""
    if before is None or after is None:
        return {}
    return {
        "own_cpu_s": max(0.0, after.own_s - before.own_s),
        "services_cpu_s": max(0.0, after.services_s - before.services_s),
        "busy_cpu_s": after.busy_s - before.busy_s,
        "stolen_cpu_s": after.stolen_s - before.stolen_s,
        "wanted_cpu_s": after.wanted_s - before.wanted_s,
        "cores": after.cores,
    }

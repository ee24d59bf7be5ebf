"""CPU time by thread since the last sample: exact if the system has a clock for each thread, otherwise divided among
threads."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Protocol


class CpuClock(Protocol):
    """Reads CPU time since the last call."""

    exact: bool

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """Nanoseconds of CPU time of each of ``threads`` (by ident) since the last call. ``working``: those that do not
        wait, for clocks that cannot tell threads apart. All threads must be alive."""


class ThreadClocks:
    """The CPU clock that Linux has for every thread. A waiting thread uses no CPU time, so an idle process has no
    cost."""

    exact = True

    def __init__(self) -> None:
        self._read: dict[int, int] = {}

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """See :class:`CpuClock`. A new thread is charged from its start."""
        before, self._read = self._read, {}
        spent = {}
        for ident in threads:
            now = time.clock_gettime_ns(time.pthread_getcpuclockid(ident))
            last = before.get(ident, 0)
            self._read[ident] = now
            # a clock that went back belongs to a new thread that reuses the ident of an ended one
            spent[ident] = now - last if now >= last else now
        return spent


class ProcessClock:
    """The CPU clock of the whole process, divided equally among the threads that do not seem to wait."""

    exact = False

    def __init__(self) -> None:
        self._read = time.process_time_ns()

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """See :class:`CpuClock`."""
        if not working:
            return {}  # kept for the next thread that works
        now = time.process_time_ns()
        share = (now - self._read) // len(working)
        self._read = now
        return dict.fromkeys(working, share)


def best_clock() -> CpuClock:
    """A clock for each thread if the system has that (Linux), otherwise that of the process."""
    return ThreadClocks() if hasattr(time, "pthread_getcpuclockid") else ProcessClock()

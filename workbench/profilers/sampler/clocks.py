"""Who used CPU time since the last look: exactly where the system has a clock for each thread, else shared out."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Protocol


class CpuClock(Protocol):
    """Reads CPU time since the last call."""

    exact: bool

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """Nanoseconds of CPU time of each of ``threads`` (by ident) since the last call. ``working`` are those that do
        not wait, for clocks that cannot tell. All threads must be alive."""


class ThreadClocks:
    """The CPU clock that Linux has for every thread. A thread that waits uses none, so an idle process has no cost."""

    exact = True

    def __init__(self) -> None:
        self._read: dict[int, int] = {}

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """See :class:`CpuClock`. A thread seen for the first time is charged from its birth."""
        before, self._read = self._read, {}
        spent = {}
        for ident in threads:
            now = time.clock_gettime_ns(time.pthread_getcpuclockid(ident))
            last = before.get(ident, 0)
            self._read[ident] = now
            # a clock that went back is that of a new thread which got the ident of one that has ended
            spent[ident] = now - last if now >= last else now
        return spent


class ProcessClock:
    """The CPU clock of the whole process, shared alike by the threads that do not seem to wait."""

    exact = False

    def __init__(self) -> None:
        self._read = time.process_time_ns()

    def spent(self, threads: Iterable[int], working: Collection[int]) -> dict[int, int]:
        """See :class:`CpuClock`."""
        if not working:
            return {}  # kept for whoever works next
        now = time.process_time_ns()
        share = (now - self._read) // len(working)
        self._read = now
        return dict.fromkeys(working, share)


def best_clock() -> CpuClock:
    """A clock for each thread where the system has that (Linux), else that of the process."""
    return ThreadClocks() if hasattr(time, "pthread_getcpuclockid") else ProcessClock()

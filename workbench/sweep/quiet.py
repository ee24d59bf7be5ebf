"""Wait until a profiled service has done its work, without asking it: an answer would be in the profile too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import psutil

INTERVAL_S = 0.25
QUIET_INTERVALS = 2
IDLE_SHARE = 0.1
"""Of a core. Timers and pollers of an idle service under Valgrind take a few hundredths."""


async def until_quiet(pids: Iterable[int], timeout_s: float) -> bool:
    """Wait until the processes have used less than IDLE_SHARE of a core for QUIET_INTERVALS on end.

    False where they did not become quiet within ``timeout_s``. Processes that are gone are quiet.
    """
    processes = []
    for pid in set(pids):
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
    deadline = time.monotonic() + timeout_s
    before, calm = _cpu_s(processes), 0
    while calm < QUIET_INTERVALS:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(INTERVAL_S)  # what is waited for is the absence of something: it takes time to see
        now = _cpu_s(processes)
        calm = calm + 1 if now - before < IDLE_SHARE * INTERVAL_S else 0
        before = now
    return True


def _cpu_s(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total

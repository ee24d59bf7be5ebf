"""Whether a service is idle, from its processes' CPU time: asking it would add to the profile."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterable

import psutil

INTERVAL_S = 0.25
QUIET_INTERVALS = 2
IDLE_SHARE = 0.1
"""Share of a core. Timers and pollers of an idle service under Valgrind take a few hundredths."""


async def until_quiet(pids: Iterable[int], timeout_s: float) -> bool:
    """Wait until the processes have used less than IDLE_SHARE of a core for QUIET_INTERVALS in a row.

    False if this takes longer than ``timeout_s``. Ended processes count as quiet.
    """
    processes = _processes(pids)
    deadline = time.monotonic() + timeout_s
    before, calm = _cpu_s(processes), 0
    while calm < QUIET_INTERVALS:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(INTERVAL_S)  # waits for nothing to happen, which only time can show
        now = _cpu_s(processes)
        calm = calm + 1 if now - before < IDLE_SHARE * INTERVAL_S else 0
        before = now
    return True


async def until_old(pids: Iterable[int], age_s: float) -> None:
    """Wait until the processes have been running for ``age_s``, except those that have ended."""
    born = [process.create_time() for process in _processes(pids)]
    if born:
        await asyncio.sleep(max(born) + age_s - time.time())  # waits for the time itself


def used_cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that processes have used since they began; NaN if there are none or one has ended."""
    wanted = set(pids)
    processes = _processes(wanted)
    return _cpu_s(processes) if wanted and len(processes) == len(wanted) else math.nan


def _processes(pids: Iterable[int]) -> list[psutil.Process]:
    processes = []
    for pid in set(pids):
        with contextlib.suppress(psutil.Error):
            processes.append(psutil.Process(pid))
    return processes


def _cpu_s(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total

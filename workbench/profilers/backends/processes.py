"""Processes of this machine: found again by another process, ended in order, and with all that came of them.

A service is started in a session of its own, so whatever it or its tool starts is known by the session's number, also
when the tool in between was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

POLL_S = 0.05


def birth(pid: int) -> float:
    """When a process began: clock ticks since boot on Linux, which do not move when the clock is set, else seconds.

    With the number it names one process for good. Raises psutil.NoSuchProcess.
    """
    if not Path("/proc/self/stat").exists():
        return float(psutil.Process(pid).create_time())
    try:
        # the name in brackets may hold spaces and brackets itself
        return float(Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()[19])
    except OSError:
        raise psutil.NoSuchProcess(pid) from None


def runs(process: psutil.Process) -> bool:
    """Whether a process still runs: a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def members(session: int) -> list[psutil.Process]:
    """The processes of a session that run."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == session and runs(process := psutil.Process(pid)):
                found.append(process)
    return found


async def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition; False where it did not come to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """A signal to each that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)

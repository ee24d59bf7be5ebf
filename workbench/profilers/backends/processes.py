"""Processes of this machine: found again by another process, and ended in order with all their children.

A service is started in its own session, so all processes that it or its tool starts are found by the session's number,
even if the tool was killed.
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
    """The start time of a process: clock ticks since boot on Linux, which do not depend on the wall clock, otherwise
    seconds.

    Together with the number it identifies one process. Raises psutil.NoSuchProcess.
    """
    if not Path("/proc/self/stat").exists():
        return float(psutil.Process(pid).create_time())
    try:
        # the name in brackets may contain spaces and brackets
        return float(Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()[19])
    except OSError:
        raise psutil.NoSuchProcess(pid) from None


def runs(process: psutil.Process) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def members(session: int) -> list[psutil.Process]:
    """The running processes of a session."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == session and runs(process := psutil.Process(pid)):
                found.append(process)
    return found


async def until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition; False if it was not met in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each that still exists."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)

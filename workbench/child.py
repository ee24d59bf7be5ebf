"""A child process of ours, seen from both sides: it reads one line from standard input, answers with one line, and ends
when that pipe closes.

So nothing that it is told appears in a command line, and it never outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import IO

STOP_TIMEOUT_S = 10.0


async def start(*arguments: str, errors: IO[bytes]) -> Process:
    """Start ``python -m`` with ``arguments``; its standard error goes to the file ``errors``."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        # in a session of its own, so that Ctrl-C does not reach it: its parent stops it, last of all
        start_new_session=True,
    )


async def tell(process: Process, line: bytes, timeout_s: float) -> bytes:
    """Send it a line and return its answer; b"" if it ended without answering. Raises TimeoutError after
    ``timeout_s``."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("both streams were asked for as pipes")
    async with asyncio.timeout(timeout_s):
        process.stdin.write(line + b"\n")
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        answer = await process.stdout.readline()
        if not answer:
            await process.wait()
    return answer


async def stop(process: Process) -> None:
    """Send SIGTERM, and SIGKILL if it does not end within STOP_TIMEOUT_S."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


def last_line(log: Path) -> str:
    """The last line that a process wrote to its log."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"


class Lifeline(asyncio.Protocol):
    """In the child: sets ``stop`` when standard input closes, because then the parent has ended."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._stop.set()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of a serving process: uvloop if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

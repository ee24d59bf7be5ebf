"""A process of our own, from both sides: it is told one line on its standard input, answers with one, and ends when
that pipe closes.

So what it is told is in no command line, and it does not outlive whoever started it, however that ends.
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
    """``python -m`` with ``arguments``; its standard error goes to a file."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        # in a session of its own Ctrl-C does not reach it: whoever started it stops it, last of all
        start_new_session=True,
    )


async def tell(process: Process, line: bytes, timeout_s: float) -> bytes:
    """Its answer to a line; b"" where it ended without one. Raises TimeoutError where neither comes in time."""
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
    """SIGTERM, and SIGKILL where that does not help."""
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
    """What a process said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"


class Lifeline(asyncio.Protocol):
    """In the child: sees the end of standard input, which is the end of the parent."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._stop.set()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop for a process that serves, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

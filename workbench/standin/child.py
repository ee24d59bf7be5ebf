"""The stand-in as a child process, so that its work does not share an interpreter with the load generator."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workbench.errors import ToolError
from workbench.settings import Settings
from workbench.standin.endpoints import Endpoints

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0

TOKEN_VARIABLE = "WORKBENCH_FREE_QUERY_TOKEN"  # noqa: S105  the name of a variable
"""The variable that a child takes its token from, where what it reads is written down by a profiler."""

# What a child is not told: it needs none of it, and keys are secrets.
_OWN_AFFAIRS = {"signer_keys", "payers"}


@asynccontextmanager
async def child(settings: Settings, log: Path) -> AsyncIterator[Endpoints]:
    """Start a stand-in process and stop it at the end; it also ends when this process does, however that ends.

    Settings go over its standard input, which stays open as the lifeline; its standard error goes to ``log``.
    Raises ToolError with the log's last line when it dies or does not get ready.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stderr:
        # In a session of its own Ctrl-C does not reach it: whoever started it stops it, last of all.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "workbench.standin", "--child"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield await _ready(process, settings, log)
    finally:
        await _stop(process)


async def _ready(process: Process, settings: Settings, log: Path) -> Endpoints:
    if process.stdin is None or process.stdout is None:
        raise ToolError("the stand-in's process has no pipes")
    line, state = b"", "ended"
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            process.stdin.write(settings.model_dump_json(exclude=_OWN_AFFAIRS).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            line = await process.stdout.readline()
            if not line:
                await process.wait()
    except TimeoutError:
        state = f"was not ready after {READY_TIMEOUT_S:.0f} s"
    if not line:
        raise ToolError(f"the stand-in {state}: {_last_line(log)}", where=str(log))
    return Endpoints.from_json(line.decode())


async def _stop(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"

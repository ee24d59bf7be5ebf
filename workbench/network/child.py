"""The network's processes seen from whoever runs them: started with the settings, stopped at the end, and ending by
themselves when their parent does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.errors import TargetError, ToolError
from workbench.settings import Settings

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0

# what these processes do not need and what is a secret
_OWN_AFFAIRS = {"signer_keys", "payers", "free_query_token", "database_url", "postgres"}

Role = Literal["graph", "aggregator"]


@dataclass(frozen=True)
class Child:
    """A process that answers: where, and its number."""

    url: str
    pid: int


@asynccontextmanager
async def child(role: Role, settings: Settings, log: Path) -> AsyncIterator[Child]:
    """Run one of the two serving processes while the context is open; its standard error goes to ``log``.

    Raises TargetError where its port is taken and ToolError where it ends for another reason, with its last line.
    """
    with log.open("wb") as errors:
        # in a session of its own Ctrl-C does not reach it: whoever started it stops it, last of all
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "workbench.network", role),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        line = settings.model_dump_json(exclude=_OWN_AFFAIRS)
        yield Child(await _ready(process, role, line, log), process.pid)
    finally:
        await stop(process)


async def _ready(process: Process, role: str, line: str, log: Path) -> str:
    if process.stdin is None or process.stdout is None:
        raise ToolError(f"the network's {role} process has no pipes")
    answer = b""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            process.stdin.write(line.encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            answer = await process.stdout.readline()
            if not answer:
                await process.wait()
    except TimeoutError:
        raise ToolError(f"the network's {role} was not ready after {READY_TIMEOUT_S:.0f} s", where=str(log)) from None
    if not answer:
        words = last_line(log)
        # its own words name the address and the option already
        raise (
            TargetError(words)
            if process.returncode == TargetError.exit_code
            else ToolError(f"the network's {role} ended: {words}", where=str(log))
        )
    return str(json.loads(answer)["url"])


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

"""The network's processes, seen from their parent: started with the settings, stopped at the end, and ended when the
parent ends."""

from __future__ import annotations

import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.child import last_line, start, stop, tell
from workbench.errors import TargetError, ToolError
from workbench.settings import SECRETS, WITH_PASSWORD, Settings

READY_TIMEOUT_S = 30.0

# settings that these processes do not need, and secrets
_OWN_AFFAIRS = {*SECRETS, *WITH_PASSWORD, "payers"}

Role = Literal["graph", "aggregator"]


@dataclass(frozen=True)
class Child:
    """A running process: its address and number."""

    url: str
    pid: int


@asynccontextmanager
async def child(role: Role, settings: Settings, log: Path) -> AsyncIterator[Child]:
    """Run one of the two serving processes within the context; its standard error goes to ``log``.

    Raises TargetError if its port is taken, ToolError with its last line if it ends for another reason.
    """
    with log.open("wb") as errors:
        process = await start("workbench.network", role, errors=errors)
    try:
        line = settings.model_dump_json(exclude=_OWN_AFFAIRS)
        yield Child(await _ready(process, role, line, log), process.pid)
    finally:
        await stop(process)


async def _ready(process: Process, role: str, line: str, log: Path) -> str:
    try:
        answer = await tell(process, line.encode(), READY_TIMEOUT_S)
    except TimeoutError:
        raise ToolError(f"the network's {role} was not ready after {READY_TIMEOUT_S:.0f} s", where=str(log)) from None
    if not answer:
        words = last_line(log)
        # its own message already names the address and the option
        raise (
            TargetError(words)
            if process.returncode == TargetError.exit_code
            else ToolError(f"the network's {role} ended: {words}", where=str(log))
        )
    return str(json.loads(answer)["url"])

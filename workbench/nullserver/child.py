"""The null server in separate processes, so that it shares no interpreter with the generator."""

from __future__ import annotations

import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.child import last_line, start, stop, tell
from workbench.errors import ToolError
from workbench.private import temporary_folder

READY_TIMEOUT_S = 30.0
PAID_PATH = "/subgraphs/id/QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs"
"""Any path is answered; this one looks like a real one."""


@dataclass(frozen=True)
class NullServer:
    """Its address and processes."""

    url: str
    pids: tuple[int, ...]

    @property
    def paid_url(self) -> str:
        """The URL for receipts."""
        return self.url + PAID_PATH


@asynccontextmanager
async def null_server(processes: int = 1, *, delay_ms: float = 0.0) -> AsyncIterator[NullServer]:
    """A server on 127.0.0.1 that answers every request with success, at once or ``delay_ms`` after reading it.

    Its ``processes`` share a port. They end with the block or with this process. Raises ToolError if one does not get
    ready.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(temporary_folder("nullserver"))
        port, pids = 0, []
        for number in range(processes):
            process = await stack.enter_async_context(_one(folder / f"{number}.log"))
            port = await _ready(process, folder / f"{number}.log", delay_ms, port, shared=processes > 1)
            pids.append(process.pid)
        yield NullServer(f"http://127.0.0.1:{port}", tuple(pids))


@asynccontextmanager
async def _one(log: Path) -> AsyncIterator[Process]:
    with log.open("wb") as errors:
        process = await start("workbench.nullserver", errors=errors)
    try:
        yield process
    finally:
        await stop(process)


async def _ready(process: Process, log: Path, delay_ms: float, port: int, *, shared: bool) -> int:
    asked = json.dumps({"delay_ms": delay_ms, "port": port, "shared": shared}).encode()
    try:
        answer = await tell(process, asked, READY_TIMEOUT_S)
    except TimeoutError:
        raise ToolError(f"the null server was not ready after {READY_TIMEOUT_S:.0f} s") from None
    if not answer:
        raise ToolError(f"the null server ended: {last_line(log)}")
    return int(json.loads(answer)["port"])

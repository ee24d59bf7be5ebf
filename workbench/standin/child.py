"""The stand-in as a child process, so that it does not share an interpreter with the load generator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from workbench.child import last_line, start, stop, tell
from workbench.errors import ToolError
from workbench.settings import WITH_PASSWORD, Settings
from workbench.standin.endpoints import Endpoints

READY_TIMEOUT_S = 30.0

TOKEN_VARIABLE = "WORKBENCH_FREE_QUERY_TOKEN"  # noqa: S105  the name of a variable
"""The variable with a child's token, used under a profiler that records what the child reads."""

# Settings that a child does not get: it does not need them, and keys are secrets.
_OWN_AFFAIRS = {"signer_keys", "payers", *WITH_PASSWORD}


@asynccontextmanager
async def child(settings: Settings, log: Path) -> AsyncIterator[Endpoints]:
    """Start a stand-in process and stop it at the end; it also ends with this process in any case.

    Settings are sent over its standard input, which stays open as the lifeline; its standard error goes to ``log``.
    Raises ToolError with the log's last line if it dies or does not get ready.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = await start("workbench.standin", "--child", errors=errors)
    try:
        answer, state = b"", "ended"
        try:
            line = settings.model_dump_json(exclude=_OWN_AFFAIRS).encode()
            answer = await tell(process, line, READY_TIMEOUT_S)
        except TimeoutError:
            state = f"was not ready after {READY_TIMEOUT_S:.0f} s"
        if not answer:
            raise ToolError(f"the stand-in {state}: {last_line(log)}", where=str(log))
        yield Endpoints.from_json(answer.decode())
    finally:
        await stop(process)

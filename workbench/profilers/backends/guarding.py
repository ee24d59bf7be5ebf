"""The program of the guardian process: waits for the workbench's end; see ``guardian``."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from workbench.masking import ended
from workbench.profilers.backends.guardian import MARK


def main() -> int:
    """Wait for the workbench's end, then clean up for it."""
    state = None
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            state = json.loads(line)
    if state is None:
        return 0
    # imported late: while the workbench lives this process only waits and stays small
    import asyncio

    asyncio.run(_finish(state))
    return 0


async def _finish(state: dict[str, Any]) -> None:
    from workbench.errors import WorkbenchError
    from workbench.profilers.backends.local import LocalBackend

    backend = LocalBackend.from_json(state["backend"], state["environments"])
    with contextlib.suppress(WorkbenchError):  # nobody is left to report to
        if backend.running:
            await backend.stop()
    _kill_marked(state["mark"])
    with contextlib.suppress(WorkbenchError):
        await backend.restore()


def _kill_marked(mark: str | None) -> None:
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if mark is not None and process.environ().get(MARK) == mark:
                process.kill()


if __name__ == "__main__":
    sys.exit(ended(main))

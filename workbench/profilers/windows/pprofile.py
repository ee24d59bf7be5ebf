"""pprofile's windows: it profiles from its start to its end, so each window is a run of the services of its own.

Between windows the service runs without it. What starting costs is in every window alike, and comes out as the part of
a window's cost that does not depend on receipts.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ToolError, WorkbenchError
from workbench.profilers.backends.protocol import Backend
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.windows.scene import Scene


@dataclass(frozen=True, slots=True)
class Run:
    """How the services' run under pprofile ended: where each wrote, and why it may have written nothing."""

    written: dict[str, Path]
    wrong: dict[str, str]


async def begin_run(backend: Backend, flags: tuple[str, ...] | None = None) -> None:
    """Start all services again under pprofile."""
    await backend.stop()
    try:
        await backend.start("pprofile", flags)
    except BaseException:
        # as it was: without pprofile
        with contextlib.suppress(WorkbenchError):
            await to_the_end(backend.start("none"))
        raise


async def end_run(backend: Backend) -> Run:
    """End all services, which writes their profiles; :func:`go_on` starts them again."""
    # the places depend on what runs
    written = {service: backend.place(service).host / "pprofile.out" for service in backend.services}
    wrong = {service: await backend.condition(service) for service in backend.services}
    for ended in await backend.stop():
        if ended.killed:
            wrong[ended.service] = "the service had to be killed"
    return Run(written, wrong)


async def go_on(backend: Backend) -> None:
    """Start all services without it."""
    await to_the_end(backend.start("none"))


async def end(scene: Scene, run: Run) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """Keep what one service's run wrote."""
    written = run.written[scene.service]
    if not (written.exists() and written.stat().st_size):
        raise ToolError(
            f"pprofile wrote nothing: {run.wrong[scene.service] or 'it was cut off'}",
            where=str(written),
            hint="It writes when the service ends by itself on SIGTERM or SIGINT: give it longer to stop",
        )
    return {"dump": await scene.take(written, f"{scene.name}.pprofile.out")}, {}, ()

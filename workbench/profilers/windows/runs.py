"""Windows of a tool that profiles from start to end: the profiled services are restarted for each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.profilers.backends.protocol import Backend, Place
from workbench.profilers.modes import Mode
from workbench.profilers.to_the_end import to_the_end


@dataclass(frozen=True, slots=True)
class Run:
    """How the services' run under the tool ended: where each wrote, and why one wrote nothing."""

    places: dict[str, Place]
    wrong: dict[str, str]


async def begin_run(backend: Backend, mode: Mode, flags: tuple[str, ...] | None = None) -> None:
    """Restart the profiled services under the tool; other programs continue."""
    await backend.stop(profiled_only=True)
    try:
        await backend.start(mode, flags)
    except BaseException:
        # as before: without the tool
        with contextlib.suppress(WorkbenchError):
            await to_the_end(backend.start("none"))
        raise


async def end_run(backend: Backend) -> Run:
    """Stop the profiled services, which writes their profiles; :func:`go_on` restarts them."""
    # the folders depend on what runs
    places = {service: backend.place(service) for service in backend.services}
    wrong = {service: await backend.condition(service) for service in backend.services}
    for ended in await backend.stop(profiled_only=True):
        if ended.killed:
            wrong[ended.service] = "the service had to be killed"
    return Run(places, wrong)


async def go_on(backend: Backend) -> None:
    """Start the profiled services without the tool."""
    await to_the_end(backend.start("none"))

"""Starts or connects to what is measured: the stand-in, services by their commands, containers of a compose file, or
services that already run; without a profiler, or under one with the session that cuts a window for each step.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import SettingsError, TargetError
from workbench.profilers.backends.compose import PUBLISHED
from workbench.profilers.backends.protocol import Backend
from workbench.profilers.commands import backend_of, has_commands
from workbench.profilers.modes import Mode
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.tools.chosen import tool_of
from workbench.service.connect import Target, connect
from workbench.service.health import require_service
from workbench.settings import Settings
from workbench.sweep.surroundings import check_surroundings
from workbench.sweep.windows import FOLDER

LOGS = "logs"
"""In a run folder: the output of the services that were started for it without a profiler."""


def check_subject(settings: Settings) -> None:
    """Before anything is spent, raise SettingsError if the profiler cannot be used for this target, ToolError if it is
    not installed. Containers bring their own tools."""
    check_surroundings(settings)
    if settings.profiler == "none" or settings.compose is not None:
        return
    if settings.target is not None and not has_commands(settings):
        raise SettingsError(
            f"a running service ({settings.target}) cannot be put under {settings.profiler}",
            where="profiler",
            hint="Give the command that starts it with --service, or its compose file with --compose",
        )
    tool_of(settings.profiler).require()


@dataclass(frozen=True)
class Subject:
    """A target that answers. ``session``: the profiler's, if there is one; ``backend``: the programs that were started
    for it."""

    target: Target
    session: Session | None = None
    backend: Backend | None = None

    async def require_running(self) -> None:
        """Raise TargetError naming a program that has ended or does not answer, with its last output."""
        if self.backend is None:
            return
        for program in self.backend.programs:
            if wrong := await self.backend.condition(program):
                raise TargetError(wrong, where=program, hint="Its output is in its service.log, in the run's folder")


@asynccontextmanager
async def running(settings: Settings, folder: Path, mode: Mode) -> AsyncIterator[Subject]:
    """Start what is measured, under a profiler with its session; stopped and restored at the end of the block in any
    case.

    With ``mode`` none, containers and services given by their address already run.
    """
    elsewhere = settings.target is not None and not has_commands(settings)
    if (settings.compose is not None or elsewhere) and mode == "none":
        yield Subject(await connect(with_compose_target(settings)))
        return
    out = folder / (LOGS if mode == "none" else FOLDER)
    flags = None if mode == "none" or settings.profiler_flags is None else tuple(shlex.split(settings.profiler_flags))
    own = settings.model_copy(update={"database": settings.database or folder / "standin.sqlite"})
    backend = backend_of(own, out)
    async with profiling_session(
        mode,
        backend,
        out,
        flags=flags,
        attach=mode != "none" and settings.profiler_attach,
        replaces=True,  # left by a run that was killed during a step: the step is measured again
    ) as session:
        if settings.compose is not None:
            target = await connect(with_compose_target(settings))
        else:
            pids = await backend.host_pids()
            target = await connect(settings, backend.addresses(), is_standin=not has_commands(settings), pids=pids)
        yield Subject(target, None if mode == "none" else session, backend)


def with_compose_target(settings: Settings) -> Settings:
    """The settings with the published addresses of a compose file's services, where none were given."""
    if settings.compose is None:
        return settings
    published = {
        "target": PUBLISHED.service_url,
        "service_metrics_url": PUBLISHED.service_metrics_url,
        "agent_metrics_url": PUBLISHED.agent_metrics_url,
        "graph_url": PUBLISHED.graph_url,
    }
    return settings.model_copy(update={name: url for name, url in published.items() if getattr(settings, name) is None})


async def absent(settings: Settings) -> str:
    """Why the services of a compose file cannot be measured before they are under the profiler; "" if they can."""
    target = with_compose_target(settings).target
    if settings.compose is None or target is None:
        return ""
    try:
        await require_service(target)
    except TargetError as error:
        return str(error)
    return ""


def tool_sentence(settings: Settings) -> str:
    """The profiler in words, with its flags."""
    tool = tool_of(settings.profiler)
    flags = shlex.join(tool.flags) if settings.profiler_flags is None else settings.profiler_flags
    return f"{settings.profiler}{f' ({tool.program} {flags})'.replace(' )', ')') if tool.program else ''}"

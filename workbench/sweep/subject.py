"""The target of a profiled sweep: a stand-in under a tool, or the services of a compose file, with the session that
cuts a window for each step."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from workbench.errors import SettingsError, TargetError
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.modes import Mode
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.standin import child_service
from workbench.profilers.tools.chosen import tool_of
from workbench.service.connect import Target, connect
from workbench.service.health import require_service
from workbench.settings import Settings
from workbench.standin.endpoints import Endpoints
from workbench.sweep.windows import FOLDER

# what the compose files, ours and indexer-rs's, publish on this machine
PUBLISHED = {
    "target": "http://127.0.0.1:7601",
    "service_metrics_url": "http://127.0.0.1:7302/metrics",
    "agent_metrics_url": "http://127.0.0.1:7303/metrics",
    "graph_url": "http://127.0.0.1:8000/subgraphs/name/graph-network",
}


def check_profiler(settings: Settings) -> None:
    """Raise, before anything is spent, SettingsError where the profiler does not fit the target, ToolError where it is
    not installed. Containers bring their own tools."""
    if settings.profiler == "none" or settings.compose is not None:
        return
    if settings.target is not None:
        raise SettingsError(
            f"a service at {settings.target} cannot be put under {settings.profiler} from here",
            where="profiler",
            hint="Give its compose file with --compose, or profile it by hand: workbench profile start",
        )
    tool_of(settings.profiler).require()


@asynccontextmanager
async def plain(settings: Settings, folder: Path) -> AsyncIterator[tuple[Target, Session | None]]:
    """The target without a profiler."""
    async with connect(with_compose_target(settings), folder) as target:
        yield target, None


@asynccontextmanager
async def profiled(settings: Settings, folder: Path) -> AsyncIterator[tuple[Target, Session | None]]:
    """The target under ``settings.profiler`` and its session; stopped and restored at the end, however it comes."""
    mode: Mode = settings.profiler
    out = folder / FOLDER
    session_of = partial(
        profiling_session,
        mode,
        out=out,
        flags=None if settings.profiler_flags is None else tuple(shlex.split(settings.profiler_flags)),
        attach=settings.profiler_attach,
        replaces=True,  # of a run that was killed in mid-step: the step is measured again
    )
    if settings.compose is None:
        sessions: list[Session] = []

        @asynccontextmanager
        async def under_tool(own: Settings, log: Path) -> AsyncIterator[Endpoints]:
            backend = LocalBackend(child_service(own), out)
            async with session_of(backend) as session:
                sessions.append(session)
                known, pids = backend.addresses(), await backend.host_pids()
                yield Endpoints(
                    known.service_url,
                    known.service_metrics_url or "",
                    known.agent_metrics_url or "",
                    known.graph_url or "",
                    known.database or "",
                    pids,
                )

        async with connect(settings, folder, under_tool) as target:
            yield target, sessions[0]
    else:
        from workbench.profilers.backends.compose import ComposeBackend

        backend = ComposeBackend(settings.compose)
        async with (
            session_of(backend) as session,
            connect(with_compose_target(settings), folder) as target,
        ):
            yield target, session


def with_compose_target(settings: Settings) -> Settings:
    """The settings with the addresses that a compose file's services are published at, where none were given."""
    if settings.compose is None:
        return settings
    absent = {name: url for name, url in PUBLISHED.items() if getattr(settings, name) is None}
    return settings.model_copy(update=absent)


async def absent(settings: Settings) -> str:
    """Why the services of a compose file cannot be measured before they are put under the profiler; "" where they
    can."""
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

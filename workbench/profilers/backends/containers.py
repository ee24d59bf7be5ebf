"""One container of a profiled compose service: its variables, its folder, its condition and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workbench.errors import SettingsError, ToolError, of_system
from workbench.profilers.backends.docker import (
    QUICK_S,
    Answer,
    Container,
    docker,
    inspect,
    profiled_pid,
    run,
    takes_sigterm,
)
from workbench.profilers.backends.protocol import Ended, Place
from workbench.profilers.modes import Mode
from workbench.profilers.tools.chosen import tool_of

PROFILING = PurePosixPath("/opt/profiling")
"""Parent of each service's folder in the container."""

_PROBE_TIMEOUT_S = 20.0
_POLL_S = 0.25
_HANDLER_TIMEOUT_S = 10.0
_KILLED = 128 + 9

# The guide calls the mode massif valgrind.
_NAMES: Mapping[Mode, str] = {"massif": "valgrind"}


@dataclass(frozen=True, slots=True)
class Before:
    """How a service ran before: its compose files, project folder and variables PROFILER*."""

    files: tuple[str, ...]
    folder: str
    profiler: tuple[tuple[str, str], ...]


def variables_of(mode: Mode, flags: Sequence[str] | None, extra: Sequence[str]) -> dict[str, str]:
    """The variables that tell the entry script the mode and flags."""
    variables = {"PROFILER": _NAMES.get(mode, mode)}
    for name, given in (("PROFILER_BASE_FLAGS", flags), ("PROFILER_FLAGS", extra)):
        for flag in given or ():
            if not flag or any(character.isspace() for character in flag):
                raise SettingsError(
                    f"expected a flag without spaces, found {flag!r}",
                    where=name,
                    hint="The entry script splits flags at spaces",
                )
    if flags is not None and tuple(flags) != tool_of(mode).flags:
        variables["PROFILER_BASE_FLAGS"] = " ".join(flags)
    if extra:
        variables["PROFILER_FLAGS"] = " ".join(extra)
    return variables


def check_variables(container: Container, variables: Mapping[str, str]) -> None:
    """Raise SettingsError if a container did not get the variables that its compose file should pass on."""
    for name, value in variables.items():
        if container.profiler.get(name) != value:
            raise SettingsError(
                f"its container has {name}={container.profiler.get(name)} instead of {value}",
                where=container.service,
                hint=f"Let the compose file pass ${{{name}}} on",
            )


def before_of(container: Container | None) -> Before | None:
    """What to restore of a running container; None if none runs."""
    if container is None or not container.running:
        return None
    return Before(container.files, container.folder, tuple(sorted(container.profiler.items())))


def place_of(container: Container) -> Place:
    """The tool's folder from the container's mounts; made on the host if missing."""
    inside = PROFILING / container.service
    host = container.host(inside)
    if host is None:
        raise ToolError(
            f"no folder of this machine is mounted at {inside}: what the profiler writes would be lost",
            where=container.service,
            hint="Mount one in the compose file",
        )
    try:
        host.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise of_system(ToolError, "cannot be made", error, host) from error
    return Place(inside, host)


def is_closed(folder: Path) -> bool:
    """Whether the file exists but we may not read it."""
    return any(path.is_file() and not os.access(path, os.R_OK) for path in folder.iterdir())


async def condition_of(container: Container) -> str:
    """What is wrong with a container now. Runs its health check, since docker's own result may be a minute old."""
    if not container.running:
        return f"its container is {container.status} with exit code {container.exit_code}"
    if not container.health_test:
        return ""
    try:
        answer = await run("docker", "exec", container.id, *container.health_test, timeout_s=_PROBE_TIMEOUT_S)
    except ToolError as error:
        return f"its health check: {error.what}"
    return f"its health check: {answer.last_line}" if answer.exit_code else ""


async def end_container(container: Container, timeout_s: float) -> Ended:
    """End one container: SIGTERM to its program once it has a handler, and SIGKILL after ``timeout_s``.

    A program that is just starting has no handler yet and would never see the signal; one without a handler after
    ``_HANDLER_TIMEOUT_S`` has nothing to write. strace as process 1 blocks SIGTERM, so its child gets it.
    """
    if not container.running:
        return Ended(container.service, container.exit_code, 0.0, killed=False)
    clock = asyncio.get_running_loop().time
    begun = clock()
    patience = timeout_s
    with contextlib.suppress(ToolError):  # it may end between two commands; docker stop accepts that
        pid = await profiled_pid(container)
        if pid != 1:
            await docker("exec", container.id, "sh", "-c", f"kill -TERM {pid}", where=container.service)
            await run("docker", "wait", container.id, timeout_s=timeout_s)
        else:
            while not await takes_sigterm(container):
                if clock() - begun > min(timeout_s, _HANDLER_TIMEOUT_S):
                    patience = 0
                    break
                await asyncio.sleep(_POLL_S)
    rest = max(0, round(patience - (clock() - begun)))
    await docker("stop", "-t", str(rest), container.id, timeout_s=rest + QUICK_S, where=container.service)
    seconds = clock() - begun
    (now,) = await inspect(container.id)
    return Ended(container.service, now.exit_code, seconds, killed=now.exit_code == _KILLED)


def reason_of(answer: Answer) -> str:
    """The reason for compose's failure: from its last line that mentions an error, otherwise its last lines."""
    lines = [line.strip() for line in (answer.stderr or answer.stdout).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Encountered errors while")]
    errors = [number for number, line in enumerate(lines) if line.lower().startswith("error")]
    return " ".join(lines[errors[-1] :] if errors else lines[-3:])[:500] or "it wrote nothing"

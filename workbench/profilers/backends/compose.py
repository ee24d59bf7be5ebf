"""The docker compose backend: services of a compose file whose entry script takes the variable PROFILER.

That is the stand-in's own file (contrib/profiling/docker-compose.yml) and an indexer-rs checkout's
contrib/docker-compose.dev.yml. Containers are made anew for each mode, as the guide does it; unlike the guide's recipes
they get the time to write their files, earlier outputs are kept, and what ran before comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from workbench.errors import SettingsError, TargetError, ToolError, WorkbenchError
from workbench.profilers.backends.docker import (
    QUICK_S,
    Answer,
    Container,
    check_engine,
    compose_command,
    docker,
    inspect,
    last_words,
    open_up,
    profiled_pid,
    run,
    save_log,
    takes_sigterm,
)
from workbench.profilers.backends.outputs import set_aside
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, STOP_TIMEOUT_S, Ended, Place
from workbench.profilers.modes import TOOLS, Mode

SERVICES = ("indexer-service", "tap-agent")
PROFILING = PurePosixPath("/opt/profiling")
"""Where, in the container, each service has its folder."""

LOG = "service.log"
"""What the containers of a failed start wrote, in the service's folder."""

UP_TIMEOUT_S = 900.0
"""How long compose may take to make the containers: at the first time it builds their image."""

_PROBE_TIMEOUT_S = 20.0
_POLL_S = 0.25
_ABORT_TIMEOUT_S = 10.0
_HANDLER_TIMEOUT_S = 10.0
_KILLED = 128 + 9

# The guide calls massif by the name of the whole tool.
_NAMES: Mapping[Mode, str] = {"massif": "valgrind"}


@dataclass(frozen=True, slots=True)
class Before:
    """What a service ran as: the compose files and project folder it was made from, and its variables PROFILER*."""

    files: tuple[str, ...]
    folder: str
    profiler: tuple[tuple[str, str], ...]


class ComposeBackend:
    """Services of one compose project under a profiler; a :class:`~workbench.profilers.backends.protocol.Backend`.

    ``files`` are compose files as after ``docker compose -f``, the later ones over the earlier. Raises SettingsError
    for one that is not there; no engine is asked before the first method is called.
    """

    def __init__(
        self, *files: Path, services: Sequence[str] = SERVICES, ready_timeout_s: float = READY_TIMEOUT_S
    ) -> None:
        if not files or not services:
            raise SettingsError("a compose file and a service are wanted", where="compose")
        for file in files:
            if not file.is_file():
                raise SettingsError(
                    "there is no such compose file",
                    where=str(file),
                    hint="Give contrib/profiling/docker-compose.yml, or contrib/docker-compose.dev.yml of indexer-rs",
                )
        self._files = tuple(str(file.resolve()) for file in files)
        self._services = tuple(services)
        self._ready_timeout_s = ready_timeout_s
        # kept, so that another process with other variables finds the same containers
        self._project = os.environ.get("COMPOSE_PROJECT_NAME")
        self._before: dict[str, Before | None] | None = None
        self._started = False
        self.changed: Callable[[], None] = lambda: None
        """Called when what :meth:`to_json` says has changed, so that a kill at any time is recoverable."""
        self._places: dict[str, Place] = {}
        self._ids: tuple[str, ...] = ()
        self._command: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """The services that are started and stopped together."""
        return self._services

    def place(self, service: str) -> Place:
        """Where the tool writes: /opt/profiling/SERVICE inside, and the host's folder that is mounted there.

        Read from the container's mounts when it is made. Raises ToolError before :meth:`start`.
        """
        self._known(service)
        if service not in self._places:
            raise ToolError("where it writes is known only once it is started", where=service)
        return self._places[service]

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Make the containers anew with PROFILER, and wait until their health checks pass.

        What ran before the first start is remembered for :meth:`restore`; it is stopped with the time its tool needs.
        Outputs of earlier runs are moved to ``earlier/`` in their folder. ``flags`` and ``extra`` go in
        PROFILER_BASE_FLAGS and PROFILER_FLAGS. Raises SettingsError where the compose file takes no such variables,
        ToolError where a container dies (with its last line), TargetError where one does not answer in time. What ran
        before is back then, and what the containers wrote is in ``service.log`` in their folder.
        """
        if self._started:
            raise ToolError("it is started already", where="compose", hint="Stop it first")
        variables = _variables(mode, flags, extra)
        await self._check(variables)
        earlier = await self._containers()
        if self._before is None:
            self._before = {service: _before(earlier.get(service)) for service in self._services}
            self.changed()
        try:
            await self._end(earlier.values(), STOP_TIMEOUT_S)
            # made first and run after: variables are checked and outputs moved before a tool can truncate them
            await self._compose("up", "--no-start", "--force-recreate", *self._services, variables=variables)
            made = await self._made()
            for service, container in made.items():
                _check_variables(container, variables)
                self._places[service] = _place(container)
                set_aside(self._places[service].host, mode)
            self.changed()
            await self._compose("up", "-d", "--no-recreate", *self._services, variables=variables)
            await self._answering()
        except BaseException as error:
            left = await asyncio.shield(self._undo())
            if left and isinstance(error, WorkbenchError):
                what = f"{error.what}. What ran before is not back: {left}"
                raise type(error)(what, where=error.where, hint=error.hint) from error
            raise
        self._started = True
        self.changed()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> tuple[Ended, ...]:
        """SIGTERM to the programs, SIGKILL only after ``timeout_s``. Raises ToolError where there are no containers."""
        containers = await self._containers()
        self._started = False
        if not containers:
            raise ToolError("there is no container to stop", where=self._files[0])
        ended = await self._end(containers.values(), timeout_s)
        for service, place in self._places.items():
            if service in containers and await asyncio.to_thread(_closed, place.host):
                await open_up(containers[service], place.inside)
        return ended

    async def restore(self) -> bool:
        """Make the containers that ran before :meth:`start` again, from their own compose file and with their variables
        PROFILER*, and wait until their health checks pass. Containers of services that did not run are removed.
        Returns whether anything ran before."""
        if self._before is None:
            return False
        before = dict(self._before)
        await self._end((await self._containers()).values(), STOP_TIMEOUT_S)
        self._ids = ()
        self._started = False
        new = [service for service, was in before.items() if was is None]
        if new:
            await self._compose("rm", "--force", "--stop", *new)
        for was in dict.fromkeys(each for each in before.values() if each is not None):
            again = [service for service, each in before.items() if each == was]
            await self._compose("up", "-d", "--force-recreate", *again, variables=dict(was.profiler), source=was)
        old = [service for service, was in before.items() if was is not None]
        await self._answering(old)
        self._before = None
        self.changed()
        return bool(old)

    async def condition(self, service: str) -> str:
        """Empty for a container that runs and whose health check, run now, passes; else what is wrong."""
        self._known(service)
        container = (await self._containers()).get(service)
        if container is None:
            return "it has no container"
        return await _condition(container)

    async def pid(self, service: str) -> int:
        """The profiled program's process id inside its container."""
        return await profiled_pid(await self._container(service))

    async def host_pids(self) -> dict[str, int]:
        """None: a container's processes have other numbers here, and may be on another machine."""
        return {}

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Standard output of a command in the service's container. Raises ToolError when it fails."""
        container = await self._container(service)
        answer = await run("docker", "exec", container.id, *command, timeout_s=timeout_s)
        if answer.exit_code:
            raise ToolError(f"{command[0]} in its container failed: {answer.last_line}", where=service)
        return answer.stdout

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` needs. Of the containers' variables only PROFILER* are in it."""
        before = None
        if self._before is not None:
            before = {
                service: None
                if was is None
                else {"files": list(was.files), "folder": was.folder, "profiler": dict(was.profiler)}
                for service, was in self._before.items()
            }
        return {
            "kind": "compose",
            "files": list(self._files),
            "services": list(self._services),
            "project": self._project,
            "ready_timeout_s": self._ready_timeout_s,
            "places": {name: [str(place.inside), str(place.host)] for name, place in self._places.items()},
            "containers": list(self._ids),
            "started": self._started,
            "before": before,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """The backend that :meth:`to_json` described. Raises SettingsError where its compose file is gone."""
        backend = cls(*map(Path, state["files"]), services=state["services"], ready_timeout_s=state["ready_timeout_s"])
        backend._project = state["project"]
        backend._ids = tuple(state["containers"])
        backend._started = state["started"]
        backend._places = {
            name: Place(PurePosixPath(inside), Path(host)) for name, (inside, host) in state["places"].items()
        }
        if state["before"] is not None:
            backend._before = {
                service: None
                if was is None
                else Before(tuple(was["files"]), was["folder"], tuple(sorted(was["profiler"].items())))
                for service, was in state["before"].items()
            }
        return backend

    def _known(self, service: str) -> None:
        if service not in self._services:
            raise SettingsError(
                "there is no such service here", where=service, hint=f"There are {', '.join(self._services)}"
            )

    async def _check(self, variables: Mapping[str, str]) -> None:
        """Engine, compose file and its services are there, and it takes the variables."""
        await check_engine()
        offered = (await self._compose("config", "--services", timeout_s=QUICK_S)).split()
        missing = [service for service in self._services if service not in offered]
        if missing:
            raise SettingsError(
                f"there is no service {missing[0]}", where=self._files[-1], hint=f"There are {', '.join(offered)}"
            )
        # not shown, only searched: a compose file may hold passwords
        text = await self._compose("config", timeout_s=QUICK_S, variables=variables)
        for name in variables:
            if name not in text:
                raise SettingsError(
                    f"its services take no variable {name}",
                    where=self._files[-1],
                    hint="Take the flags of its own entry script"
                    if name != "PROFILER"
                    else "Give a file whose entry script takes it, as contrib/docker-compose.dev.yml of indexer-rs",
                )

    async def _compose(
        self,
        *arguments: str,
        timeout_s: float = UP_TIMEOUT_S,
        variables: Mapping[str, str] | None = None,
        source: Before | None = None,
    ) -> str:
        """Standard output of a compose command over our files, or those of ``source``; ToolError when it fails."""
        if not self._command:
            self._command = await compose_command()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROFILER")}
        environment.pop("COMPOSE_PROJECT_NAME", None)
        if self._project:
            environment["COMPOSE_PROJECT_NAME"] = self._project
        environment.update(variables or {})
        files = source.files if source is not None and source.files else self._files
        options = [option for file in files for option in ("-f", file)]
        if source is not None and source.folder:
            options += ["--project-directory", source.folder]
        answer = await run(*self._command, *options, *arguments, timeout_s=timeout_s, environment=environment)
        if answer.exit_code:
            raise ToolError(f"{' '.join(self._command)} {arguments[0]} failed: {_reason(answer)}", where=files[-1])
        return answer.stdout

    async def _containers(self) -> dict[str, Container]:
        """The services' containers by service, also those that have ended."""
        found: tuple[Container, ...] = ()
        if self._ids:
            # asking compose takes a second or two; someone else may have made the containers anew since
            with contextlib.suppress(ToolError):
                found = await inspect(*self._ids)
        if not found:
            await check_engine()
            ids = (await self._compose("ps", "-a", "-q", *self._services, timeout_s=QUICK_S)).split()
            found = await inspect(*ids)
        by_service = {container.service: container for container in found}
        return {service: by_service[service] for service in self._services if service in by_service}

    async def _container(self, service: str) -> Container:
        self._known(service)
        container = (await self._containers()).get(service)
        if container is None:
            raise ToolError("it has no container", where=service, hint="Start it first")
        if not container.running:
            raise ToolError(
                f"its container is {container.status} with exit code {container.exit_code}: "
                f"{await last_words(container.id)}",
                where=service,
            )
        return container

    async def _made(self) -> dict[str, Container]:
        containers = await self._containers()
        missing = [service for service in self._services if service not in containers]
        if missing:
            raise ToolError("compose made no container for it", where=missing[0])
        self._ids = tuple(container.id for container in containers.values())
        return containers

    async def _answering(self, services: Sequence[str] | None = None) -> None:
        """Wait until each service's health check passes; a container that has ended is an error at once."""
        waiting = list(self._services if services is None else services)
        ids = {service: container.id for service, container in (await self._containers()).items()}
        problem = ""
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                while waiting:
                    service = waiting[0]
                    if service not in ids:
                        raise ToolError("it has no container", where=service)
                    for other in await inspect(*(ids[name] for name in waiting)):
                        if not other.running:
                            raise ToolError(
                                f"it ended with exit code {other.exit_code}: {await last_words(other.id)}",
                                where=other.service,
                                hint=self._log_hint(other.service),
                            )
                        problem = await _condition(other)
                        if not problem:
                            waiting.remove(other.service)
                    if waiting:
                        await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise TargetError(
                f"it does not answer after {self._ready_timeout_s:.0f} s: {problem or 'its health check hangs'}; "
                f"its last line: {await last_words(ids[waiting[0]])}",
                where=waiting[0],
                hint=self._log_hint(waiting[0]),
            ) from None

    def _log_hint(self, service: str) -> str | None:
        return f"All it said is in {self._places[service].host / LOG}" if service in self._places else None

    async def _undo(self) -> str:
        """After a failed start: what the containers said is kept, what ran before is back; else the reason why not."""
        try:
            containers = await self._containers()
            for service, container in containers.items():
                if service in self._places:
                    await save_log(container.id, self._places[service].host / LOG)
            await self._end(containers.values(), _ABORT_TIMEOUT_S)
            await self.restore()
        except WorkbenchError as error:
            return str(error)
        return ""

    async def _end(self, containers: Any, timeout_s: float) -> tuple[Ended, ...]:
        return tuple(await asyncio.gather(*(_end(container, timeout_s) for container in containers)))


def _variables(mode: Mode, flags: Sequence[str] | None, extra: Sequence[str]) -> dict[str, str]:
    """The variables that ask the entry script for a mode with these flags."""
    variables = {"PROFILER": _NAMES.get(mode, mode)}
    for name, given in (("PROFILER_BASE_FLAGS", flags), ("PROFILER_FLAGS", extra)):
        for flag in given or ():
            if not flag or any(character.isspace() for character in flag):
                raise SettingsError(
                    f"a flag without spaces is wanted, found {flag!r}",
                    where=name,
                    hint="The entry script splits flags at spaces",
                )
    if flags is not None and tuple(flags) != TOOLS[mode].flags:
        variables["PROFILER_BASE_FLAGS"] = " ".join(flags)
    if extra:
        variables["PROFILER_FLAGS"] = " ".join(extra)
    return variables


def _check_variables(container: Container, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if container.profiler.get(name) != value:
            raise SettingsError(
                f"its container has {name}={container.profiler.get(name)} where {value} was asked for",
                where=container.service,
                hint=f"Let the compose file pass ${{{name}}} on",
            )


def _before(container: Container | None) -> Before | None:
    if container is None or not container.running:
        return None
    return Before(container.files, container.folder, tuple(sorted(container.profiler.items())))


def _place(container: Container) -> Place:
    """The tool's folder from the container's mounts, made on the host where it is not there."""
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
        raise ToolError(f"cannot be made: {error.strerror}", where=str(host)) from error
    return Place(inside, host)


def _closed(folder: Path) -> bool:
    """Whether there is a file that we may not read."""
    return any(path.is_file() and not os.access(path, os.R_OK) for path in folder.iterdir())


async def _condition(container: Container) -> str:
    """What is wrong with a container now. Its health check is run: the engine's own word may be a minute old."""
    if not container.running:
        return f"its container is {container.status} with exit code {container.exit_code}"
    if not container.health_test:
        return ""
    try:
        answer = await run("docker", "exec", container.id, *container.health_test, timeout_s=_PROBE_TIMEOUT_S)
    except ToolError as error:
        return f"its health check: {error.what}"
    return f"its health check: {answer.last_line}" if answer.exit_code else ""


async def _end(container: Container, timeout_s: float) -> Ended:
    """End one container: SIGTERM to its program, once that can take it, and SIGKILL after ``timeout_s``.

    A program that starts just now has no handler yet and would never see the signal; one that gets none in
    ``_HANDLER_TIMEOUT_S`` has nothing to write. strace as process 1 blocks SIGTERM: its child gets it.
    """
    if not container.running:
        return Ended(container.service, container.exit_code, 0.0, killed=False)
    clock = asyncio.get_running_loop().time
    begun = clock()
    patience = timeout_s
    with contextlib.suppress(ToolError):  # it may end between two commands; docker stop then finds it so
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


def _reason(answer: Answer) -> str:
    """What compose says went wrong: from its last line that speaks of an error, or else its last lines."""
    lines = [line.strip() for line in (answer.stderr or answer.stdout).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Encountered errors while")]
    errors = [number for number, line in enumerate(lines) if line.lower().startswith("error")]
    return " ".join(lines[errors[-1] :] if errors else lines[-3:])[:500] or "it wrote nothing"

"""The docker compose backend: services of a compose file whose entry script takes the variable PROFILER.

That is the stand-in's own file (contrib/profiling/docker-compose.yml) and an indexer-rs checkout's
contrib/docker-compose.dev.yml. Containers are recreated for each mode, as in the guide. Unlike with the guide's
recipes, they get time to write their files, earlier outputs are kept, and what ran before is restored.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Self

from workbench.errors import SettingsError, TargetError, ToolError, WorkbenchError
from workbench.profilers.backends.containers import (
    Before,
    before_of,
    check_variables,
    condition_of,
    end_container,
    is_closed,
    place_of,
    reason_of,
    variables_of,
)
from workbench.profilers.backends.docker import (
    QUICK_S,
    Container,
    check_engine,
    compose_command,
    inspect,
    last_words,
    open_up,
    profiled_pid,
    run,
    save_log,
)
from workbench.profilers.backends.outputs import set_aside
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, STOP_TIMEOUT_S, Backend, Ended, Place
from workbench.profilers.modes import Mode
from workbench.service.addresses import Addresses

SERVICES = ("indexer-service", "tap-agent")
PUBLISHED = Addresses(
    service_url="http://127.0.0.1:7601",
    graph_url="http://127.0.0.1:8000/subgraphs/name/graph-network",
    service_metrics_url="http://127.0.0.1:7302/metrics",
    agent_metrics_url="http://127.0.0.1:7303/metrics",
)
"""The addresses that our compose file and that of indexer-rs publish on this machine."""

LOG = "service.log"
"""The output of the containers of a failed start, in the service's folder."""

UP_TIMEOUT_S = 900.0
"""How long compose may take to create the containers; the first time it builds their image."""

_POLL_S = 0.25
_ABORT_TIMEOUT_S = 10.0


class ComposeBackend:
    """Services of one compose project under a profiler; a :class:`~workbench.profilers.backends.protocol.Backend`.

    ``files`` are compose files as for ``docker compose -f``; later ones override earlier ones. Raises SettingsError for
    a missing file; docker is not used before the first method is called.
    """

    def __init__(
        self, *files: Path, services: Sequence[str] = SERVICES, ready_timeout_s: float = READY_TIMEOUT_S
    ) -> None:
        if not files or not services:
            raise SettingsError("expected a compose file and a service", where="compose")
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
        # stored, so that another process with other variables finds the same containers
        self._project = os.environ.get("COMPOSE_PROJECT_NAME")
        self._before: dict[str, Before | None] | None = None
        self._started = False
        self.changed: Callable[[], None] = lambda: None
        """Called when the result of :meth:`to_json` has changed, so that a kill at any time is recoverable."""
        self.notes: list[str] = []
        """Always empty: containers are recreated from the same files."""
        self._places: dict[str, Place] = {}
        self._ids: tuple[str, ...] = ()
        self._command: tuple[str, ...] = ()

    @property
    def programs(self) -> tuple[str, ...]:
        """The services that are started and stopped together."""
        return self._services

    @property
    def services(self) -> tuple[str, ...]:
        """All programs: the variable PROFILER applies to the whole compose project."""
        return self._services

    @property
    def running(self) -> bool:
        """Whether the containers were started and not stopped."""
        return self._started

    @property
    def owes(self) -> bool:
        """Whether containers that ran before are not yet restored."""
        return self._before is not None

    def addresses(self) -> Addresses:
        """Where our compose file or that of indexer-rs publishes the services on this machine."""
        return PUBLISHED

    async def host_pids(self) -> dict[str, int]:
        """Empty: process numbers are known only inside the containers."""
        return {}

    def place(self, service: str) -> Place:
        """Where the tool writes: /opt/profiling/SERVICE in the container, and the host folder mounted there.

        Read from the container's mounts when it is created. Raises ToolError before :meth:`start`.
        """
        self._known(service)
        if service not in self._places:
            raise ToolError("its output folder is known only after it is started", where=service)
        return self._places[service]

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Recreate the containers with PROFILER, and wait until their health checks pass.

        What ran before the first start is remembered for :meth:`restore`; it is stopped, with time for its tool to
        write. Outputs of earlier runs are moved to ``earlier/`` in their folder. ``flags`` and ``extra`` go in
        PROFILER_BASE_FLAGS and PROFILER_FLAGS. Raises SettingsError if the compose file does not use these variables,
        ToolError if a container dies (with its last line), TargetError if one does not answer in time. Then what ran
        before is restored, and the containers' output is in ``service.log`` in their folder.
        """
        if self._started:
            raise ToolError("it is already started", where="compose", hint="Stop it first")
        variables = variables_of(mode, flags, extra)
        await self._check(variables)
        earlier = await self._containers()
        if self._before is None:
            self._before = {service: before_of(earlier.get(service)) for service in self._services}
            self.changed()
        try:
            await self._end(earlier.values(), STOP_TIMEOUT_S)
            # create, then run: variables are checked and outputs moved before a tool can truncate them
            await self._compose("up", "--no-start", "--force-recreate", *self._services, variables=variables)
            made = await self._made()
            for service, container in made.items():
                check_variables(container, variables)
                self._places[service] = place_of(container)
                set_aside(self._places[service].host, mode)
            self._started = True
            self.changed()
            await self._compose("up", "-d", "--no-recreate", *self._services, variables=variables)
            await self._answering()
        except BaseException as error:
            self._started = False
            left = await asyncio.shield(self._undo())
            if left and isinstance(error, WorkbenchError):
                what = f"{error.what}. What ran before was not restored: {left}"
                raise type(error)(what, where=error.where, hint=error.hint) from error
            raise
        self.changed()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, profiled_only: bool = False) -> tuple[Ended, ...]:
        """Send SIGTERM to the programs, SIGKILL only after ``timeout_s``. Raises ToolError without containers."""
        del profiled_only  # all of them are profiled
        containers = await self._containers()
        self._started = False
        if not containers:
            raise ToolError("there is no container to stop", where=self._files[0])
        ended = await self._end(containers.values(), timeout_s)
        for service, place in self._places.items():
            if service in containers and await asyncio.to_thread(is_closed, place.host):
                await open_up(containers[service], place.inside)
        return ended

    async def restore(self) -> bool:
        """Recreate the containers that ran before :meth:`start`, from their own compose file and with their variables
        PROFILER*, and wait until their health checks pass. Containers of services that did not run are removed. Returns
        whether anything ran before."""
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

    def inherit(self, other: Backend) -> None:
        """Take over what ran before another session with the same compose files."""
        if isinstance(other, ComposeBackend) and other._files == self._files:
            self._before = other._before

    async def condition(self, service: str) -> str:
        """ "" for a container that runs and passes its health check now; otherwise what is wrong."""
        self._known(service)
        container = (await self._containers()).get(service)
        if container is None:
            return "it has no container"
        return await condition_of(container)

    async def pid(self, service: str) -> int:
        """The profiled program's process id inside its container."""
        return await profiled_pid(await self._container(service))

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
        """The backend that :meth:`to_json` described. Raises SettingsError if its compose file is missing."""
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
        """Check that docker, the compose file and its services exist, and that it uses the variables."""
        await check_engine()
        offered = (await self._compose("config", "--services", timeout_s=QUICK_S)).split()
        missing = [service for service in self._services if service not in offered]
        if missing:
            raise SettingsError(
                f"there is no service {missing[0]}", where=self._files[-1], hint=f"There are {', '.join(offered)}"
            )
        # searched, never shown: a compose file may contain passwords
        text = await self._compose("config", timeout_s=QUICK_S, variables=variables)
        for name in variables:
            if name not in text:
                raise SettingsError(
                    f"its services do not use the variable {name}",
                    where=self._files[-1],
                    hint="Use the flags of its own entry script"
                    if name != "PROFILER"
                    else "Give a file whose entry script uses it, such as contrib/docker-compose.dev.yml of indexer-rs",
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
            raise ToolError(f"{' '.join(self._command)} {arguments[0]} failed: {reason_of(answer)}", where=files[-1])
        return answer.stdout

    async def _containers(self) -> dict[str, Container]:
        """The containers by service, including ended ones."""
        found: tuple[Container, ...] = ()
        if self._ids:
            # asking compose takes a second or two; someone else may have recreated the containers since
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
                        problem = await condition_of(other)
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
        return f"Its log is in {self._places[service].host / LOG}" if service in self._places else None

    async def _undo(self) -> str:
        """After a failed start: save the containers' output and restore what ran before; returns the reason if that
        failed."""
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
        return tuple(await asyncio.gather(*(end_container(container, timeout_s) for container in containers)))

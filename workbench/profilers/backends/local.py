"""Services as local processes: one or several commands that belong together (service and agent), some under a tool.

With a ``lifeline`` they end with this process; without, they continue, and another process can stop them with the
result of :meth:`LocalBackend.to_json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import keyring
from workbench.errors import SettingsError, TargetError, ToolError, WorkbenchError
from workbench.keyring import for_foreign
from workbench.masking import HIDDEN
from workbench.profilers.backends.guardian import MARK, Guardian
from workbench.profilers.backends.listening import Previous, listener_on, port_of, stop_previous
from workbench.profilers.backends.processes import POLL_S
from workbench.profilers.backends.program import PLAIN_STOP_S, Program
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, STOP_TIMEOUT_S, Backend, Ended, Place
from workbench.profilers.backends.service import LocalService, as_addresses, merged
from workbench.profilers.modes import Mode
from workbench.profilers.to_the_end import to_the_end
from workbench.service.addresses import Addresses

__all__ = ["LocalBackend", "LocalService", "python_argv"]


class LocalBackend:
    """Local programs, some of them under a profiler. See :class:`workbench.profilers.backends.protocol.Backend`."""

    def __init__(
        self,
        services: LocalService | Sequence[LocalService],
        out: Path,
        *,
        profiled: Sequence[str] | None = None,
        lifeline: bool = True,
        replaces: bool = True,
        ready_timeout_s: float = READY_TIMEOUT_S,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """``services`` are started and stopped in this order; ``profiled`` names those that are put under the tool
        (None: all). ``replaces``: processes that listen on their ports are stopped first and restarted by
        :meth:`restore`; otherwise a taken port is an error. Raises SettingsError for names that do not fit."""
        given = (services,) if isinstance(services, LocalService) else tuple(services)
        names = [service.name for service in given]
        chosen = tuple(names) if profiled is None else tuple(profiled)
        if len(set(names)) < len(names) or not chosen or not set(chosen) <= set(names):
            raise SettingsError(
                f"the services are {', '.join(names)}; those to profile: {', '.join(chosen) or 'none'}",
                where="services",
                hint="Give each its own name, and profile at least one of them",
            )
        keyring.take()  # no child, not even the guardian, inherits them
        self.out = out
        self.changed = changed
        self._programs = {service.name: Program(service, out, self._say_changed, ready_timeout_s) for service in given}
        self._profiled = chosen
        self._replaces = replaces
        # a program that reads its first line from standard input notices the end of that by itself
        guarded = lifeline and any(not service.first_line for service in given)
        self._guardian = Guardian() if guarded else None
        self._mark = {MARK: uuid.uuid4().hex} if guarded else {}
        self._previous: dict[str, Previous] = {}
        self._notes: list[str] = []

    @property
    def programs(self) -> tuple[str, ...]:
        """All programs, in the order of starting."""
        return tuple(self._programs)

    @property
    def services(self) -> tuple[str, ...]:
        """The programs that are put under the tool."""
        return self._profiled

    @property
    def running(self) -> bool:
        """Whether a program was started and not stopped; it may have ended by itself."""
        return any(program.started is not None for program in self._programs.values())

    @property
    def owes(self) -> bool:
        """Whether something that ran before is not yet restored."""
        return bool(self._previous)

    @property
    def notes(self) -> list[str]:
        """Warnings, in sentences."""
        return [*self._notes, *(note for program in self._programs.values() for note in program.notes)]

    def place(self, service: str) -> Place:
        """The folder of the running mode; before a start that of the mode none."""
        return self._programs[service].place()

    def addresses(self) -> Addresses:
        """Addresses: as given, else as printed by the programs, else from their configuration. Raises SettingsError if
        the service's is unknown."""
        known = merged([(program.service, program.listen()) for program in self._programs.values()])
        return as_addresses(known, ", ".join(self._programs))

    async def host_pids(self) -> dict[str, int]:
        """The processes by role, or by name for a program without a role."""
        found: dict[str, int] = {}
        for name, program in self._programs.items():
            pid = program.pid()
            if pid is not None:
                found.update(dict.fromkeys(program.service.roles or (name,), pid))
        return found

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Start what does not run, the services under the tool of ``mode``, and wait until they answer; processes on
        their ports are stopped first.

        Raises SettingsError for a command that cannot be run here; ToolError if the tool is not installed or a program
        dies before it answers; TargetError if one does not answer in time or a port is taken. Then everything started
        here is stopped, and what ran before is restored.
        """
        missing = [
            program for name, program in self._programs.items() if name in self._profiled or not program.family()
        ]
        plans = []
        for program in missing:
            under = program.service.name in self._profiled
            argv = program.check(mode, flags, extra) if under else program.check("none", None, ())
            plans.append((program, mode if under else "none", argv))
        begun: list[Program] = []
        try:
            for program in missing:
                await self._make_room(program)
            for program in missing:
                for url in program.service.listens:
                    await _require_free(port_of(url, program.service.name), program.service.name)
            for program, own, argv in plans:
                self._guard()
                begun.append(program)
                program.launch(own, argv, self._mark)
                await program.ready(own)
        except BaseException as error:
            await to_the_end(self._undo(begun, error))
            raise

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, profiled_only: bool = False) -> tuple[Ended, ...]:
        """Stop the programs, one after another, so that their tools write all files. If one fails, the others are still
        stopped, and then its error is raised."""
        chosen = [
            program
            for name, program in self._programs.items()
            if program.started is not None and (name in self._profiled or not profiled_only)
        ]
        if not chosen:
            raise ToolError("is not running under a profiler", where=", ".join(self._programs), hint="Start it first")
        ended, failure = [], None
        for program in chosen:
            try:
                ended.append(await program.stop(timeout_s))
            except WorkbenchError as error:
                failure = failure or error
        self._release()
        if failure is not None:
            raise failure
        return tuple(ended)

    async def restore(self) -> bool:
        """Restart what listened on the programs' ports before, independent of this process, and wait until it answers.

        It gets its old environment if this process stopped it; otherwise that of this process, and ``notes`` name the
        missing variables. Raises TargetError if it does not answer; this can be repeated.
        """
        failure: WorkbenchError | None = None
        owed = dict(self._previous)
        for name, previous in owed.items():
            try:
                await self._bring_back(self._programs[name], previous)
                del self._previous[name]
                self._say_changed()
            except WorkbenchError as error:
                failure = failure or error
        self._release()
        if failure is not None:
            raise failure
        return bool(owed)

    def inherit(self, other: Backend) -> None:
        """Take over what ran before another session whose programs had the same ports or names."""
        if not isinstance(other, LocalBackend):
            return
        names = list(self._programs)
        for number, (name, previous) in enumerate(other._previous.items()):
            self._previous[name if name in self._programs else names[min(number, len(names) - 1)]] = previous

    async def condition(self, service: str) -> str:
        """Whether the process runs and answers."""
        return await self._programs[service].condition()

    async def pid(self, service: str) -> int:
        """The program itself: under strace the child, otherwise the started process."""
        program = self._programs[service]
        found = program.pid()
        if found is None:
            raise ToolError(await program.condition(), where=service, hint=program.hint())
        return found

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command on this machine."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=for_foreign(os.environ)[0],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # its own session: Ctrl-C reaches only the workbench, and all of it can be killed at once
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ToolError(f"{command[0]} is not installed", where=service, hint="It comes with valgrind") from None
        try:
            async with asyncio.timeout(timeout_s):
                output, errors = await process.communicate()
        except TimeoutError:
            await to_the_end(_kill(process))
            raise ToolError(f"{command[0]} did not answer within {timeout_s:g} s", where=service) from None
        except BaseException:
            await to_the_end(_kill(process))
            raise
        if process.returncode:
            words = (errors or output).decode(errors="replace").strip().splitlines()
            raise ToolError(f"{command[0]} failed: {words[-1] if words else process.returncode}", where=service)
        return output.decode(errors="replace")

    def output(self, service: str) -> str:
        """A program's log so far."""
        return self._programs[service].output()

    def to_json(self) -> dict[str, Any]:
        """All that another process needs to stop, check, restart and restore them. Without the environment variables
        given to a service, which may be secrets."""
        return {
            "kind": "local",
            "programs": [program.to_json() for program in self._programs.values()],
            "profiled": list(self._profiled),
            "replaces": self._replaces,
            "out": str(self.out.resolve()),
            "notes": self.notes,
            "previous": {name: previous.to_json() for name, previous in self._previous.items()},
        }

    @classmethod
    def from_json(
        cls, facts: Mapping[str, Any], environments: Mapping[str, Mapping[str, str] | None] | None = None
    ) -> LocalBackend:
        """The backend that :meth:`to_json` described, in any process, without a lifeline. ``environments``: those of
        what ran before, which are in no file."""
        out = Path(facts["out"])
        services = [LocalService.from_json(program) for program in facts["programs"]]
        backend = cls(services, out, profiled=facts["profiled"], lifeline=False, replaces=facts["replaces"])
        for program in facts["programs"]:
            backend._programs[program["service"]] = Program.from_json(program, out, backend._say_changed)
        backend._notes = list(facts["notes"])
        for name, previous in facts["previous"].items():
            backend._previous[name] = Previous.from_json(previous, (environments or {}).get(name))
        return backend

    # --- parts ------------------------------------------------------------------------------------------------

    async def _make_room(self, program: Program) -> None:
        """Stop what listens on a program's port, and remember it; without ``replaces`` a taken port is an error."""
        service, port = program.service, program.port
        if port is None:
            return
        if not self._replaces:
            await _require_free(port, service.name)
            return
        found = await asyncio.to_thread(listener_on, port, service.name)
        if found is None:
            return
        # overrides what an earlier session stopped: this is what runs now
        self._previous[service.name] = found
        self._say_changed()
        try:
            await to_the_end(stop_previous(found, service.name, PLAIN_STOP_S))
        except ToolError:
            del self._previous[service.name]  # it is still running
            raise

    async def _bring_back(self, program: Program, previous: Previous) -> None:
        name, port = program.service.name, program.port
        back = None if port is None else await asyncio.to_thread(listener_on, port, name)
        if back is not None and back.argv != previous.argv:
            raise TargetError(
                f"what ran before cannot be restored: {back.name}, has its port",
                where=name,
                hint="Stop that, then: workbench profile restore",
            )
        process = None if back is not None else self._start_previous(previous, name)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while wrong := await program.answers():
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise TargetError(
                    f"what ran before ({previous.name}) {'ended at once' if ended else 'does not answer'}: {wrong}",
                    where=name,
                    hint=f"Start it by hand in {previous.folder}",
                )
            await asyncio.sleep(POLL_S)

    def _start_previous(self, previous: Previous, name: str) -> subprocess.Popen[bytes]:
        if any(HIDDEN in word for word in previous.argv):
            raise TargetError(
                f"what ran before ({previous.name}) had a key among its arguments, which was not stored",
                where=name,
                hint=f"Start it by hand in {previous.folder}",
            )
        environment = dict(previous.environment or for_foreign(os.environ)[0])
        if missing := previous.missing(environment):
            self._notes.append(
                f"What ran before was started without {', '.join(missing)}, which were in its environment"
            )
        try:
            return subprocess.Popen(  # noqa: S603  it ran here before
                previous.argv,
                cwd=previous.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(
                f"what ran before ({previous.name}) cannot be started: {error.strerror}",
                where=name,
                hint=f"Start it by hand in {previous.folder}",
            ) from None

    async def _undo(self, begun: Sequence[Program], error: BaseException) -> None:
        """Leave nothing of a start that failed, and bring back what ran before."""
        for program in begun:
            await program.undo()
        self._release()
        if self.running:
            return  # programs that were not stopped still run, and have the ports
        try:
            await self.restore()
        except WorkbenchError as second:
            if isinstance(error, WorkbenchError):
                raise type(error)(f"{error}; {second}") from None
            raise

    def _guard(self) -> None:
        """Start the guardian before anything else: after a kill in between nobody would stop it."""
        if self._guardian is not None:
            self._guardian.tell(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "backend": self.to_json(),
            "environments": {name: _copied(previous.environment) for name, previous in self._previous.items()},
            "mark": self._mark.get(MARK),
        }

    def _say_changed(self) -> None:
        if self._guardian is not None and (self.running or self.owes):
            self._guardian.tell(self._state())
        self.changed()

    def _release(self) -> None:
        if self._guardian is not None and not (self.running or self.owes):
            self._guardian.release()


def python_argv(*arguments: str) -> tuple[str, ...]:
    """A command for the Python interpreter that runs this."""
    return (sys.executable, *arguments)


async def _require_free(port: int | None, service: str) -> None:
    """Raise TargetError if a process listens on a port."""
    found = None if port is None else await asyncio.to_thread(listener_on, port, service)
    if found is not None:
        raise TargetError(
            f"port {port} is taken by {found.name}", where=service, hint="Stop it, or give the service another port"
        )


def _copied(environment: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if environment is None else dict(environment)


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Send SIGKILL to a command and all its children, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

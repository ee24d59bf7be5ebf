"""Services as local processes: the stand-in, or any command, under a tool.

A service's standard output and error go to ``service.log`` beside the tool's files. With a ``lifeline`` it ends when
this process does; without, it is on its own and another process can stop it by what :meth:`LocalBackend.to_json` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psutil

from workbench.errors import TargetError, ToolError, WorkbenchError
from workbench.profilers.backends.guardian import Guardian
from workbench.profilers.backends.listening import Previous, listener_on, port_of, stop_previous
from workbench.profilers.backends.processes import (
    POLL_S,
    birth,
    ending_signal,
    members,
    profiled,
    runs,
    send,
    until,
)
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, STOP_TIMEOUT_S, Ended, Place
from workbench.profilers.backends.tail import complaint, last_line
from workbench.profilers.installed import require_tool
from workbench.profilers.modes import TOOLS, Mode, command
from workbench.profilers.to_the_end import to_the_end
from workbench.service.fetch import get_text

LOG = "service.log"
PLAIN_STOP_S = 30.0


@dataclass(frozen=True)
class LocalService:
    """A command to profile.

    ``health_url`` answers 200 when it is ready; ``ready`` instead takes what the command has printed so far and returns
    True once it says so. ``first_line`` is written to its standard input. ``environment`` comes on top of this
    process's own; ``arguments`` and ``variables`` are added in a mode (the sampler's folder, an allocator).
    """

    name: str
    argv: tuple[str, ...]
    health_url: str | None = None
    ready: Callable[[str], bool] | None = field(default=None, compare=False)
    first_line: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[Mode, Mapping[str, str]] = field(default_factory=dict)
    arguments: Mapping[Mode, tuple[str, ...]] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.argv:
            raise ToolError("no command was given", where=self.name, hint="Give the service's command line")
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise ToolError(
                f"{self.name[:80]!r} cannot be the name of a service",
                where="service",
                hint="Its profiles go into a folder of that name: give one without slashes",
            )


@dataclass(frozen=True, slots=True)
class _Running:
    """A started service: the tool's process, whose number is also that of the session all of it is in, and its birth,
    so that another with the same number is not taken for it."""

    pid: int
    born: float
    mode: Mode
    folder: Path


class LocalBackend:
    """One local service under a profiler. See :class:`workbench.profilers.backends.protocol.Backend`."""

    def __init__(
        self, service: LocalService, out: Path, *, lifeline: bool = True, changed: Callable[[], None] = lambda: None
    ) -> None:
        """``changed`` is called when what :meth:`to_json` says has changed, so that a kill at any time is
        recoverable. ``notes`` say what is not as it was, in sentences."""
        self.service = service
        self.out = out
        self.changed = changed
        self.notes: list[str] = []
        self._lifeline = lifeline
        # what reads its first line from standard input sees that end by itself
        self._guardian = Guardian() if lifeline and not service.first_line else None
        self._running: _Running | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._previous: Previous | None = None
        self._logs: set[Path] = set()

    @property
    def services(self) -> tuple[str, ...]:
        """The one service."""
        return (self.service.name,)

    @property
    def running(self) -> bool:
        """Whether a service was started and not stopped; it may have ended by itself."""
        return self._running is not None

    @property
    def owes(self) -> bool:
        """Whether something ran before that is not back."""
        return self._previous is not None

    def place(self, service: str) -> Place:
        """The folder of the mode that runs; before a start that of none."""
        mode = self._running.mode if self._running is not None else "none"
        return self._place(mode)

    def _place(self, mode: Mode) -> Place:
        folder = (self.out / self.service.name / mode).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return Place(PurePosixPath(folder), folder)

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Put the service under the tool of ``mode`` and wait until it answers; what ran on its port is stopped first.

        Raises ToolError where the tool is not installed, or the service dies before it answers; TargetError where it
        does not answer in time. Nothing is left running then, and what ran before is back.
        """
        if self._family():
            raise ToolError(
                f"runs under {'' if self._running is None else self._running.mode} already",
                where=self.service.name,
                hint="Stop it first",
            )
        if mode != "pprofile":  # which is a module of the service's Python, maybe not of this one
            require_tool(mode)
        port_of(self.service.health_url, self.service.name)
        folder = self._place(mode).host
        argv = self._command(mode, folder, flags, extra)
        output = TOOLS[mode].output
        _set_aside(folder / output if output else None)
        try:
            await self._make_room()
            self._launch(mode, argv, folder)
            await self._ready(mode, folder)
        except BaseException as error:
            await to_the_end(self._undo(error))
            raise

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> tuple[Ended, ...]:
        """End the service so that the tool writes all it has."""
        running = self._running
        if running is None:
            raise ToolError("is not running under a profiler", where=self.service.name, hint="Start it first")
        started, killed = time.monotonic(), False
        process = self._live()
        if process is not None:
            program = profiled(process, running.mode)
            send([program], ending_signal(program, running.mode))
            if not await until(lambda: not runs(process), timeout_s):
                killed = True
                send(self._family(), signal.SIGKILL)
        # what a killed tool or the service itself left behind
        send(self._family(), signal.SIGTERM)
        if not await until(lambda: not self._family(), PLAIN_STOP_S):
            send(self._family(), signal.SIGKILL)
            await until(lambda: not self._family(), PLAIN_STOP_S)
        code = self._reap()
        _clear_pipes(running.pid)
        self._running = None
        self._say_changed()
        self._release()
        return (Ended(self.service.name, code, time.monotonic() - started, killed),)

    async def restore(self) -> bool:
        """Start again what listened on the service's port before, on its own, and wait until it answers.

        Its environment is the one it had, where this process has stopped it itself; else this process's, and ``notes``
        name the variables that are missing. Raises TargetError where it does not answer: it can be tried again.
        """
        previous = self._previous
        if previous is None:
            self._release()
            return False
        port = port_of(self.service.health_url, self.service.name)
        back = None if port is None else await asyncio.to_thread(listener_on, port, self.service.name)
        if back is not None and back.argv != previous.argv:
            raise TargetError(
                f"what ran before cannot be brought back: {back.name}, has its port",
                where=self.service.name,
                hint="Stop that, then: workbench profile restore",
            )
        process = None if back is not None else self._start_previous(previous)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while wrong := await self._answers():
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise TargetError(
                    f"what ran before ({previous.name}) {'ended at once' if ended else 'does not answer'}: {wrong}",
                    where=self.service.name,
                    hint=f"Start it by hand in {previous.folder}",
                )
            await asyncio.sleep(POLL_S)
        self._previous = None
        self._say_changed()
        self._release()
        return True

    async def condition(self, service: str) -> str:
        """Whether the process is there and answers."""
        if self._running is None:
            return "is not running"
        process = self._live()
        if process is not None:
            return await self._answers()
        left = self._family()
        if left and (tool := TOOLS[self._running.mode].program):
            return f"{tool} has ended, and process {left[0].pid} goes on without it"
        return f"has ended: {last_line(self._running.folder / LOG)}"

    async def pid(self, service: str) -> int:
        """The program itself: under strace its child, else the process that was started."""
        process = self._live()
        if process is None or self._running is None:
            raise ToolError(await self.condition(service), where=service, hint=self._hint())
        return int(profiled(process, self._running.mode).pid)

    async def host_pids(self) -> dict[str, int]:
        """The one program's."""
        return {self.service.name: await self.pid(self.service.name)}

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command on this machine."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the workbench, and all of it can be killed at once
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

    def output(self) -> str:
        """What the service has printed to its log so far."""
        if self._running is None:
            return ""
        return (self._running.folder / LOG).read_text("utf-8", errors="replace")

    def to_json(self) -> dict[str, Any]:
        """All that another process needs to stop, look at, start again and restore it. The variables of the environment
        that the service was given beside the mode's are left out: they may be secrets."""
        running = self._running
        return {
            "kind": "local",
            "service": self.service.name,
            "argv": list(self.service.argv),
            "health_url": self.service.health_url,
            "variables": {mode: dict(values) for mode, values in self.service.variables.items()},
            "arguments": {mode: list(values) for mode, values in self.service.arguments.items()},
            "folder": None if self.service.folder is None else str(self.service.folder),
            "out": str(self.out.resolve()),
            "running": None
            if running is None
            else {"pid": running.pid, "born": running.born, "mode": running.mode, "folder": str(running.folder)},
            "previous": None if self._previous is None else self._previous.to_json(),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], previous_environment: Mapping[str, str] | None = None) -> LocalBackend:
        """The backend that :meth:`to_json` described, in whatever process. It has no lifeline."""
        service = LocalService(
            facts["service"],
            tuple(facts["argv"]),
            facts["health_url"],
            variables=facts["variables"],
            arguments={mode: tuple(values) for mode, values in facts["arguments"].items()},
            folder=None if facts["folder"] is None else Path(facts["folder"]),
        )
        backend = cls(service, Path(facts["out"]), lifeline=False)
        if (running := facts["running"]) is not None:
            backend._running = _Running(running["pid"], running["born"], running["mode"], Path(running["folder"]))
        if (previous := facts["previous"]) is not None:
            backend._previous = Previous.from_json(previous, previous_environment)
        return backend

    def inherit(self, other: LocalBackend) -> None:
        """Restore, at the end, what ran before the session of ``other``, which was stopped and not restored."""
        self._previous = other._previous

    def pinned(self, service: LocalService) -> None:
        """From the next start on it is this command: the same service, say on the ports it got at its first start."""
        self.service = service

    # --- parts ------------------------------------------------------------------------------------------------

    def _command(self, mode: Mode, folder: Path, flags: Sequence[str] | None, extra: Sequence[str]) -> list[str]:
        program = [*self.service.argv, *(part.format(folder=folder) for part in self.service.arguments.get(mode, ()))]
        given = [*(TOOLS[mode].flags if flags is None else flags), *extra]
        return command(mode, program, folder, given)

    async def _make_room(self) -> None:
        """Stop what listens where the service is to answer, and remember it."""
        port = port_of(self.service.health_url, self.service.name)
        if port is None:
            return
        found = await asyncio.to_thread(listener_on, port, self.service.name)
        if found is None:
            return
        # whatever a session before has stopped, this is what runs now
        self._previous = found
        self._say_changed()
        try:
            await to_the_end(stop_previous(found, self.service.name, PLAIN_STOP_S))
        except ToolError:
            self._previous = None  # it runs on
            raise

    def _launch(self, mode: Mode, argv: Sequence[str], folder: Path) -> None:
        variables = {**os.environ, **self.service.environment, **self.service.variables.get(mode, {})}
        line = self.service.first_line
        log = folder / LOG
        if log not in self._logs:
            _set_aside(log)
            self._logs.add(log)
        with _opened(log) as output:
            try:
                # not asyncio's: when its loop ends it kills what has to go on
                process = subprocess.Popen(  # noqa: S603  the user's own command is what this is for
                    argv,
                    cwd=self.service.folder,
                    env=variables,
                    stdin=subprocess.PIPE if line else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C does not reach it: whoever started it stops it
                )
            except OSError as error:
                raise ToolError(f"cannot be started: {error.strerror}: {argv[0]}", where=self.service.name) from None
        self._process = process
        self._running = _Running(process.pid, birth(process.pid), mode, folder)
        self._say_changed()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()

    async def _ready(self, mode: Mode, folder: Path) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            if self._live() is None:
                code = self._reap()
                raise ToolError(
                    f"ended before it answered{'' if code is None else f', with code {code}'}: "
                    f"{self._last_words(mode, folder / LOG)}",
                    where=self.service.name,
                    hint=self._hint(),
                )
            wrong = self._tool_wrong(mode, folder) or await self._answers()
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise TargetError(
                    f"did not answer within {READY_TIMEOUT_S:.0f} s: {wrong}",
                    where=self.service.name,
                    hint=self._hint(),
                )
            await asyncio.sleep(POLL_S)

    def _last_words(self, mode: Mode, log: Path) -> str:
        """Why a start failed: what Valgrind says of it, before its usage, or the service's last line."""
        return complaint(log, "valgrind") if TOOLS[mode].program == "valgrind" else last_line(log)

    def _tool_wrong(self, mode: Mode, folder: Path) -> str:
        """ "" when the tool has the program and takes orders, which a service without a health check does not show."""
        if self._running is None or (self.service.health_url is not None or self.service.ready is not None):
            return ""
        if mode in ("callgrind", "massif"):
            return "" if len(_pipes(self._running.pid)) >= 3 else "vgdb cannot reach it (--vgdb=yes is needed)"
        if mode == "strace":
            log = folder / TOOLS[mode].output
            return "" if log.exists() and log.stat().st_size else "strace has written nothing"
        return ""

    async def _answers(self) -> str:
        """ "" when the service answers, else what it says instead."""
        if self.service.ready is not None:
            return "" if self.service.ready(self.output()) else "it has not said that it is ready"
        if self.service.health_url is None:
            return ""
        try:
            status, _ = await get_text(self.service.health_url, self.service.name)
        except TargetError as error:
            return str(error)
        # 429: it is there, and limits how often it may be asked
        return "" if status in (200, 429) else f"{self.service.health_url} answers HTTP {status}"

    def _live(self) -> psutil.Process | None:
        """The process that was started, if it still is that one and runs."""
        running = self._running
        if running is None:
            return None
        try:
            process = psutil.Process(running.pid)
            return process if birth(running.pid) == running.born and runs(process) else None
        except psutil.NoSuchProcess:
            return None

    def _family(self) -> list[psutil.Process]:
        """All that runs of what was started."""
        running = self._running
        if running is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            if birth(running.pid) != running.born:
                return []  # all of it has ended, and the number went to another
        return members(running.pid)

    async def _undo(self, error: BaseException) -> None:
        """Leave nothing of a start that failed, and bring back what ran before."""
        send(self._family(), signal.SIGKILL)
        await until(lambda: not self._family(), PLAIN_STOP_S)
        self._reap()
        if self._running is not None:
            _clear_pipes(self._running.pid)
        self._running = None
        self._say_changed()
        self._release()
        try:
            await self.restore()
        except WorkbenchError as second:
            if isinstance(error, WorkbenchError):
                raise type(error)(f"{error}; {second}") from None
            raise

    def _reap(self) -> int | None:
        """The exit code, where the process was started here."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        return process.wait()

    def _start_previous(self, previous: Previous) -> subprocess.Popen[bytes]:
        environment = dict(os.environ if previous.environment is None else previous.environment)
        if missing := previous.missing(environment):
            self.notes.append(
                f"What ran before was started without {', '.join(missing)}, which it had in its environment then"
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
                where=self.service.name,
                hint=f"Start it by hand in {previous.folder}",
            ) from None

    def _say_changed(self) -> None:
        if self._guardian is not None and (self.running or self.owes):
            environment = None if self._previous is None else self._previous.environment
            self._guardian.tell(
                {
                    "backend": self.to_json(),
                    "previous_environment": None if environment is None else dict(environment),
                }
            )
        self.changed()

    def _release(self) -> None:
        if self._guardian is not None and not (self.running or self.owes):
            self._guardian.release()

    def _hint(self) -> str:
        folder = self._place("none").host if self._running is None else self._running.folder
        return f"All it said is in {folder / LOG}"


def python_argv(*arguments: str) -> tuple[str, ...]:
    """A command of the interpreter that runs this."""
    return (sys.executable, *arguments)


def _pipes(pid: int) -> list[Path]:
    """The files by which vgdb talks to a process under Valgrind."""
    return list(Path(tempfile.gettempdir()).glob(f"vgdb-pipe-*-{pid}-by-*"))


def _clear_pipes(pid: int) -> None:
    """Remove what a killed Valgrind has left; one that ends by itself removes them."""
    for path in _pipes(pid):
        with contextlib.suppress(OSError):
            path.unlink()


async def _kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to a command and all it started, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise ToolError(f"cannot be written: {error.strerror}", where=str(path), hint="Give another folder") from None


def _set_aside(output: Path | None) -> None:
    """Move what an earlier run wrote under the tool's fixed name out of its way, with its time in the name."""
    if output is None or not output.exists():
        return
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(output.stat().st_mtime))
    target = output.with_name(f"{output.stem}-{stamp}{output.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = output.with_name(f"{output.stem}-{stamp}-{number}{output.suffix}")
    output.rename(target)

"""Services as local processes: the stand-in, or any command, under a tool.

A service's standard output and error go to ``service.log`` beside the tool's files. With a ``lifeline`` it is a child
that ends when this process does; without, it is on its own and another process can stop it by what :meth:`to_json`
says.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psutil

from workbench.errors import TargetError, ToolError
from workbench.profilers.backends.listening import Previous, listener_on, port_of, stop_previous
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, STOP_TIMEOUT_S, Ended, Place
from workbench.profilers.backends.tail import last_line
from workbench.profilers.modes import TOOLS, Mode, command
from workbench.target.fetch import get_text

LOG = "service.log"
POLL_S = 0.05
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


@dataclass(frozen=True, slots=True)
class _Running:
    """A started service: the tool's process and its birth, so that another with the same number is not taken for it."""

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
        recoverable."""
        self.service = service
        self.out = out
        self.changed = changed
        self._lifeline = lifeline
        self._running: _Running | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._previous: Previous | None = None

    @property
    def services(self) -> tuple[str, ...]:
        """The one service."""
        return (self.service.name,)

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
        if self._running is not None and self._alive():
            raise ToolError(
                f"runs under {self._running.mode} already (process {self._running.pid})",
                where=self.service.name,
                hint="Stop it first",
            )
        tool = TOOLS[mode]
        if tool.program and mode != "pprofile" and shutil.which(tool.program) is None:
            raise ToolError(f"{tool.program} is not installed", where=f"profiler {mode}", hint=tool.install)
        folder = self._place(mode).host
        argv = self._command(mode, folder, flags, extra)
        _set_aside(folder / tool.output if tool.output else None)
        await self._make_room()
        try:
            await self._launch(mode, argv, folder)
            await self._ready(folder)
        except BaseException:
            await asyncio.shield(self._end_at_once())
            await asyncio.shield(self.restore())
            raise

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> tuple[Ended, ...]:
        """End the service so that the tool writes all it has."""
        if self._running is None:
            raise ToolError("is not running under a profiler", where=self.service.name, hint="Start it first")
        started = time.monotonic()
        running, killed = self._running, False
        process = self._live()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                _program(process, running.mode).send_signal(signal.SIGTERM)
            if not await _gone(process, timeout_s):
                killed = True
                _kill_all(process)
                await _gone(process, PLAIN_STOP_S)
        code = await self._reap()
        self._running = None
        self.changed()
        return (Ended(self.service.name, code, time.monotonic() - started, killed),)

    async def restore(self) -> bool:
        """Start again what listened on the service's port before, on its own, and wait until it answers."""
        previous, self._previous = self._previous, None
        if previous is None:
            return False
        process = await asyncio.create_subprocess_exec(
            *previous.argv,
            cwd=previous.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while await self._answers() != "":
            if process.returncode is not None or time.monotonic() > deadline:
                raise TargetError(
                    f"what ran before ({' '.join(previous.argv)[:200]}) does not answer again",
                    where=self.service.name,
                    hint=f"Start it by hand in {previous.folder}",
                )
            await asyncio.sleep(POLL_S)
        self.changed()
        return True

    async def condition(self, service: str) -> str:
        """Whether the process is there and answers."""
        if self._running is None:
            return "is not running"
        if not self._alive():
            return f"has ended: {last_line(self._running.folder / LOG)}"
        return await self._answers()

    async def pid(self, service: str) -> int:
        """The program itself: under strace its child, else the process that was started."""
        process = self._live()
        if process is None or self._running is None:
            raise ToolError("has ended", where=service, hint="Its last words are in service.log")
        return int(_program(process, self._running.mode).pid)

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command on this machine."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise ToolError(f"{command[0]} is not installed", where=service, hint="It comes with valgrind") from None
        try:
            async with asyncio.timeout(timeout_s):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ToolError(f"{command[0]} did not answer within {timeout_s:g} s", where=service) from None
        except BaseException:
            if process.returncode is None:
                process.kill()
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
    def from_json(cls, facts: Mapping[str, Any]) -> LocalBackend:
        """The backend that :meth:`to_json` described, in whatever process."""
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
            backend._previous = Previous.from_json(previous)
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
        port = port_of(self.service.health_url)
        if port is None or self._previous is not None:
            return
        found = await asyncio.to_thread(listener_on, port, self.service.name)
        if found is None:
            return
        self._previous = found
        self.changed()
        await stop_previous(found, self.service.name, PLAIN_STOP_S)

    async def _launch(self, mode: Mode, argv: Sequence[str], folder: Path) -> None:
        variables = {**os.environ, **self.service.environment, **self.service.variables.get(mode, {})}
        line = self.service.first_line
        with _log(folder / LOG) as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    cwd=self.service.folder,
                    env=variables,
                    stdin=asyncio.subprocess.PIPE if self._lifeline or line else asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C does not reach it: whoever started it stops it
                )
            except OSError as error:
                raise ToolError(f"cannot be started: {error.strerror}: {argv[0]}", where=self.service.name) from None
        self._process = process
        born = 0.0
        with contextlib.suppress(psutil.Error):
            born = psutil.Process(process.pid).create_time()
        self._running = _Running(process.pid, born, mode, folder)
        self.changed()
        if line and process.stdin is not None:
            process.stdin.write(line.encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()

    async def _ready(self, folder: Path) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            if not self._alive():
                code = await self._reap()
                self._running = None
                raise ToolError(
                    f"ended before it answered{'' if code is None else f', with code {code}'}: "
                    f"{last_line(folder / LOG)}",
                    where=self.service.name,
                    hint=f"All it said is in {folder / LOG}",
                )
            wrong = await self._answers()
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise TargetError(
                    f"did not answer within {READY_TIMEOUT_S:.0f} s: {wrong}",
                    where=self.service.name,
                    hint=f"All it said is in {folder / LOG}",
                )
            await asyncio.sleep(POLL_S)

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
            same = not running.born or abs(process.create_time() - running.born) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _alive(self) -> bool:
        return self._live() is not None

    async def _end_at_once(self) -> None:
        """Leave nothing of a start that failed."""
        process = self._live()
        if process is not None:
            _kill_all(process)
            await _gone(process, PLAIN_STOP_S)
        await self._reap()
        self._running = None
        self.changed()

    async def _reap(self) -> int | None:
        """The exit code, where the process was started here."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            process.stdin.close()
        return await process.wait()


def python_argv(*arguments: str) -> tuple[str, ...]:
    """A command of the interpreter that runs this."""
    return (sys.executable, *arguments)


def _program(process: psutil.Process, mode: Mode) -> psutil.Process:
    """The profiled program: strace is its parent, Valgrind's tools and pprofile are the program."""
    if mode != "strace":
        return process
    with contextlib.suppress(psutil.NoSuchProcess):
        children: list[psutil.Process] = process.children()
        if children:
            return children[0]
    return process


async def _gone(process: psutil.Process, timeout_s: float) -> bool:
    """Wait until a process has ended, whoever's child it is."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)


def _kill_all(process: psutil.Process) -> None:
    """SIGKILL to a process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()


def _log(path: Path) -> IO[bytes]:
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

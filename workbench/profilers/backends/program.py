"""One local program, with or without a tool: start it, wait for it, stop it, find it again from another process.

Its standard output and error go to ``service.log`` beside the tool's files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psutil

from workbench.errors import TargetError, ToolError, of_system
from workbench.keyring import for_foreign
from workbench.profilers.backends.executable import require_program, sampler_folder
from workbench.profilers.backends.listening import port_of
from workbench.profilers.backends.masked import blocked
from workbench.profilers.backends.outputs import set_aside
from workbench.profilers.backends.processes import POLL_S, birth, members, runs, send, until
from workbench.profilers.backends.protocol import READY_TIMEOUT_S, Ended, Place
from workbench.profilers.backends.said import said_in
from workbench.profilers.backends.service import Known, LocalService, asked_for
from workbench.profilers.backends.tail import last_words
from workbench.profilers.modes import Mode
from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.tools.valgrind import SAMPLER_STOPPED
from workbench.service.fetch import get_text

LOG = "service.log"
PLAIN_STOP_S = 30.0
_ENDING_S = 2.0
SAY_TIMEOUT_S = 30.0
"""How long a program without a tool may take to print its address; some never do."""


@dataclass(frozen=True, slots=True)
class Started:
    """A started program: the tool's process number, which is also that of the session, and its start time, so that a
    later process with the same number is not taken for it."""

    pid: int
    born: float
    mode: Mode
    folder: Path


class Program:
    """One program of a :class:`workbench.profilers.backends.local.LocalBackend`."""

    def __init__(self, service: LocalService, out: Path, changed: Callable[[], None], ready_timeout_s: float) -> None:
        self.service = service
        self.out = out
        self.changed = changed
        self.started: Started | None = None
        self.said: Known = {}
        self._first: Known = {}  # the addresses of its first start
        self.notes: list[str] = []
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._logs: set[Path] = set()
        self._reports: Path | None = None

    @property
    def health_url(self) -> str | None:
        """The URL of its health check: as given, otherwise by its role at the known addresses."""
        if self.service.health_url is not None or self.said or self.service.ready is not None:
            return self.service.health_url
        known = {**self.service.configured, **self.service.given}
        for role in self.service.roles:
            url = known.get("service_url" if role == "service" else "agent_metrics_url")
            if url is not None:
                return f"{url}/" if role == "service" else url
        return None

    @property
    def port(self) -> int | None:
        """The port it will listen on; None if not known. Raises SettingsError."""
        return port_of(self.health_url, self.service.name)

    def place(self) -> Place:
        """Where its tool writes in the running mode; before a start the folder of the mode none."""
        if self._reports is not None:
            return Place(PurePosixPath(self._reports), self._reports)
        return self._place("none" if self.started is None else self.started.mode)

    def log(self) -> Path:
        """The log of its output."""
        return (self._place("none").host if self.started is None else self.started.folder) / LOG

    # --- start ------------------------------------------------------------------------------------------------

    def check(self, mode: Mode, flags: Sequence[str] | None, extra: Sequence[str]) -> list[str]:
        """The command line of a start, made before anything is stopped for it. Raises SettingsError or ToolError if it
        cannot be started."""
        if self.family():
            raise ToolError(
                f"is already running under {'' if self.started is None else self.started.mode}",
                where=self.service.name,
                hint="Stop it first",
            )
        _ = self.port  # an invalid URL is reported before anything is done
        tool = tool_of(mode)
        if tool.beside_the_service:  # another Python may have packages that this one lacks
            tool.require()
        self._program()
        folder = self._place(mode).host
        service = self.service
        words = [*service.argv, *(part.format(folder=folder) for part in service.arguments.get(mode, ()))]
        return tool.command(words, folder, [*(tool.flags if flags is None else flags), *extra])

    def launch(self, mode: Mode, argv: Sequence[str], mark: Mapping[str, str]) -> None:
        """Start the process; ``mark`` is in its environment. Raises ToolError."""
        tool, folder, service = tool_of(mode), self._place(mode).host, self.service
        tool.sweep()
        _set_aside(folder / tool.output if tool.output else None)
        self._find_sampler(mode)
        log = folder / LOG
        if log not in self._logs:
            _set_aside(log)
            self._logs.add(log)
        variables = {**self._inherited(), **tool.variables(folder), **service.environment, **mark}
        line = service.first_line
        with _opened(log) as output, blocked(*([signal.SIGPROF] if tool.blocks_sampler else [])):
            try:
                # not asyncio's, which kills its processes when the loop ends
                process = subprocess.Popen(  # noqa: S603  the user's own command is what this is for
                    argv,
                    cwd=service.folder,
                    env=variables,
                    stdin=subprocess.PIPE if line else subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # its own session: Ctrl-C does not reach it, we stop it
                )
            except OSError as error:
                raise ToolError(f"cannot be started: {error.strerror}: {argv[0]}", where=service.name) from None
        self._process = process
        self.started = Started(process.pid, birth(process.pid), mode, folder)
        self.said = {}
        self.changed()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()

    def _inherited(self) -> dict[str, str]:
        """The variables of this process that a foreign program may have."""
        kept, withheld = for_foreign(os.environ, asked_for(self.service.argv, self.service.folder))
        if withheld:
            said = (
                f"{self.service.name} was started without {', '.join(withheld)}, which looks like a private key; it "
                "gets keys only in variables that begin with INDEXER_ or TAP_, or that its configuration file names"
            )
            if said not in self.notes:
                self.notes.append(said)
        return kept

    async def ready(self, mode: Mode) -> None:
        """Wait until it answers. Raises ToolError if it ends before, TargetError if it does not answer in time or has
        other addresses than at its first start."""
        quick = self.service.announces and not tool_of(mode).program
        timeout_s = min(SAY_TIMEOUT_S, self._ready_timeout_s) if quick else self._ready_timeout_s
        deadline = time.monotonic() + timeout_s
        while True:
            if self.live() is None:
                code = self.reap()
                raise ToolError(
                    f"ended before it answered{'' if code is None else f', with code {code}'}: {self.last_words()}",
                    where=self.service.name,
                    hint=self.hint(),
                )
            wrong = self._tool_wrong() or await self.answers()
            if not wrong:
                break
            if time.monotonic() > deadline:
                hint = "Give its address with --target" if self.service.announces else self.hint()
                raise TargetError(
                    f"did not answer within {timeout_s:.0f} s: {wrong}", where=self.service.name, hint=hint
                )
            await asyncio.sleep(POLL_S)
        self._keep_addresses()

    def _keep_addresses(self) -> None:
        if any(self.said.get(name, value) != value for name, value in self._first.items()):
            raise TargetError(
                "answers at other addresses since its restart",
                where=self.service.name,
                hint="Give it fixed ports in its command",
            )
        if self.said and not self._first and self.service.again is not None:
            self.service = self.service.again(self.said)
        self._first = self._first or self.said
        self.changed()

    # --- while it runs ----------------------------------------------------------------------------------------

    async def answers(self) -> str:
        """ "" if it answers, otherwise what is wrong."""
        if self.service.ready is not None:
            return "" if self.service.ready(self.output()) else "it has not reported that it is ready"
        if self.service.health_url is None:
            self.listen()
        if self.said and self.service.announces:
            return ""
        if self.service.announces:
            return "it has not reported its address"
        url = self.health_url
        if url is None:
            return ""
        try:
            status, _ = await get_text(url, self.service.name)
        except TargetError as error:
            return str(error)
        # 429: it runs, and limits how often it may be asked
        return "" if status in (200, 429) else f"{url} answers HTTP {status}"

    def listen(self) -> Known:
        """The addresses it has printed since its start."""
        if self.started is not None and not self.said:
            self.said = said_in(self.log())
            if self.said:
                self.changed()
        return self.said

    async def condition(self) -> str:
        """Whether the process is there and answers."""
        if self.started is None:
            return "is not running"
        if self.live() is not None:
            wrong = await self.answers()
            # a program that is ending stops answering first; wait, since the reason for its end matters more
            if not wrong or not await until(lambda: self.live() is None, _ENDING_S):
                return wrong
        left, tool = self.family(), tool_of(self.started.mode)
        if left and tool.program:
            return f"{tool.program} has ended, and process {left[0].pid} goes on without it"
        return f"has ended: {self.last_words()}"

    def pid(self) -> int | None:
        """The program itself: under strace the child, otherwise the started process; None if it has ended."""
        process = self.live()
        if process is None or self.started is None:
            return None
        return int(tool_of(self.started.mode).profiled(process).pid)

    def output(self) -> str:
        """Its log so far."""
        return "" if self.started is None else self.log().read_text("utf-8", errors="replace")

    def last_words(self) -> str:
        """Why it ended."""
        mode: Mode = "none" if self.started is None else self.started.mode
        return last_words(self.log(), tool_of(mode), self.service.secrets)

    def hint(self) -> str:
        """The hint that names its log."""
        return f"Its log is in {self.log()}"

    def live(self) -> psutil.Process | None:
        """The started process, if it still runs."""
        if self.started is None:
            return None
        try:
            process = psutil.Process(self.started.pid)
            return process if birth(self.started.pid) == self.started.born and runs(process) else None
        except psutil.NoSuchProcess:
            return None

    def family(self) -> list[psutil.Process]:
        """All running processes of this program."""
        if self.started is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            if birth(self.started.pid) != self.started.born:
                return []  # all have ended, and the number belongs to another process now
        return members(self.started.pid)

    # --- its end ----------------------------------------------------------------------------------------------

    async def stop(self, timeout_s: float) -> Ended:
        """Stop it so that the tool writes all files. Raises ToolError if it was not started."""
        started = self.started
        if started is None:
            raise ToolError("is not running under a profiler", where=self.service.name, hint="Start it first")
        begun, killed = time.monotonic(), False
        process = self.live()
        if process is not None:
            tool = tool_of(started.mode)
            program = tool.profiled(process)
            send([program], tool.ending(program))
            if not await until(lambda: not runs(process), timeout_s):
                killed = True
                send(self.family(), signal.SIGKILL)
        # processes left by a killed tool or by the service itself
        send(self.family(), signal.SIGTERM)
        if not await until(lambda: not self.family(), PLAIN_STOP_S):
            await self.kill()
        code = self.reap()
        self._ended()
        return Ended(self.service.name, code, time.monotonic() - begun, killed)

    async def undo(self) -> None:
        """Remove everything of a failed start."""
        await self.kill()
        self.reap()
        self._ended()

    async def kill(self) -> None:
        """Send SIGKILL to all of it, and wait for the end."""
        send(self.family(), signal.SIGKILL)
        await until(lambda: not self.family(), PLAIN_STOP_S)

    def reap(self) -> int | None:
        """The exit code, if this process started it."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        return process.wait()

    # --- parts ------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` needs."""
        started = self.started
        return {
            **self.service.to_json(),
            "said": dict(self.said),
            "first": dict(self._first),
            "reports": None if self._reports is None else str(self._reports),
            "running": None
            if started is None
            else {"pid": started.pid, "born": started.born, "mode": started.mode, "folder": str(started.folder)},
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], out: Path, changed: Callable[[], None]) -> Program:
        """The program that :meth:`to_json` described, in any process."""
        program = cls(LocalService.from_json(facts), out, changed, READY_TIMEOUT_S)
        program.said, program._first = facts["said"], facts["first"]
        program._reports = None if facts["reports"] is None else Path(facts["reports"])
        if (running := facts["running"]) is not None:
            program.started = Started(running["pid"], running["born"], running["mode"], Path(running["folder"]))
        return program

    def _ended(self) -> None:
        if self.started is not None:
            tool_of(self.started.mode).clear(self.started.pid)
        self.started, self._reports, self.said = None, None, {}
        self.changed()

    def _place(self, mode: Mode) -> Place:
        folder = (self.out / self.service.name / mode).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return Place(PurePosixPath(folder), folder)

    def _program(self) -> Path:
        path = self.service.environment.get("PATH", os.environ.get("PATH"))
        return require_program(self.service.argv[0], self.service.name, self.service.folder, path)

    def _find_sampler(self, mode: Mode) -> None:
        """Note a sampler built into the program: it writes to its own folder, or the tool stops it."""
        tool = tool_of(mode)
        self._reports = None
        folder = sampler_folder(self._program())
        if folder is None:
            return
        if tool.blocks_sampler:
            self._note(SAMPLER_STOPPED.format(service=self.service.name))
        elif tool.writes_reports:
            self._reports = folder
            if folder.is_dir():
                set_aside(folder, mode)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _tool_wrong(self) -> str:
        """ "" if the tool runs the program and accepts commands, which a service without a health check does not
        show."""
        started = self.started
        if started is None or self.service.announces or self.service.ready is not None or self.health_url is not None:
            return ""
        return tool_of(started.mode).takes_orders(started.pid, started.folder)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise of_system(ToolError, "cannot be written", error, path, "{remedy}, or give another folder") from None


def _set_aside(output: Path | None) -> None:
    """Move earlier output under the tool's fixed file name aside, with its time in the name."""
    if output is None or not output.exists():
        return
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(output.stat().st_mtime))
    target = output.with_name(f"{output.stem}-{stamp}{output.suffix}")
    number = 1
    while target.exists():
        number += 1
        target = output.with_name(f"{output.stem}-{stamp}-{number}{output.suffix}")
    output.rename(target)

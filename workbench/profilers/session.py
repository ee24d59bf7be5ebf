"""A profiler session: starts services under a mode, cuts windows while they run, stops them so that nothing is lost,
and restores what ran before.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ToolError, WorkbenchError
from workbench.masking import shown
from workbench.profilers.backends.protocol import STOP_TIMEOUT_S, Backend, Ended
from workbench.profilers.modes import Mode
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.tools import flamegraph
from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.tools.tool import Tool
from workbench.profilers.windows import runs
from workbench.profilers.windows.cut import begin_window, end_window
from workbench.profilers.windows.record import Window, record_path
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_PARAMETERS = {
    "service_url": "target",
    "graph_url": "graph_url",
    "service_metrics_url": "service_metrics_url",
    "agent_metrics_url": "agent_metrics_url",
    "database_url": "database_url",
}
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


@dataclass
class Cut:
    """The result of a window, filled when its block has ended: one :class:`Window` for each service.

    While the block runs, add to ``notes`` and ``facts``: they go into the windows' records.
    """

    name: str
    windows: tuple[Window, ...] = ()
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def profiles(self) -> list[Profile]:
        """The Profile of each service's window, read at each call."""
        from workbench.profilers.windows.read import window_profiles

        return window_profiles(self.windows)


@dataclass
class Session:
    """A running profiler session. Made by :func:`profiling_session`, or from the state that another process stored.

    ``out`` takes ``<service>/<mode>/<window>.*``. ``flags`` replace the guide's. ``attach`` (strace only): the services
    run without a tool, and strace is attached only in windows. ``replaces``: a window replaces one of the same name
    that an earlier session left in ``out``; otherwise this is an error.
    """

    mode: Mode
    backend: Backend
    out: Path
    flags: tuple[str, ...] | None = None
    attach: bool = False
    replaces: bool = False
    started_s: float = 0.0
    open_name: str | None = None
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    ended: tuple[Ended, ...] = ()
    restored: bool = False

    @property
    def tool(self) -> Tool:
        """The tool of the mode."""
        return tool_of(self.mode)

    @property
    def url(self) -> str:
        """The URL of the profiled service. Raises SettingsError if it is not known."""
        return self.backend.addresses().service_url

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of the profiled service, as parameters of :func:`workbench.load`. Raises SettingsError if they
        are not known."""
        known = self.backend.addresses().to_json()
        return {parameter: known[name] for name, parameter in _PARAMETERS.items() if known[name]}

    async def start(self) -> None:
        """Start the services under the tool and wait until they answer. What ran there before is remembered."""
        check_attach(self.mode, self.attach)
        self.started_s = time.time()
        if self.attach or self.tool.run_a_window:
            await self.backend.start("none")
        else:
            # the user's own flags are used as given: they decide whether counting begins at the start
            extra = self.tool.window_flags if self.flags is None else ()
            await self.backend.start(self.mode, self.flags, extra)

    @asynccontextmanager
    async def window(self, name: str) -> AsyncIterator[Cut]:
        """Cut a window of what the services do while the block runs. It is kept even if the block fails."""
        await self.begin(name)
        cut = Cut(name)
        try:
            yield cut
        except BaseException:
            # the block's own error is the one to report; the window is ended as well as possible
            with contextlib.suppress(WorkbenchError):
                cut.windows = await to_the_end(self.end(cut.notes, cut.facts))
            raise
        cut.windows = await to_the_end(self.end(cut.notes, cut.facts))

    async def begin(self, name: str) -> None:
        """Begin a window for all services. Raises ToolError if one is open, or the name is used or invalid. If it
        cannot begin for one service, it begins for none."""
        if self.open_name is not None:
            raise ToolError(f"the window {self.open_name} is open", where=name[:80], hint="End it first")
        if not _NAME.fullmatch(name):
            raise ToolError(
                f"{shown(name)} cannot be the name of a window",
                where="window",
                hint="Give letters, digits, dots, hyphens and underscores, 64 at most, a letter or digit first",
            )
        if name in self.names or (not self.replaces and self._recorded(name)):
            raise ToolError(f"there is already a window {name}", where=str(self.out), hint="Give another name")
        for service in self.backend.services:
            if not self.tool.run_a_window:
                await self._require_running(service)
        opened: dict[str, dict[str, Any]] = {}
        try:
            if self.tool.run_a_window:
                await runs.begin_run(self.backend, self.mode, self.flags)
            for service in self.backend.services:
                opened[service] = await begin_window(self.tool, self._scene(service, name))
        except BaseException:
            await to_the_end(self._abandon(name, opened))
            raise
        self.open_name, self.opened = name, opened

    async def end(self, notes: Sequence[str] = (), facts: Mapping[str, Any] | None = None) -> tuple[Window, ...]:
        """End the open window; ``notes`` and ``facts`` go into the records of its parts. Raises ToolError if none is
        open, or a tool fails for a service; the other services' parts are kept."""
        name, opened = self.open_name, self.opened
        if name is None:
            raise ToolError("no window is open", where="window", hint="Begin one with a name")
        self.open_name, self.opened = None, {}
        windows, failure = [], None
        run = await runs.end_run(self.backend) if self.tool.run_a_window else None
        said = (*notes, *self.backend.notes)
        try:
            for service, begun in opened.items():
                try:
                    scene = self._scene(service, name, run)
                    windows.append(await end_window(self.tool, scene, begun, notes=said, facts=facts))
                except WorkbenchError as error:
                    failure = failure or error
        finally:
            if run is not None:
                await runs.go_on(self.backend)
        if windows:
            self.names.append(name)
        if failure is not None:
            raise failure
        return tuple(windows)

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> tuple[Ended, ...]:
        """Stop the services in order; then the tools' complete files are in ``out``.

        An open window is ended first. Raises ToolError naming a tool that left no complete file; the services are
        stopped then too.
        """
        failure: WorkbenchError | None = None
        if self.open_name is not None:
            try:
                await self.end()
            except WorkbenchError as error:
                failure = error
        # the folders depend on what runs, so they are determined before it ends
        places = {service: self.backend.place(service) for service in self.backend.services}
        self.ended = await self.backend.stop(timeout_s)
        output = "" if self.attach or self.tool.run_a_window else self.tool.output
        for ended in self.ended:
            if not output or ended.service not in places:
                continue
            written = places[ended.service].host / output
            keep = self._keep(ended.service)
            if not written.exists() or not written.stat().st_size:
                failure = failure or ToolError(
                    f"{self.tool.program} wrote nothing"
                    + (f": it had to be killed after {ended.seconds:.0f} s" if ended.killed else ""),
                    where=str(written),
                    hint="Give it longer to stop (--stop-timeout-s), and close connections to it first",
                )
            elif written.parent.resolve() != keep.resolve():
                await asyncio.to_thread(_copy, written, keep / output)
        if failure is not None:
            raise failure
        return self.ended

    async def restore(self) -> None:
        """Restore what ran before the start, and wait until it answers; ``restored``: whether anything ran before."""
        self.restored = await self.backend.restore()

    async def first_report_after_s(self) -> float:
        """How long after their start the services' sampler has no report yet; 0 if it reports on request."""
        for service in self.backend.services:
            if not await flamegraph.takes_requests(self._scene(service, "")):
                return flamegraph.first_report_after_s()
        return 0.0

    async def condition(self) -> dict[str, str]:
        """What is wrong with each program; "" if it runs and answers."""
        return {program: await self.backend.condition(program) for program in self.backend.programs}

    async def _abandon(self, name: str, opened: dict[str, dict[str, Any]]) -> None:
        """End and drop the parts of a window that could not begin for all services."""
        if self.tool.run_a_window:
            return  # the window is dropped: its services were restarted meanwhile
        for service, facts in opened.items():
            with contextlib.suppress(WorkbenchError):
                window = await end_window(self.tool, self._scene(service, name), facts)
                for what in window.files:
                    window.path(what).unlink(missing_ok=True)
                record_path(window.folder, name).unlink(missing_ok=True)

    def _recorded(self, name: str) -> bool:
        return any(record_path(self._keep(service), name).exists() for service in self.backend.services)

    def _scene(self, service: str, name: str, over: runs.Run | None = None) -> Scene:
        keep, attach = self._keep(service), self.attach
        return Scene(self.backend, service, name, keep, attach, self.flags, self.started_s, over)

    def _keep(self, service: str) -> Path:
        folder = self.out / service / self.mode
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def _require_running(self, service: str) -> None:
        wrong = await self.backend.condition(service)
        if wrong:
            raise ToolError(wrong, where=service, hint="Stop the session and start it again")


def check_attach(mode: Mode, attach: bool) -> None:
    """Raise ToolError for a mode that cannot be attached to a running service."""
    if attach and not tool_of(mode).attaches:
        raise ToolError(f"{mode} cannot be attached to a running service", where="attach", hint="Only strace can")


@asynccontextmanager
async def profiling_session(
    mode: Mode,
    backend: Backend,
    out: Path,
    *,
    flags: Sequence[str] | None = None,
    attach: bool = False,
    replaces: bool = False,
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> AsyncIterator[Session]:
    """A session for the block: services answer before it, and after it they are stopped and what ran before is
    restored, in any case."""
    session = Session(mode, backend, out, None if flags is None else tuple(flags), attach=attach, replaces=replaces)
    await session.start()
    try:
        yield session
    except BaseException:
        # the block's own error is the one to report
        with contextlib.suppress(WorkbenchError):
            await to_the_end(_finish(session, stop_timeout_s))
        raise
    await to_the_end(_finish(session, stop_timeout_s))


async def _finish(session: Session, stop_timeout_s: float) -> None:
    try:
        await session.stop(stop_timeout_s)
    finally:
        await session.restore()


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)

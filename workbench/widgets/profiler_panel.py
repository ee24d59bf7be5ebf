"""A profiler session from a notebook: start a service under a mode, cut windows, stop it, restore what ran before.

The session is that of ``workbench profile``: it is stored in a file, so shells and kernels see the same one, and it
continues when the kernel ends. Each button runs that command in a separate process.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets

from workbench.errors import SettingsError, ToolError, WorkbenchError
from workbench.profilers.modes import MODES
from workbench.profilers.open import default_profiling_dir
from workbench.profilers.session import Session
from workbench.profilers.state import SessionFile
from workbench.widgets.command import run_command
from workbench.widgets.panel import Panel, button, choice_field, paragraphs, text_field, without_secrets
from workbench.widgets.views import SaidView, on_change

POLL_S = 1.0
_PROGRAMS = (("the indexer-service", "service"), ("the tap-agent", "agent"), ("both", "both"))


@dataclass(frozen=True)
class Seen:
    """The current session. ``state``: none, starting, running, stopping or stopped; ``lines``: a description;
    ``window``: the open one, or ""."""

    state: str
    lines: tuple[str, ...]
    window: str = ""


class ProfilerPanel(Panel):
    """Start a service under a profiler, cut windows, stop it, and restore what ran before.

    ``folder``: where the session is stored (None: ``data/profiling``, as for ``workbench profile``). ``mode``,
    ``service`` and ``agent`` (commands), ``profile`` (which of the two: service, agent or both), ``compose`` (a compose
    file, whose two services are profiled): the initial values of the fields; without a command or a file it is the
    stand-in. The panel always shows what is running, also if another shell or kernel started it.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        mode: str = "callgrind",
        service: str = "",
        agent: str = "",
        profile: str = "service",
        compose: str | Path = "",
    ) -> None:
        super().__init__()
        self._file = SessionFile(default_profiling_dir() if folder is None else Path(folder))
        self._seen = Seen("none", ())
        self._state = SaidView(kind="state")
        self._output = SaidView(kind="output")
        self._mode = choice_field("Mode", [one for one in MODES if one != "none"], mode)
        self._service = text_field("Service command", service, "empty: the stand-in")
        self._agent = text_field("Agent command", agent)
        self._profile = choice_field("Profile", _PROGRAMS, profile)
        self._compose = text_field("Compose file", compose, "its services are recreated under the profiler")
        self._name = text_field("Window", "step-001", "a name")
        self._start = button("Start", self.start, "start the service under the profiler", "primary")
        self._begin = button("Begin window", self.begin_window)
        self._end = button("End window", self.end_window)
        self._stop = button("Stop", self.stop, "stop the service, so that all files are complete")
        self._restore = button("Restore", self.restore, "restore what ran before the start")
        fields = [self._service, self._agent, self._compose, self._name]
        without_secrets(self, fields)
        windows = ipywidgets.HBox([self._begin, self._end])
        ends = ipywidgets.HBox([self._stop, self._restore])
        on_change(self._compose, "value", self._composed)
        self._composed(str(self._compose.value))
        first = [self._mode, self._service, self._agent, self._profile, self._compose, self._start]
        parts = [*first, self._name, windows, ends, self._state, self._said, self._output]
        self.widget = ipywidgets.VBox(parts)
        self._busy = False
        self._show(Seen("none", ("Checking the session.",)))
        self._watcher: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """The last seen state: none, starting, running, stopping or stopped."""
        return self._seen.state

    def start(self) -> None:
        """Start the service under the profiler, like the button."""
        self._run("start", str(self._mode.value), *self.options())

    def options(self) -> list[str]:
        """Options of a start beside the mode: the compose file, or the two commands and which of them is profiled."""
        if compose := self._compose.value.strip():
            return ["--compose", compose]
        given = {"--service": self._service.value.strip(), "--agent": self._agent.value.strip()}
        words = [word for option, value in given.items() if value for word in (option, value)]
        return [*words, "--profile", str(self._profile.value)] if words else []

    def begin_window(self) -> None:
        """Begin a window, like the button."""
        self._run("window", str(self._name.value).strip())

    def end_window(self) -> None:
        """End the open window, like the button."""
        self._run("window", "--end")

    def stop(self) -> None:
        """Stop the service so that all files are complete, like the button."""
        self._run("stop")

    def restore(self) -> None:
        """Restore what ran before the start, like the button."""
        self._run("restore")

    async def look(self) -> None:
        """Update the state of the session."""
        self._show(await _seen(self._file))

    def html(self) -> str:
        """The session as last seen."""
        return paragraphs(*self._seen.lines, self.message, *self._output.text.splitlines())

    def __repr__(self) -> str:
        return "\n".join(self._seen.lines)

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        if self._watcher is None:
            with contextlib.suppress(RuntimeError):  # no loop, so nothing that would change by itself
                # nothing waits for this task: others may change a session at any time
                loop = asyncio.get_running_loop()
                self._watcher = loop.create_task(self._looking())

    async def _looking(self) -> None:
        while True:
            if not self._busy:
                await self._told(self.look())
            await asyncio.sleep(POLL_S)

    def _run(self, action: str, *words: str) -> None:
        if self._busy:
            return
        self.say("")
        self.begin(self._command(action, *words))

    async def _command(self, action: str, *words: str) -> None:
        line = ["profile", action, *words, "--folder", str(self._file.folder)]
        self._busy, self._output.text = True, f"workbench {shlex.join(line)}"
        self._show(await _seen(self._file))
        lines: list[str] = []

        def heard(line: str) -> None:
            lines.append(line)
            self._output.text = "\n".join(lines)

        try:
            code = await run_command(line, heard)
        finally:
            self._busy = False
            await self.look()
        self.keep()
        if code:
            self.say(f"`workbench profile {action}` ended with exit code {code}.")
        elif action == "window" and "--end" in words:
            self._name.value = _next(str(self._name.value))

    def _composed(self, compose: str) -> None:
        """With a compose file, which has both services, commands are disabled."""
        for field in (self._service, self._agent, self._profile):
            field.disabled = bool(compose.strip())

    def _show(self, seen: Seen) -> None:
        """Show the state, and enable the buttons that can be used now."""
        self._seen = seen
        self._state.text = "\n".join(seen.lines)
        state, open_ = seen.state, bool(seen.window)
        free = not self._busy
        self._start.disabled = not (free and state in ("none", "stopped"))
        self._begin.disabled = not (free and state == "running" and not open_)
        self._end.disabled = not (free and state == "running" and open_)
        self._stop.disabled = not (free and state in ("starting", "running", "stopping"))
        self._restore.disabled = not (free and state == "stopped")


async def _seen(file: SessionFile) -> Seen:
    """The current session of a file; one that cannot be read is shown as a state too."""
    if not file.exists():
        return Seen("none", ("No profiler session.",))
    try:
        session, state = await asyncio.to_thread(file.read)
        condition = {} if state == "stopped" else await session.condition()
    except ToolError:
        return Seen("none", ("No profiler session.",))  # it ended between the two checks
    except WorkbenchError as error:
        return Seen("unreadable", (str(error),))
    return Seen(state, tuple(_lines(session, state, condition)), session.open_name or "")


def _lines(session: Session, state: str, condition: Any) -> Sequence[str]:
    here = Path.cwd()
    out = session.out.relative_to(here) if session.out.is_relative_to(here) else session.out
    lines = [f"{state}: mode {session.mode}, profiles in {out}"]
    lines += [f"{service}: {wrong or 'runs and answers'}" for service, wrong in condition.items()]
    if session.open_name:
        lines.append(f"window {session.open_name} is open")
    lines.append(f"windows: {', '.join(session.names) or 'none yet'}")
    if state == "running":
        try:
            url = session.addresses.get("target", "")
        except SettingsError:
            url = ""
        if url:
            lines.append(f"send receipts to it: LoadPanel(target={url!r}), or workbench load --target {url}")
    return lines


def _next(name: str) -> str:
    """A name for the next window: the number at its end plus one."""
    digits = name[len(name.rstrip("0123456789")) :]
    return f"{name[: len(name) - len(digits)]}{int(digits) + 1:0{len(digits)}d}" if digits else f"{name}-2"

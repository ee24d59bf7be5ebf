"""A load or a sweep from a notebook: started, followed and stopped here, measured by a separate process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import ipywidgets

from workbench.errors import SettingsError
from workbench.profilers.modes import MODES
from workbench.runs.folder import RunFolder
from workbench.runs.follow import RunFollower
from workbench.runs.status import RunStatus
from workbench.settings import SECRETS, Settings
from workbench.sweep.apart import Apart, What, resume_apart, running_in, start_apart, stop_apart
from workbench.sweep.opened import SweepRun, open_run
from workbench.widgets.panel import Panel, button, choice_field, paragraphs, text_field, without_secrets
from workbench.widgets.views import RunView, on_change
from workbench.widgets.words import run_html, words_of

POLL_S = 0.5
_WHAT = (("one load", "load"), ("steps toward the sender limit", "sweep"))
# the fields: parameter -> label, placeholder
_FIELDS: Mapping[str, tuple[str, str]] = {
    "target": ("Target", "URL; empty: the stand-in or the commands below"),
    "service_command": ("Service command", "command that starts the indexer-service; empty: none"),
    "agent_command": ("Agent command", "command that starts the tap-agent; empty: none"),
    "receipts": ("Receipts", "1000; steps: 250,500 or 250:1250:250"),
    "rate": ("Receipts per second", "open loop; empty: see In flight"),
    "concurrency": ("In flight", "closed loop, if no rate is given"),
}


class LoadPanel(Panel):
    """Start a load or a sweep, watch it, stop it.

    ``parameters`` are fields of :class:`workbench.Settings`, as for :func:`workbench.load` and :func:`workbench.sweep`:
    if the panel has a field for one, it is the field's initial value; the others apply to every run. ``run``: the
    folder of a run to show; without it, a run that any process is measuring now is shown, even after a restart of the
    kernel. ``what``: load, or sweep for steps toward the limit.

    A separate process measures the run and continues when the kernel ends. Stopping keeps everything measured, and the
    run can be resumed. Raises SettingsError for keys among the parameters, RunFolderError if ``run`` is not a run.
    """

    def __init__(self, run: str | Path | None = None, *, what: What = "load", **parameters: Any) -> None:
        super().__init__()
        if secret := sorted(SECRETS & set(parameters)):
            raise SettingsError(f"{secret[0]} is not a parameter of a panel", where=secret[0])
        if what == "load":
            parameters = {"receipts": parameters.pop("num_receipts", ""), **parameters}
        self._given = {name: value for name, value in parameters.items() if name not in (*_FIELDS, "profiler")}
        self._folder: RunFolder | None = None
        self._apart: Apart | None = None
        self._stopping = False
        self._status: RunStatus | None = None
        self._view = RunView()
        self._what = choice_field("Send", _WHAT, what)
        self._profiler = choice_field("Profiler", MODES, parameters.get("profiler", "none"))
        self._fields = {
            name: text_field(label, parameters.get(name), placeholder) for name, (label, placeholder) in _FIELDS.items()
        }
        self._start = button("Start", self.start, "measure in a separate process", "primary")
        self._stop = button("Stop", self.stop, "everything measured is kept")
        self._resume = button("Go on", self.resume, "resume the stopped run at its first step without samples")
        without_secrets(self, list(self._fields.values()))
        on_change(self._what, "value", self._chosen)
        self._chosen(what)
        form = ipywidgets.VBox([self._what, *self._fields.values(), self._profiler])
        buttons = ipywidgets.HBox([self._start, self._stop, self._resume])
        self.widget = ipywidgets.VBox([form, buttons, self._said, self._view])
        self._buttons()
        found = RunFolder(Path(run)) if run is not None else running_in(self._runs_dir())
        if found is not None:
            self._follow(found)

    @property
    def status(self) -> RunStatus | None:
        """The run's current status; None before the first run."""
        return self._status

    @property
    def run(self) -> SweepRun | None:
        """The shown run, opened, with what was measured so far; None before the first run."""
        return None if self._folder is None else open_run(self._folder.path)

    def start(self) -> None:
        """Start a run from the fields, like the button."""
        self._start.disabled = True
        self.say("")
        try:
            self.begin(self._started(partial(start_apart, cast(What, self._what.value), self.parameters())))
        except SettingsError as error:
            self._buttons()
            self.say(str(error))

    def stop(self) -> None:
        """Ask the run to stop, like the button. Everything measured is kept."""
        self._stopping = True
        self._buttons()
        self.say("Stopping: writing everything measured.")
        if self._apart is not None:
            self._apart.stop()
        elif self._folder is not None:
            stop_apart(self._folder)

    def resume(self) -> None:
        """Resume the shown run, like the button."""
        if self._folder is not None:
            self._resume.disabled = True
            self.say("")
            self.begin(self._started(partial(resume_apart, self._folder.path)))

    def parameters(self) -> dict[str, Any]:
        """The parameters of the next run: fields of :class:`workbench.Settings`. Raises SettingsError for a required
        field that is empty."""
        filled = {name: field.value.strip() for name, field in self._fields.items()}
        given = {name: value for name, value in filled.items() if value}
        if self._what.value == "load":
            count = given.pop("receipts", "")
            given |= {"num_receipts": count} if count else {}
        elif self._profiler.value != "none":
            given["profiler"] = self._profiler.value
        return {**self._given, **given}

    def html(self) -> str:
        """The run as last seen, and how to resume it."""
        return run_html(self._view.run) + paragraphs(self.message)

    def __repr__(self) -> str:
        return "LoadPanel(no run)" if self._folder is None else f"LoadPanel({str(self._folder.path)!r})"

    def _chosen(self, what: str) -> None:
        """A profiler needs steps: one load alone cannot give the cost per receipt."""
        self._profiler.disabled = what == "load"

    def _runs_dir(self) -> Path:
        given = {"runs_dir": self._given["runs_dir"]} if "runs_dir" in self._given else {}
        return Settings.resolve(**given).runs_dir

    async def _started(self, start: Callable[[], Apart]) -> None:
        try:
            self._apart = apart = await asyncio.to_thread(start)
        except BaseException:
            self._buttons()
            raise
        self._follow(apart.folder)

    def _follow(self, folder: RunFolder) -> None:
        """Follow and show a run."""
        follower = RunFollower(folder.path)
        self._folder, self._status = folder, None
        self._show(follower.read())
        with contextlib.suppress(RuntimeError):  # without a loop nothing is updated
            self.begin(self._following(follower))

    async def _following(self, follower: RunFollower) -> None:
        begun = False
        while True:
            alive = self._apart is not None and not self._apart.ended()
            status = await asyncio.to_thread(follower.read)
            begun = begun or status.state == "running"
            if alive and status.ended and not begun:
                status = replace(status, state="new")  # its process has not resumed the run yet
            self._show(status)
            if not alive and status.state != "running":
                return self._ended()
            await asyncio.sleep(POLL_S)

    def _show(self, status: RunStatus) -> None:
        self._status = status
        self._view.run = words_of(status)
        self._buttons()

    def _ended(self) -> None:
        status, folder = self._status, self._folder
        self._apart, said_so, self._stopping = None, self._stopping, False
        self._buttons()
        if status is not None and folder is not None and status.state != "finished":
            go_on = f"workbench sweep --resume {folder.path}"
            self.say(f"Everything measured is in {folder.path}. Go on with the button, or with: {go_on}")
        elif said_so:  # it ended before it was told to stop
            self.say("")
        self.keep()

    def _buttons(self) -> None:
        """Enable the buttons for what can be done now."""
        status = self._status
        running = status is not None and (status.state == "running" or self._apart is not None)
        self._start.disabled = running
        self._stop.disabled = not running or self._stopping
        self._resume.disabled = running or status is None or status.state == "finished"

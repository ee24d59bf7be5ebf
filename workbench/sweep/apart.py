"""A run measured by a separate process: started here, followed through its folder, stopped by a signal.

The process outlives the one that started it, for example a notebook's kernel: the run is found again by its folder,
whose lock tells which process writes it. Settings and keys are passed through a pipe, not in a command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench import keyring, masking
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, RunFolderError, SettingsError, WorkbenchError
from workbench.runs.folder import RunFolder, is_stamped
from workbench.settings import SECRETS, Settings
from workbench.sweep.judged import require_fitting
from workbench.sweep.run import resume_sweep, run_sweep, settings_in
from workbench.sweep.single import load_settings
from workbench.sweep.steps import steps_of
from workbench.sweep.subject import check_subject

What = Literal["load", "sweep"]
LOG = "process.log"
"""The process's output, in its run folder; empty if all goes well."""


@dataclass(frozen=True)
class Apart:
    """A run that a separate process measures: its folder, and the process if this kernel or program started it."""

    folder: RunFolder
    process: subprocess.Popen[bytes]

    def ended(self) -> bool:
        """Whether the process has ended. If it ended before the run began, this is written into the manifest."""
        if self.process.poll() is None:
            return False
        why = self.said() or "stopped before it began"
        state = "interrupted" if self.process.returncode in (-signal.SIGINT, -signal.SIGTERM) else "failed"
        _never_began(self.folder, state, why, EXIT_INTERRUPTED if state == "interrupted" else EXIT_TOOL)
        return True

    def stop(self) -> None:
        """Ask the process to stop, even before it has locked the run folder."""
        if not stop_apart(self.folder) and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def said(self) -> str:
        """The last line of the process's output; "" if there is none."""
        try:
            lines = (self.folder.path / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return masking.masked(lines[-1]) if lines else ""


def start_apart(what: What, parameters: Mapping[str, Any]) -> Apart:
    """Start a load or a sweep in a process of its own. ``parameters`` are fields of :class:`workbench.Settings`.

    Raises SettingsError for unusable parameters and for keys, which must come from the environment or the settings
    file; RunFolderError if the folder cannot be made.
    """
    settings = settings_for(what, parameters)
    folder = RunFolder.create(settings.runs_dir, settings.name)
    command = f"a separate process, started as a {what}"
    folder.update_manifest(state="new", name=settings.name, settings=settings.public(), command=command)
    given = {name: _plain(value) for name, value in parameters.items()}
    return _started(folder, {"what": what, "parameters": given})


def resume_apart(path: Path) -> Apart:
    """Resume an interrupted run in a separate process, at its first step without samples.

    Raises RunFolderError if the run is being measured, has finished or is a search for a limit; SettingsError if a
    password is missing.
    """
    folder = RunFolder(path)
    state = folder.state_now(str(folder.manifest().get("state", "")))
    if state in ("running", "finished"):
        raise RunFolderError(f"the run is {state}", where=str(path), hint="Start a new one")
    if folder.manifest().get("what") == "find-limit":
        raise RunFolderError(
            "holds a search for a limit", where=str(path), hint="Go on with `workbench find-limit --resume`"
        )
    Settings.restore(settings_in(folder))
    return _started(folder, {"what": "resume", "parameters": {}})


def stop_apart(folder: RunFolder) -> bool:
    """Ask the process that measures a run to stop, as Ctrl-C does: everything measured is kept, and the run can be
    resumed. False if no process measures it."""
    holder = folder.holder()
    if holder is None:
        return False
    try:
        os.kill(holder, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def running_in(runs_dir: Path) -> RunFolder | None:
    """The newest run in a folder that any process is measuring now; None if there is none."""
    try:
        names = sorted((entry.name for entry in os.scandir(runs_dir) if is_stamped(entry.name)), reverse=True)
    except OSError:
        return None
    return next((folder for name in names if (folder := RunFolder(runs_dir / name)).is_locked()), None)


def settings_for(what: What, parameters: Mapping[str, Any]) -> Settings:
    """The settings of a load or a sweep, checked before anything is made. Raises SettingsError."""
    if secret := sorted(SECRETS & set(parameters)):
        raise SettingsError(f"{secret[0]} cannot be a parameter", where=secret[0], hint=keyring.HINT)
    settings = Settings.resolve(**{"name": what, **parameters})
    if what == "load":
        settings = load_settings(settings)
    steps_of(settings)
    require_fitting(settings.fail_if, (settings.profiler,))
    check_subject(settings)
    return settings


def _started(folder: RunFolder, request: dict[str, Any]) -> Apart:
    """Start the process and tell it what to measure. It gets its own session, so that signals to a kernel's children
    and Ctrl-C in a terminal do not reach it."""
    with (folder.path / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.sweep.apart"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    line = json.dumps({**request, "run": str(folder.path.resolve()), "keys": keyring.take()})
    if process.stdin is not None:
        with process.stdin:
            process.stdin.write(line.encode() + b"\n")
    return Apart(folder, process)


def _plain(value: Any) -> Any:
    """A parameter as JSON; paths and decimals become text, which the settings accept too."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


async def _measure(request: Mapping[str, Any], folder: RunFolder) -> None:
    """The run, cancelled by the first SIGINT or SIGTERM, even if these were ignored when the process was started."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        if task is not None and not told:
            told = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if request["what"] == "resume":
        await resume_sweep(folder)
    else:
        settings = settings_for(request["what"], request["parameters"])
        await run_sweep(settings, folder.path, toward_limit=request["what"] == "sweep")


def main() -> int:
    """Measure what standard input asks for. The manifest says how it ended, even if it never began."""
    request = json.loads(sys.stdin.readline())
    keyring.hold(request.pop("keys"))
    folder = RunFolder(Path(request["run"]))
    try:
        asyncio.run(_measure(request, folder))
    except asyncio.CancelledError:
        return _never_began(folder, "interrupted", "stopped before it began", EXIT_INTERRUPTED)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return _never_began(folder, "failed", str(error), error.exit_code)
    except Exception as error:
        _never_began(folder, "failed", masking.masked(f"{type(error).__name__}: {error}"), EXIT_TOOL)
        raise
    return int(folder.manifest().get("exit_code", 0))


def _never_began(folder: RunFolder, state: str, why: str, code: int) -> int:
    """Write into the manifest why a run never began; a run that began has written its own end."""
    if folder.manifest().get("state") == "new":
        folder.update_manifest(state=state, error=why, exit_code=code)
    return code


if __name__ == "__main__":
    sys.exit(masking.ended(main))

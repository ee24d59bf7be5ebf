"""A sweep run through its notebook: parameters in, run folder with executed notebook and HTML report out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import errors
from workbench.errors import GO_ON, RunFolderError, SettingsError, ToolError, WorkbenchError
from workbench.masking import masked
from workbench.progress import Progress, line_of
from workbench.report.execute import run_notebook
from workbench.report.parameters import read_parameters
from workbench.runs.folder import EVENTS, RunFolder
from workbench.runs.read import Run
from workbench.settings import CONFIG_VARIABLE, ENV_PREFIX, SECRETS, Settings, without_passwords
from workbench.sweep.interrupt import mark
from workbench.sweep.judged import rejudge, require_fitting
from workbench.sweep.opened import open_run
from workbench.sweep.run import settings_in
from workbench.sweep.steps import steps_of
from workbench.sweep.subject import check_subject

Say = Callable[[str], None]
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_POLL_S = 0.2


async def report_sweep(
    settings: Settings | None,
    *,
    resume: Path | None,
    config: Path | None,
    say: Say,
    go_on: str | None = None,
    folder: RunFolder | None = None,
) -> Run:
    """Run (with ``resume``: continue) a sweep by papermill; ``say`` gets its progress line by line.

    ``config`` is the settings file the command was given: the kernel reads it too, as keys come from there. ``go_on``:
    the command that continues the sweep if it ends early (None: that of a resumed sweep). ``folder``: an existing one
    for it, in which nothing is measured yet (None: a new one).

    Raises the error the sweep met, after notebook and report of what was measured were written.
    """
    file = {} if config is None else {CONFIG_VARIABLE: str(config)}
    if resume is not None:
        begun = RunFolder(resume)
        # what is missing to continue, such as a password, is an error before the notebook begins
        Settings.restore(settings_in(begun), toml=config)
        return await execute(begun, {"resume": str(resume)}, file, say, go_on)
    if settings is None:
        raise SettingsError("neither settings nor a run to resume were given")
    steps_of(settings)
    require_fitting(settings.fail_if, (settings.profiler,))
    check_subject(settings)
    folder = folder or RunFolder.create(settings.runs_dir, settings.name)
    folder.update_manifest(state="new", name=settings.name, settings=settings.public(), command=command_line())
    parameters, environment = split(settings, notebook_path("load_sweep"))
    given = {**parameters, "run_dir": str(folder.path)}
    return await execute(folder, given, {**environment, **file}, say, go_on)


async def report_run(path: Path, *, say: Say, fail_if: Sequence[str] = ()) -> Run:
    """Make notebook and report of an existing run again; nothing is measured. ``fail_if``: thresholds that judge it
    instead of its own."""
    run = open_run(path)
    if run.state != "finished":
        raise SettingsError(
            f"the run is {run.state}",
            where=str(path),
            hint=f"Finish it with `{run.folder.next_command()}`",
        )
    if fail_if:
        rejudge(run, fail_if)
    notebook = FIND_LIMIT if run.manifest.get("what") == "find-limit" else LOAD_SWEEP
    return await execute(run.folder, {"run_dir": str(path)}, {}, say, notebook=notebook)


def notebook_path(name: str) -> Path:
    """The path of a notebook of the project. Raises SettingsError if the package was not installed from a clone."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.is_file():
        raise SettingsError("the notebook is missing", where=str(path), hint="Install from a clone: pip install -e .")
    return path


@dataclass(frozen=True)
class ReportNotebook:
    """A notebook that measures and is its own report: its file's ``name``, and the ``title`` of the report."""

    name: str
    title: str


LOAD_SWEEP = ReportNotebook("load_sweep", "Load sweep")
FIND_LIMIT = ReportNotebook("find_limit", "Limit")


async def execute(
    folder: RunFolder,
    parameters: dict[str, Any],
    environment: Mapping[str, str | None],
    say: Say,
    go_on: str | None = None,
    *,
    notebook: ReportNotebook = LOAD_SWEEP,
) -> Run:
    """Run a notebook that measures into ``folder``; its run. Raises the error the run met, after notebook and report of
    what was measured were written."""
    command = go_on or folder.next_command()
    with _with_whole_hint(folder, go_on):
        async with _following(folder.path / EVENTS, say):
            with _environment(environment), _saying_how_to_go_on(command, folder.path):
                record = await run_notebook(
                    notebook_path(notebook.name),
                    parameters,
                    folder.path / "notebook.ipynb",
                    folder.path / "report.html",
                    title=f"{notebook.title} {folder.path.name}",
                )
        folder.update_manifest(notebook=record.as_dict())
    run = open_run(folder.path)
    if run.manifest["state"] in ("failed", "interrupted"):
        raise _ended(run.manifest, folder.path, command)
    kind = getattr(errors, record.exception or "", None)
    if isinstance(kind, type) and issubclass(kind, WorkbenchError):
        # an error of ours from before the run began: another run was measuring, or the settings cannot be used
        error = WorkbenchError(record.message or record.status)
        error.exit_code = kind.exit_code
        raise error
    if not record.ok:
        raise ToolError(
            f"the notebook ended as {record.status}: {record.exception}: {record.message}",
            where=str(folder.path / "notebook.ipynb"),
            hint=f"Everything measured is in {folder.path}; go on with `{go_on or folder.next_command()}`",
        )
    return run


@contextlib.contextmanager
def _with_whole_hint(folder: RunFolder, go_on: str | None) -> Iterator[None]:
    """If files cannot be written, the error names the command that continues the run in its present state."""
    try:
        yield
    except RunFolderError as error:
        if not (error.hint or "").endswith(GO_ON):
            raise
        command = go_on or folder.next_command()
        hint = f"{(error.hint or '').removesuffix('--resume')}`{command}`"
        raise RunFolderError(error.what, where=error.where, hint=hint) from error


@contextlib.contextmanager
def _saying_how_to_go_on(command: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError as error:
        mark(error, folder, command)
        raise


def _ended(manifest: dict[str, Any], run: Path, command: str) -> WorkbenchError:
    """The error a sweep in a notebook ended with, with that error's exit code."""
    error = WorkbenchError(manifest["error"], hint=f"Everything measured is in {run}; go on with `{command}`")
    error.exit_code = manifest["exit_code"]
    return error


def split(settings: Settings, notebook: Path) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The settings as parameters of the notebook, and all of them as variables. An option overrides a variable, so a
    parameter at its default must not yield to one (see :mod:`workbench.report.what_was_given`)."""
    names = {parameter.name for parameter in read_parameters(notebook)}
    values = settings.model_dump(mode="json", exclude=set(SECRETS))
    parameters = {name: value for name, value in values.items() if name in names}
    environment: dict[str, str | None] = {
        ENV_PREFIX + name.upper(): value if value is None or isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
    return parameters, environment


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """The variables a child process is started with (None: not set); keys reach it by a pipe."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@asynccontextmanager
async def _following(events: Path, say: Say) -> AsyncIterator[None]:
    """Say the lines that are added to ``events`` while the context is open; a Progress gets the events themselves."""
    position = _size(events)
    tell = say.event if isinstance(say, Progress) else _as_lines(say)

    def read() -> None:
        nonlocal position
        if not events.exists():
            return
        with events.open("rb") as file:
            file.seek(position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        position += len(whole)
        for raw in whole.splitlines():
            try:
                facts = json.loads(raw)
            except ValueError:
                continue  # a line that a full disk or a kill cut off
            tell(facts["kind"], facts)

    async def follow() -> None:
        while True:
            read()
            await asyncio.sleep(_POLL_S)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        read()


def _as_lines(say: Say) -> Callable[[str, dict[str, Any]], None]:
    def tell(kind: str, facts: dict[str, Any]) -> None:
        if line := line_of(kind, facts):
            say(line)

    return tell


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def command_line() -> str:
    """The command that started this process, without passwords and keys, so that it can be stored."""
    return masked(without_passwords(" ".join(["workbench", *sys.argv[1:]]) if sys.argv else "workbench"))

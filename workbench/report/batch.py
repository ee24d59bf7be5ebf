"""Run a batch, papermill one after another, and make its summary."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import EXIT_PASS, EXIT_SLO_FAILED, EXIT_TOOL, SettingsError, ToolError, WorkbenchError
from workbench.profilers.modes import Mode
from workbench.report.execute import run_notebook
from workbench.report.sweep_report import Say, command_line, notebook_path, report_run, report_sweep
from workbench.runs.read import Run
from workbench.settings import Settings
from workbench.sweep.batch import Batch, unfit_modes
from workbench.sweep.judged import fitting, require_fitting
from workbench.sweep.steps import parse_steps, steps_of

if TYPE_CHECKING:
    from collections.abc import Sequence


async def report_batch(
    settings: Settings,
    modes: Sequence[Mode],
    *,
    profiled_receipts: str | None,
    keep_going: bool,
    config: Path | None,
    say: Say,
) -> Batch:
    """The sweep of ``settings`` once for each of ``modes``, and a summary of them all.

    ``profiled_receipts`` are the steps of the runs under a profiler (None: the same). Modes whose tool is not
    installed, or that the target cannot be put under, are left out and said, if ``keep_going``; else they are an error
    before anything runs. A run that fails is said and the others go on. Raises SettingsError, ToolError or
    RunFolderError.
    """
    steps_of(settings)
    if profiled_receipts is not None:
        parse_steps(profiled_receipts)
    unfit = unfit_modes(settings, modes)
    if unfit and (not keep_going or len(unfit) == len(modes)):
        raise next(iter(unfit.values()))
    skipped = {mode: f"{error.what}{f'. {error.hint}' if error.hint else ''}" for mode, error in unfit.items()}
    for mode, why in skipped.items():
        say(f"{mode}: left out, {why}")
    wanted = [mode for mode in modes if mode not in skipped]
    require_fitting(settings.fail_if, wanted)
    batch = Batch.create(settings.runs_dir, settings.name, wanted, skipped, command_line())
    return await _run(batch, settings, profiled_receipts, config, say)


async def resume_batch(path: Path, *, config: Path | None, say: Say) -> Batch:
    """Go on with a batch that was interrupted: runs that have finished stay, one that was cut off goes on."""
    batch = Batch.open(path)
    stored = batch.facts().get("settings")
    if stored is None:
        raise SettingsError("the batch does not say its settings", where=str(path), hint="Start a new one")
    settings = Settings.restore(stored, toml=config)
    return await _run(batch, settings, batch.facts().get("profiled_receipts"), config, say)


def exit_code(batch: Batch) -> int:
    """1 where a threshold of any run failed; else that of the run without a profiler where there is one. A run that
    failed for a tool is one of those all the same."""
    runs = batch.runs()
    thresholds = [one for run in runs.values() for one in run.manifest.get("thresholds") or ()]
    if any(one["verdict"] != "PASS" for one in thresholds):
        return EXIT_SLO_FAILED
    codes = [run.exit_code for mode, run in runs.items() if mode == "none"] or [run.exit_code for run in runs.values()]
    worst = next((code for code in codes if code != EXIT_PASS), EXIT_PASS)
    return EXIT_TOOL if worst == EXIT_PASS and batch.errors else worst


def reported(run: Run) -> bool:
    """Whether a run has finished, and its notebook and report after it."""
    notebook = run.manifest.get("notebook") or {}
    return run.manifest["state"] == "finished" and notebook.get("status") == "ok"


async def _run(batch: Batch, settings: Settings, profiled_receipts: str | None, config: Path | None, say: Say) -> Batch:
    batch.remember(settings, profiled_receipts)
    go_on = f"workbench batch --resume {batch.path}"
    for mode in batch.modes:
        run = batch.runs().get(mode)
        if run is not None and reported(run):
            continue
        say(f"{mode}: {'without a profiler' if mode == 'none' else 'under the profiler'}")
        try:
            if run is not None and run.manifest["state"] == "finished":
                # killed after the run's end and before its report's
                await report_run(run.path, say=say)
            elif run is not None and run.manifest["state"] != "new":
                await report_sweep(None, resume=run.path, config=config, say=say, go_on=go_on)
            else:
                own = _of_mode(settings, mode, profiled_receipts, batch)
                await report_sweep(own, resume=None, config=config, say=say, go_on=go_on)
            batch.failed(mode, None)
        except WorkbenchError as error:
            batch.failed(mode, str(error))
            say(f"{mode}: {error}")
    record = await run_notebook(
        notebook_path("batch"),
        {"batch_dir": str(batch.path)},
        batch.path / "notebook.ipynb",
        batch.path / "report.html",
        title=f"Batch {batch.path.name}",
    )
    if not record.ok:
        raise ToolError(
            f"the summary's notebook ended as {record.status}: {record.exception}: {record.message}",
            where=str(batch.path / "notebook.ipynb"),
            hint="The runs and their reports are in the batch's folder",
        )
    return batch


def _of_mode(settings: Settings, mode: Mode, profiled_receipts: str | None, batch: Batch) -> Settings:
    """The sweep's settings in one mode, its run folder inside the batch's."""
    changes: dict[str, object] = {"profiler": mode, "name": mode, "runs_dir": Path(os.path.relpath(batch.path))}
    changes["fail_if"] = fitting(settings.fail_if, mode)
    if mode != "none":
        changes["receipts"] = profiled_receipts or settings.receipts
    return settings.model_copy(update=changes)

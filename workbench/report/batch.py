"""Runs a batch, one notebook after another, and makes its summary."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Unpack, cast, get_type_hints

from workbench.batches.estimate import Estimate, Finished, Kind, estimate, sending_s, total
from workbench.batches.folder import Batch
from workbench.batches.grid import PlannedRun, runs_of
from workbench.batches.plan import BatchPlan, plan_of, read_plan
from workbench.catalogue.listing import rows_in
from workbench.errors import (
    EXIT_PASS,
    EXIT_SLO_FAILED,
    EXIT_TOOL,
    RunFolderError,
    SettingsError,
    ToolError,
    WorkbenchError,
)
from workbench.numbers import duration
from workbench.report.execute import run_notebook
from workbench.report.sweep_report import Say, command_line, notebook_path, report_run, report_sweep
from workbench.runs.folder import RunFolder, exclusive
from workbench.runs.read import Run
from workbench.settings import LoadSettings, Settings, SweepSettings
from workbench.settings.parameters import Parameters
from workbench.settings.signature import with_settings
from workbench.sweep.judged import fitting, require_fitting
from workbench.sweep.setup import in_flight, rate_of
from workbench.sweep.steps import parse_steps, steps_of
from workbench.sweep.subject import check_subject

NAME = "batch"
_OF_A_PLAN = ("repeats", "order", "exclude", "include", "rules")
_LOCK = ".lock"
_LOCK_WAIT_S = 10.0
_NOTEBOOK_S = 15.0
"""Time that a run's notebook and report take in addition to the time in its manifest, which is that of measuring."""


@dataclass(frozen=True)
class Planned:
    """A batch as it would be run: its runs in their order with the settings of each, and those that cannot be run here
    with the reason."""

    name: str
    runs_dir: Path
    runs: tuple[PlannedRun, ...]
    settings: Mapping[str, Settings]
    unfit: Mapping[str, WorkbenchError]

    def estimates(self) -> list[tuple[PlannedRun, Estimate]]:
        """How long each run that can be run here will take, estimated from earlier runs in the same folder."""
        finished = _earlier(self.runs_dir)
        return [(run, estimate(kind_of(run, self.settings[run.name]), finished)) for run in self.fit]

    @property
    def fit(self) -> tuple[PlannedRun, ...]:
        """The runs that can be run here."""
        return tuple(run for run in self.runs if run.name not in self.unfit)


def planned(plan: BatchPlan, options: Mapping[str, Any], labels: Mapping[str, str], config: Path | None) -> Planned:
    """The runs of a plan with their settings; ``options`` override the plan's settings, ``labels`` name them in errors.

    Raises SettingsError if an option is also an axis of the plan, or if the settings of a run cannot be used. It names
    the plan's file and line if the value is from there.
    """
    for name in options:
        if name in plan.grid.axes:
            raise SettingsError("it is also an axis of the plan", where=labels.get(name, name), hint="Leave it out")
    common = {**plan.settings, **options}
    where = {name: plan.source.at("settings", name) for name in plan.settings} | dict(labels)
    runs = runs_of(plan.grid)
    name = str(options.get("name") or plan.name or NAME)
    base = Settings.resolve(
        toml=config,
        labels={**labels, "name": labels.get("name", plan.source.at("name"))},
        name=name,
        **{key: options[key] for key in ("runs_dir",) if key in options},
    )
    settings = {}
    for run in runs:
        own = {key: _of_run(plan, run, key) for key in run.changes}
        given = {**common, **run.changes, "name": run.name}
        try:
            settings[run.name] = Settings.resolve(toml=config, labels={**where, **own}, **given)
        except SettingsError as error:
            # a rule about several settings does not tell which value is wrong
            place = error.where or f"{plan.source.name or 'plan'}: {run.label}"
            raise SettingsError(error.what, where=place, hint=error.hint) from None
    return of_runs(name, base.runs_dir, runs, settings)


def of_runs(name: str, runs_dir: Path, runs: Sequence[PlannedRun], settings: Mapping[str, Settings]) -> Planned:
    """A batch of these runs, after a check which of them can be run here. Each is judged by the thresholds that it
    measures. Raises SettingsError for steps that cannot be read, and for a threshold that no run measures."""
    unfit: dict[str, WorkbenchError] = {}
    of_all = dict.fromkeys(text for one in settings.values() for text in one.fail_if)
    require_fitting(list(of_all), [settings[run.name].profiler for run in runs])
    settings = {
        name: one.model_copy(update={"fail_if": fitting(one.fail_if, one.profiler)}) for name, one in settings.items()
    }
    for run in runs:
        steps_of(settings[run.name])
        try:
            check_subject(settings[run.name])
        except WorkbenchError as error:
            unfit[run.name] = error
    return Planned(name, runs_dir, tuple(runs), settings, unfit)


class BatchParameters(Parameters, total=False):
    """The settings of all runs, and those of a plan (:mod:`workbench.batches.plan`)."""

    order: str
    exclude: list[dict[str, Any]]
    include: list[dict[str, Any]]
    rules: list[dict[str, Any]]


@with_settings(SweepSettings, LoadSettings, also=get_type_hints(BatchParameters))
async def batch(
    plan: str | Path | Mapping[str, Any] | None = None,
    *,
    axes: Mapping[str, Any] | None = None,
    batch_dir: str | Path | None = None,
    resume: str | Path | None = None,
    keep_going: bool = False,
    say: Say | None = None,
    **settings: Unpack[BatchParameters],
) -> Batch:
    """Sweeps by a plan: every combination of some settings, each a run with notebook and report, and a summary of all.

    ``plan`` is a TOML file, or a mapping with the keys of one (:mod:`workbench.batches.plan`). Without one, ``axes``
    says which settings have which values, such as ``{"rate": [100, 200], "profiler": ["none", "callgrind"]}``.
    ``settings`` are fields of :class:`workbench.Settings` for all runs, and ``repeats``, ``order``, ``exclude``,
    ``include`` and ``rules`` those of a plan. ``batch_dir`` opens an existing batch, ``resume`` continues
    an interrupted one. ``keep_going`` leaves out runs whose tool is missing. ``say`` gets the progress line by line.

    A run that fails is noted, and the others continue. The result's ``table`` is a DataFrame with a row per run. Raises
    SettingsError for a plan that cannot be used, ToolError if the summary cannot be made.
    """
    heard, given = say or _silent, cast(dict[str, Any], settings)
    if batch_dir is not None:
        return Batch.open(Path(batch_dir))
    if resume is not None:
        return await resume_batch(Path(resume), config=None, say=heard)
    if isinstance(plan, (str, Path)):
        if axes is not None:
            raise SettingsError("the plan file already has axes", where="axes", hint="Give the file alone")
        found = read_plan(Path(plan))
    else:
        stored = dict(plan or {}) | ({} if axes is None else {"axes": axes})
        stored |= {key: given.pop(key) for key in _OF_A_PLAN if key in given}
        found = plan_of(stored)
    return await run_batch(planned(found, given, {}, None), keep_going=keep_going, config=None, say=heard)


async def run_batch(made: Planned, *, keep_going: bool, config: Path | None, say: Say) -> Batch:
    """The runs of a batch one after another, and a summary of them all.

    With ``keep_going``, runs whose tool is not installed or cannot run their target are left out and reported; without
    it they are an error before anything runs. A run that fails is reported and the others continue. Raises
    SettingsError, ToolError or RunFolderError.
    """
    if made.unfit and (not keep_going or not made.fit):
        first = next(iter(made.unfit.values()))
        hint = f"{first.hint or 'It cannot be run here'}; or leave such runs out with --keep-going"
        raise type(first)(first.what, where=first.where, hint=hint if made.fit else first.hint)
    skipped = {name: f"{error.what}{f'. {error.hint}' if error.hint else ''}" for name, error in made.unfit.items()}
    for name, why in skipped.items():
        say(f"{name}: left out, {why}")
    folder = Batch.create(made.runs_dir, made.name, made.fit, skipped, command_line())
    folder.remember(made.settings)
    return await _run(folder, made.settings, config, say)


async def resume_batch(path: Path, *, config: Path | None, say: Say) -> Batch:
    """Continue an interrupted batch: finished runs stay, an interrupted run is continued, failed ones are tried
    again."""
    folder = Batch.open(path)
    if not folder.facts().get("settings_kept"):
        raise SettingsError("the batch has no stored settings", where=str(path), hint="Start a new one")
    settings = {run.name: Settings.restore(run.changes, toml=config) for run in folder.planned}
    return await _run(folder, settings, config, say)


def exit_code(batch: Batch) -> int:
    """1 if a threshold of any run failed; else the first exit code other than 0 of the runs without a profiler, or of
    all runs if none is without. If all are 0 but a run could not be made, EXIT_TOOL."""
    runs = batch.runs().values()
    thresholds = [one for run in runs for one in run.manifest.get("thresholds") or ()]
    if any(one["verdict"] != "PASS" for one in thresholds):
        return EXIT_SLO_FAILED
    plain = [run for run in runs if (run.manifest.get("settings") or {}).get("profiler", "none") == "none"]
    worst = next((run.exit_code for run in plain or runs if run.exit_code != EXIT_PASS), EXIT_PASS)
    return EXIT_TOOL if worst == EXIT_PASS and batch.errors else worst


def reported(run: Run) -> bool:
    """Whether a run has finished, and its notebook and report after it."""
    notebook = run.manifest.get("notebook") or {}
    return run.manifest["state"] == "finished" and notebook.get("status") == "ok"


def kind_of(run: PlannedRun, settings: Settings) -> Kind:
    """What the time of a run depends on."""
    closed = in_flight(settings) is not None
    steps = parse_steps(settings.receipts)
    seconds = sum(
        sending_s(step.receipts, None if closed else rate_of(settings, step.receipts), settings.profiler)
        for step in steps
    )
    return Kind(", ".join(f"{axis} {value}" for axis, value in run.axes.items()), settings.profiler, round(seconds, 3))


async def _run(batch: Batch, settings: Mapping[str, Settings], config: Path | None, say: Say) -> Batch:
    async with exclusive(batch.path / _LOCK, "the batch is being run", wait_s=_LOCK_WAIT_S):
        todo = [run for run in batch.planned if not _is_done(batch, run)]
        kinds = {run.name: kind_of(run, settings[run.name]) for run in batch.planned}
        earlier = _earlier(batch.path.parent)
        if todo:
            say(f"{len(todo)} of {len(batch.planned)} runs to come: {_all(batch, todo, kinds, earlier).text}")
        for at, run in enumerate(todo):
            number = len(batch.planned) - len(todo) + at + 1
            rest = _all(batch, todo[at:], kinds, earlier)
            own = _all(batch, [run], kinds, earlier)
            when = f"{own.text}; all that remain {rest.text}, {_until(rest)}"
            say(f"run {number} of {len(batch.planned)}, {run.label}: {when}")
            await _make(batch, run, settings[run.name], config, say)
        await summarise(batch)
    return batch


async def _make(batch: Batch, planned: PlannedRun, settings: Settings, config: Path | None, say: Say) -> None:
    """Make one run, or continue it from its present state, and note how it ended."""
    run = batch.runs().get(planned.name)
    go_on = f"workbench batch --resume {batch.path}"
    began, whole = time.monotonic(), run is None
    try:
        if run is not None and run.manifest["state"] == "finished":
            await report_run(run.path, say=say)  # the batch was killed after this run, before its report was done
        elif run is not None and run.manifest["state"] != "new":
            await report_sweep(None, resume=run.path, config=config, say=say, go_on=go_on)
        else:
            # a folder in which nothing was measured yet is used again: each run has one folder
            begun = batch.folder(planned.name)
            own = settings.model_copy(update={"name": planned.name, "runs_dir": batch.path})
            into = None if begun is None else RunFolder.at(begun)
            await report_sweep(own, resume=None, config=config, say=say, go_on=go_on, folder=into)
    except WorkbenchError as error:
        batch.ended(planned.name, str(error))
        say(f"{planned.name}: {error}")
    except Exception as error:  # whatever fails in one run, the others must still be made
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        batch.ended(planned.name, text)
        say(f"{planned.name}: unexpected error: {text}")
    else:
        batch.ended(planned.name, None, time.monotonic() - began if whole else None)


async def summarise(batch: Batch) -> None:
    """Make notebook and report of a batch. Raises ToolError if the notebook fails."""
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


def _is_done(batch: Batch, planned: PlannedRun) -> bool:
    folder = batch.folder(planned.name)
    return folder is not None and RunFolder(folder).exists() and reported(Run(folder))


def _all(batch: Batch, runs: Sequence[PlannedRun], kinds: Mapping[str, Kind], earlier: Sequence[Finished]) -> Estimate:
    """How long these runs will take, estimated from finished runs of the batch, or from earlier ones if the batch has
    none with that profiler."""
    own = [Finished(kinds[name], seconds) for name, seconds in batch.seconds.items() if name in kinds]
    known = {one.kind.profiler for one in own}
    return total([kinds[run.name] for run in runs], [*own, *(one for one in earlier if one.kind.profiler not in known)])


def _earlier(runs_dir: Path) -> list[Finished]:
    """How long the runs in the same folder took, those of other batches too."""
    try:
        rows = rows_in(runs_dir)
    except RunFolderError:
        return []  # the folder does not exist yet
    found = []
    for row in rows:
        if row["state"] != "finished" or row["duration_s"] is None or row["kind"] != "sweep":
            continue
        try:
            receipts = sum(step.receipts for step in parse_steps(row["receipts"]))
        except SettingsError:
            continue
        sending = sending_s(receipts, row["rate_per_s"], row["profiler"])
        found.append(Finished(Kind("earlier", row["profiler"], sending), row["duration_s"] + _NOTEBOOK_S))
    return found


def _of_run(plan: BatchPlan, run: PlannedRun, name: str) -> str:
    """Where in the plan a run's setting is from, for errors."""
    axis = next((axis for axis, value in run.axes.items() if name in plan.grid.axes.get(axis, {}).get(value, {})), None)
    if axis is None:
        return f"{plan.source.name or 'plan'}: {name} of {run.label}"
    return f"{plan.source.at('axes', axis, run.axes[axis])} ({run.label})"


def _until(rest: Estimate) -> str:
    return f"until {datetime.now() + timedelta(seconds=rest.seconds):%H:%M}"


def _silent(line: str) -> None:
    """A ``say`` that prints nothing."""


def dry_run_lines(made: Planned) -> list[str]:
    """The runs of a batch with the estimate of each and of all, as lines."""
    estimates = made.estimates()
    lines = [f"{run.name}  {run.label}: {one.text}" for run, one in estimates]
    lines += [f"{name}  cannot be run here: {error}" for name, error in made.unfit.items()]
    whole = sum((one for _, one in estimates), Estimate(0.0))
    guessed = f", {whole.guessed} guessed: no run under that profiler has finished here" if whole.guessed else ""
    return [*lines, f"{len(estimates)} runs, about {duration(whole.seconds)}{guessed}"]

"""Windows that were cut by hand, as a run with a step for each, so that it can be read and reported like any other.

The run folder can be made again: its windows refer to the raw files at their place.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from workbench.analysis.step_row import StepRow, to_frame
from workbench.errors import RunFolderError, SettingsError
from workbench.profilers.inside import COUNTS
from workbench.profilers.modes import Mode
from workbench.profilers.windows.record import Window, record_path
from workbench.runs.atomic import write_parquet
from workbench.runs.folder import RunFolder, utc_now
from workbench.runs.machine import machine, versions
from workbench.runs.read import Run, open_run
from workbench.sweep.cost_table import Sent, keep_costs, keep_idle_costs
from workbench.sweep.steps import Step
from workbench.sweep.windows import FOLDER, IDLE, window_name


def run_of_windows(
    windows: Sequence[Window], path: Path, *, given: Mapping[str, int] | None = None
) -> tuple[Run, list[str]]:
    """Make a run at ``path`` of the windows of one mode; returns it and the names of windows that were left out.

    ``given`` has the receipts of a window by its name; without it they are counted from the runs made during the
    window. A window of 0 receipts, or one named ``idle``, is the idle window: it shows what the idle service costs.
    Windows with an unknown number of receipts are left out. Raises SettingsError if a name does not exist or no window
    has receipts, RunFolderError if ``path`` is something else.
    """
    given = given or {}
    names = list(dict.fromkeys(window.name for window in windows))
    if unknown := sorted(set(given) - set(names)):
        raise SettingsError(
            f"there is no window {unknown[0]}", where="--receipts", hint=f"There are {', '.join(names) or 'none'}"
        )
    counts = {window.name: _counts(window, given) for window in windows}
    idle = [name for name in names if counts[name] == _nothing() or (name == IDLE and counts[name] is None)][:1]
    left_out = [name for name in names if counts[name] in (None, _nothing()) and name not in idle]
    steps = [name for name in names if name not in (*idle, *left_out)]
    if not steps:
        raise SettingsError(
            "no window has a known number of receipts",
            where="--receipts",
            hint=f"Give them, as in --receipts {names[0] if names else 'NAME'}=100",
        )
    _clear(path)
    folder = RunFolder.at(path)
    mode = windows[0].mode
    rows, before = [], 0
    for number, name in enumerate(steps, 1):
        sent = counts[name] or _nothing()
        parts = [window for window in windows if window.name == name]
        rows.append(_row(number, mode, sent, parts[0]))
        own = tuple(_kept_as(window, window_name(number), path) for window in parts)
        receipts = Sent(sent["sent"], sent["accepted"], sent["denied"], before)
        keep_costs(path, Step(number, sent["sent"], "step"), receipts, own)
        before += sent["sent"]
    for name in idle:
        keep_idle_costs(path, tuple(_kept_as(one, IDLE, path) for one in windows if one.name == name))
    write_parquet(path / "steps.parquet", to_frame(rows))
    folder.update_manifest(
        name="by hand",
        created=utc_now(),
        state="finished",
        exit_code=0,
        settings={},
        versions=versions(),
        machine=machine(),
        profiler={"mode": mode},
        windows={window_name(number): name for number, name in enumerate(steps, 1)},
    )
    return open_run(path), left_out


def _counts(window: Window, given: Mapping[str, int]) -> dict[str, int] | None:
    if window.name in given:
        return {"sent": given[window.name], "accepted": given[window.name], "denied": 0}
    found = window.facts.get("receipts")
    return {name: int(found[name]) for name in COUNTS} if isinstance(found, dict) else None


def _nothing() -> dict[str, int]:
    return dict.fromkeys(COUNTS, 0)


def _clear(path: Path) -> None:
    """Remove an earlier derived run; refuse to remove anything else."""
    if not path.exists():
        return
    if not RunFolder(path).exists() or RunFolder(path).manifest().get("name") != "by hand":
        raise RunFolderError("exists and is not a report of windows", where=str(path), hint="Move it away")
    shutil.rmtree(path)


def _kept_as(window: Window, name: str, run: Path) -> Window:
    """The record of a window under a step's name in the run's folder; raw files stay at their place."""
    folder = run / FOLDER / window.service / window.mode
    folder.mkdir(parents=True, exist_ok=True)
    files = {what: os.path.relpath(window.path(what), folder) for what in window.files}
    kept = replace(window, name=name, folder=folder, files=files, facts={**window.facts, "window": window.name})
    kept.write()
    if not record_path(folder, name).exists():
        raise RunFolderError("the window's record was not written", where=str(folder))
    return kept


def _row(number: int, mode: Mode, sent: Mapping[str, int], window: Window) -> StepRow:
    """The row of a step: from the run made during the window if it is one run of one step, otherwise only counts."""
    values: dict[str, Any] = {field.name: _ABSENT.get(str(field.type), None) for field in fields(StepRow)}
    runs = [open_run(Path(path)).steps for path in window.facts.get("runs", []) if Path(path).is_dir()]
    if len(runs) == 1 and len(runs[0]) == 1 and int(runs[0]["sent"].iloc[0]) == sent["sent"]:
        values.update({name: value for name, value in runs[0].iloc[0].items() if name in values})
    failed = sent["sent"] - sent["accepted"] - sent["denied"]
    values.update(step=number, kind="step", profiler=mode, duration_s=window.seconds, failed=failed, **sent)
    values.update(receipts=sent["sent"], offered=sent["sent"], paid=sent["accepted"])
    return StepRow(**values)


# empty values, by type, for what a window cut by hand does not know
_ABSENT: Mapping[str, Any] = {"float": math.nan, "int": 0, "str": ""}

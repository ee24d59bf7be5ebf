"""A batch: the runs of one plan, each in its own folder, with one record of all of them.

``<UTC time>-<name>/``: ``batch.json``, the runs' folders, ``notebook.ipynb`` and ``report.html`` of all together.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.batches.grid import PlannedRun
from workbench.batches.tiles import RunOfBatch, batch_tiles
from workbench.card import card
from workbench.catalogue.listing import row_in
from workbench.errors import RunFolderError, WorkbenchError, of_system
from workbench.runs.atomic import write_json
from workbench.runs.folder import RunFolder, utc_now
from workbench.settings import Settings
from workbench.sweep.opened import SweepRun, open_run
from workbench.sweep.run_profiles import RunProfiles

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.findings import Findings
    from workbench.analysis.tiles import Tile

FILE = "batch.json"
SCHEMA = 2
"""Schema 1 has one run for each profiler mode: ``modes`` in place of ``runs``."""

FIGURES = (
    "throughput_per_s", "response_p50_ms", "response_p95_ms", "response_p99_ms", "limit_receipts",
    "denial_lag_receipts", "instructions_per_receipt", "cpu_ms_per_receipt", "system_calls_per_receipt",
    "kept_bytes_per_receipt", "python_lines_per_receipt",
)  # fmt: skip
"""The figures in the table of a batch, if any of its runs has them."""


@dataclass(frozen=True)
class Batch:
    """One batch, read from its folder each time."""

    path: Path

    _repr_mimebundle_ = card("batch")

    @classmethod
    def create(
        cls, runs_dir: Path, name: str, runs: Sequence[PlannedRun], skipped: Mapping[str, str], command: str
    ) -> Batch:
        """A new batch folder that plans ``runs``; ``skipped`` gives the reason for each run left out. Raises
        RunFolderError if it cannot be made."""
        folder = RunFolder.create(runs_dir, name).path
        for unused in ("samples", "interrupted"):
            (folder / unused).rmdir()
        batch = cls(folder)
        facts = [
            {"name": run.name, "axes": dict(run.axes), "repeat": run.repeat, "repeats": run.repeats}
            | {"settings": dict(run.changes)}
            for run in runs
        ]
        batch._write(
            {"schema": SCHEMA, "created": utc_now(), "command": command, "runs": facts}
            | {"skipped": dict(skipped), "errors": {}, "seconds": {}}
        )
        return batch

    @classmethod
    def open(cls, path: Path) -> Batch:
        """The batch in a folder. Raises RunFolderError if it is not a batch."""
        batch = cls(path)
        batch.facts()
        return batch

    def facts(self) -> dict[str, Any]:
        """The content of batch.json; that of an earlier release is converted."""
        try:
            facts = json.loads((self.path / FILE).read_text("utf-8"))
        except FileNotFoundError:
            raise RunFolderError(f"this is not the folder of a batch: it has no {FILE}", where=str(self.path)) from None
        except OSError as error:
            raise of_system(RunFolderError, "cannot be read", error, self.path / FILE) from None
        except ValueError as error:
            raise RunFolderError(f"cannot be read: {error}", where=str(self.path / FILE)) from None
        if isinstance(facts, dict) and facts.get("schema") == 1:
            facts = _as_of_now(facts)
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise RunFolderError(
                f"has a schema that this workbench cannot read; it reads schema {SCHEMA} and older",
                where=str(self.path / FILE),
            )
        return facts

    @property
    def planned(self) -> tuple[PlannedRun, ...]:
        """The runs of the plan in order, without those left out. Their ``changes`` are all their settings."""
        return tuple(
            PlannedRun(run["name"], run["axes"], run["repeat"], run["settings"], run["repeats"])
            for run in self.facts()["runs"]
        )

    @property
    def skipped(self) -> dict[str, str]:
        """Runs that were left out, and why."""
        skipped: dict[str, str] = self.facts()["skipped"]
        return skipped

    @property
    def errors(self) -> dict[str, str]:
        """Runs that ended in an error, with the error."""
        errors: dict[str, str] = self.facts()["errors"]
        return errors

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of the runs that ended without interruption, with their notebooks and reports."""
        seconds: dict[str, float] = self.facts()["seconds"]
        return seconds

    def remember(self, settings: Mapping[str, Settings]) -> None:
        """Store the settings of each run, without keys and passwords, so that the batch can be resumed."""
        facts = self.facts()
        for run in facts["runs"]:
            run["settings"] = settings[run["name"]].public()
        self._write({**facts, "settings_kept": True})

    def ended(self, name: str, error: str | None, seconds: float | None = None) -> None:
        """Store the error a run ended with (None: no error), and how long it took if it was not interrupted."""
        facts = self.facts()
        facts["errors"].pop(name, None)
        if error is not None:
            facts["errors"][name] = error
        elif seconds is not None:
            facts["seconds"][name] = round(seconds, 3)
        self._write(facts)

    def folder(self, name: str) -> Path | None:
        """The folder of a run, the newest if several were begun; None if none was."""
        of_run = re.compile(rf"\d{{8}}T\d{{6}}Z-{re.escape(name)}(-\d+)?")
        found = sorted(path for path in self.path.iterdir() if of_run.fullmatch(path.name) and path.is_dir())
        return found[-1] if found else None

    def runs(self) -> dict[str, SweepRun]:
        """The runs that were begun, by name, finished or not."""
        folders = {run.name: self.folder(run.name) for run in self.planned}
        return {
            name: open_run(folder)
            for name, folder in folders.items()
            if folder is not None and RunFolder(folder).exists()
        }

    def lines(self) -> list[str]:
        """The result of each run, a line each: its verdict, or the error it ended with, or why it was left out."""
        runs, errors, lines = self.runs(), self.errors, []
        for planned in self.planned:
            run = runs.get(planned.name)
            verdict = {} if run is None else run.manifest.get("verdict") or {}
            sentence = verdict.get("sentence") or errors.get(planned.name) or (run and run.manifest.get("error"))
            state = "no run" if run is None else verdict.get("headline", run.verdict)
            label = planned.name if self.once_a_mode else f"{planned.name} ({planned.label})"
            lines.append(f"{label}: {state}: {sentence}" if sentence else f"{label}: {state}")
            thresholds = [] if run is None else run.manifest.get("thresholds") or []
            lines += [f"  {one['sentence']}" for one in thresholds]
        return [*lines, *(f"{name}: left out, {why}" for name, why in self.skipped.items())]

    @property
    def table(self) -> pd.DataFrame:
        """The plan's runs, a row each: ``run`` (its name), a column for each axis, ``repeat``, ``state`` (``not
        begun``, else as in :func:`workbench.runs`), ``verdict``, ``validity``, those of FIGURES that any run has,
        ``error``, ``seconds`` (NaN unless it ended without interruption) and ``folder``. Units are in the names."""
        import pandas as pd

        errors, seconds, axes = self.errors, self.seconds, self.axes
        rows = []
        for run in self.planned:
            folder = self.folder(run.name)
            row = row_in(folder) if folder is not None and RunFolder(folder).exists() else {}
            place = {axis: run.axes.get(axis, "") for axis in axes}
            known = {"state": "not begun", "verdict": "", "validity": ""} | row
            told = {name: known[name] for name in ("state", "verdict", "validity")}
            figures = {name: row.get(name) for name in FIGURES}
            ended = {"error": errors.get(run.name, ""), "seconds": seconds.get(run.name, math.nan)}
            where = "" if folder is None else folder.name
            rows.append({"run": run.name, **place, "repeat": run.repeat, **told, **figures, **ended, "folder": where})
        table = pd.DataFrame(rows)
        for name in FIGURES:
            table[name] = table[name].astype("float64")
        return table.drop(columns=[name for name in FIGURES if table[name].isna().all()])

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes, in the plan's order."""
        return tuple(dict.fromkeys(axis for run in self.planned for axis in run.axes))

    @property
    def once_a_mode(self) -> bool:
        """Whether the runs differ only in the profiler, so that their results can be shown as one."""
        return self.axes in ((), ("profiler",)) and all(run.repeat == 1 for run in self.planned)

    def profiles(self) -> dict[str, RunProfiles]:
        """The profiles of the runs that have any, by the run's name."""
        found = {name: RunProfiles(run) for name, run in self.runs().items()}
        return {name: profiles for name, profiles in found.items() if profiles.mode != "none" and profiles.services}

    @property
    def findings(self) -> Findings:
        """The findings in the profiles of all runs, as one ranked list."""
        return findings_of(self.profiles())

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The four answers shown first wherever the batch is shown: see :mod:`workbench.analysis.tiles`. Profiles that
        cannot be read are ignored."""
        try:
            findings = self.findings
        except WorkbenchError:
            findings = None
        return self.tiles_with(findings)

    def tiles_with(self, findings: Findings | None) -> tuple[Tile, ...]:
        """The tiles, with findings already computed."""
        runs, errors = self.runs(), self.errors
        of_runs = []
        for planned in self.planned:
            run, error = runs.get(planned.name), errors.get(planned.name, "")
            label = planned.name if self.once_a_mode else planned.label
            of_runs.append(RunOfBatch(label, {}, {}, error) if run is None else _of_batch(label, run, error))
        return batch_tiles(of_runs, findings, list(self.skipped))

    def _write(self, facts: dict[str, Any]) -> None:
        write_json(self.path / FILE, facts)


def findings_of(profiles: Mapping[str, RunProfiles]) -> Findings:
    """The findings in the profiles of several runs, as one ranked list."""
    from workbench.analysis.findings import find

    return find([found.measured(service) for found in profiles.values() for service in found.services])


def _of_batch(label: str, run: SweepRun, error: str) -> RunOfBatch:
    try:
        figures = run.figures
    except WorkbenchError:
        figures = {}
    return RunOfBatch(label, run.manifest, figures, error)


def _as_of_now(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a batch of schema 1, converted: the same sweep once in each mode."""
    settings, profiled = facts.get("settings"), facts.get("profiled_receipts")
    runs = []
    for mode in facts["modes"]:
        own = {**(settings or {}), "profiler": mode}
        if mode != "none" and profiled:
            own["receipts"] = profiled
        runs.append({"name": mode, "axes": {"profiler": mode}, "repeat": 1, "repeats": 1, "settings": own})
    kept = {name: facts[name] for name in ("created", "command", "skipped", "errors") if name in facts}
    return {"skipped": {}, "errors": {}, **kept, "schema": SCHEMA, "runs": runs, "seconds": {}} | (
        {} if settings is None else {"settings_kept": True}
    )

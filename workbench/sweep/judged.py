"""The thresholds of a run, judged by its measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.analysis import measured_figures as figures
from workbench.analysis.conclude import conclude_run
from workbench.analysis.step_row import from_frame
from workbench.errors import SettingsError
from workbench.sweep.noise_known import noise_floors_of
from workbench.sweep.opened import SweepRun
from workbench.thresholds.judge import Judged, judge
from workbench.thresholds.parse import parse_thresholds

if TYPE_CHECKING:
    from workbench.thresholds.figures import Figure
    from workbench.thresholds.names import Name


def judge_run(run: SweepRun, fail_if: Sequence[str], limit: Mapping[str, Any] | None = None) -> tuple[Judged, ...]:
    """The result of each threshold in ``fail_if``. ``limit``: the conclusion, if it is not in the manifest yet.

    Only what the thresholds need is read: profiles are not read for thresholds on latencies. Raises SettingsError for a
    text that is not a threshold.
    """
    thresholds = parse_thresholds(fail_if)
    if not thresholds:
        return ()
    rows = from_frame(run.steps) if len(run.steps) else []
    limit = limit if limit is not None else run.manifest.get("limit") or {}
    predicted = (run.manifest.get("prediction") or {}).get("receipts")

    def measured(name: Name) -> list[Figure]:
        if name.of == "cost":
            profiles = run.profiles
            leaks = {service: profiles.leaks(service) for service in profiles.services} if name.metric == "leak" else {}
            return figures.cost_figures(name, profiles.costs, leaks, profiles.mode)
        if name.of == "run":
            return figures.run_figures(name, rows, limit, predicted)
        return figures.step_figures(name, rows)

    floors = noise_floors_of(run)

    def noise_pct(name: Name) -> float:
        return floors[name.name].floor_pct if name.name in floors else math.nan

    return tuple(judge(threshold, measured(threshold.name), noise_pct(threshold.name)) for threshold in thresholds)


def rejudge(run: SweepRun, fail_if: Sequence[str]) -> None:
    """Judge a finished run by other thresholds, and write the result into its manifest."""
    rows = from_frame(run.steps) if len(run.steps) else []
    limit = run.manifest.get("limit") or {}
    judged = judge_run(run, fail_if)
    verdict = conclude_run(rows, limit, judged)
    run.folder.update_manifest(
        verdict=verdict, thresholds=[one.as_dict() for one in judged], exit_code=verdict["exit_code"]
    )


def fitting(fail_if: Sequence[str], mode: str) -> list[str]:
    """The thresholds that a run under ``mode`` (or ``none``) can be judged by: times only without a profiler, costs
    only under their own profiler, the limit only if the run looks for it."""
    return [text for text, why in _misfits(fail_if, mode).items() if not why]


def require_fitting(fail_if: Sequence[str], modes: Sequence[str]) -> None:
    """Raise SettingsError, before anything is sent, for a threshold that no run under one of ``modes`` measures."""
    for text in fail_if:
        misfits = [_misfits([text], mode)[text] for mode in modes]
        if misfits and all(misfits):
            raise SettingsError(f"{text!r} would not be measured: {misfits[0]}", where="fail_if")


def _misfits(fail_if: Sequence[str], mode: str) -> dict[str, str]:
    """For each threshold, why a run under ``mode`` cannot measure it; "" if it can."""
    found = {}
    for text, threshold in zip(fail_if, (parse_thresholds([text])[0] for text in fail_if), strict=True):
        name, why = threshold.name, ""
        if name.of == "cost" and name.mode != mode:
            why = f"{name.name} is measured with --profiler {name.mode}, not with {mode}"
        elif name.of == "time" and mode != "none":
            why = f"times under {mode} are distorted; leave --profiler out"
        elif name.of == "run" and name.name.startswith("limit") and mode != "none":
            why = f"the limit is not measured under {mode}; leave --profiler out"
        found[text] = why
    return found

"""Warnings from this machine's calibration about the coming steps, before anything is sent."""

from __future__ import annotations

from typing import Any

from workbench.calibration.expect import why_beyond
from workbench.calibration.identity import identity
from workbench.calibration.stored import known
from workbench.load.engines.chosen import processes_of
from workbench.load.plan import OpenPlan
from workbench.settings import Settings
from workbench.sweep.record import Record
from workbench.sweep.setup import plan_of
from workbench.sweep.steps import Step


def expect(settings: Settings, record: Record, steps: tuple[Step, ...]) -> None:
    """Keep the known calibration in the manifest, and report which steps go beyond it, or why it is not used.

    Events ``beyond_calibration`` and ``calibration_not_used``, each with ``why``. Generators on other machines are not
    judged, nor runs under a profiler, where lateness does not matter.
    """
    if settings.engine != "local":
        return
    manifest = record.folder.manifest()
    found = known(settings.runs_dir, identity(manifest["machine"], manifest["versions"]))
    facts: dict[str, Any] = {} if found.calibration is None else found.calibration.to_json()
    if found.why_not:
        facts["not_used"] = found.why_not
    plans = [plan_of(settings, step.receipts, step.number) for step in steps if not record.has(step)]
    plan = max((plan for plan in plans if isinstance(plan, OpenPlan)), key=lambda plan: plan.peak_rate, default=None)
    if plan is not None and settings.profiler == "none":
        if found.why_not:
            record.event("calibration_not_used", why=found.why_not)
        elif found.calibration is not None and (
            why := why_beyond(found.calibration, plan.peak_rate, processes_of(settings, plan))
        ):
            facts["warning"] = why
            record.event("beyond_calibration", why=why)
    if facts:
        record.folder.update_manifest(calibration=facts)

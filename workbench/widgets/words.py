"""A run's status as text, the same in the panel and in a page without a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workbench.markup import markup, safe
from workbench.numbers import UNKNOWN, duration, milliseconds, per_second
from workbench.runs.status import RunStatus, StepStatus

HEADINGS: Mapping[str, str] = {
    "step": "Step",
    "bar": "Done",
    "state": "State",
    "answered": "Answered",
    "rate": "Rate",
    "p50": "Response p50",
    "p99": "p99",
    "outcomes": "Outcomes",
    "left": "Time left",
    "verdict": "Verdict",
}
_KINDS = {"pinpoint": "walk to the limit", "paired": "without profiler", "warm_up": "warm-up"}


def words_of(status: RunStatus) -> dict[str, Any]:
    """Everything a panel shows of a run, as text; ``share`` of each step is a number from 0 to 1."""
    return {
        "run": status.name,
        "state": status.state,
        "about": f": {_about(status)}",
        "doing": "" if status.ended else status.doing,
        "sentence": status.sentence,
        "headings": dict(HEADINGS),
        "steps": [_step(step) for step in status.steps],
    }


def run_html(words: Mapping[str, Any]) -> str:
    """The same as HTML that needs neither script nor kernel."""
    if not words["run"]:
        return markup("widgets/paragraphs", lines=["No run was started."])
    columns = [name for name in words["headings"] if name != "bar"]
    steps = markup(
        "widgets/table",
        headings=[words["headings"][name] for name in columns],
        rows=[[step[name] for name in columns] for step in words["steps"]],
        said="",
    )
    said = [words[name] for name in ("doing", "sentence") if words[name]]
    return markup("widgets/run", run=words["run"], about=words["about"], said=said, steps=safe(steps))


def _about(status: RunStatus) -> str:
    steps = f"{status.done} of {len(status.steps)} steps done"
    if status.state == "new":
        return "starting"
    if status.state == "running":
        if not status.steps or (status.running is None and not status.done):
            return "running, starting the target"
        left = "" if math.isnan(status.left_s) else f", about {duration(status.left_s)} left"
        return f"running, {steps}{left}"
    verdict = f", {status.verdict}" if status.verdict else ""
    return f"{status.state}, {steps}{verdict}"


def _step(step: StepStatus) -> dict[str, Any]:
    begun = step.state not in ("planned", "left out")
    return {
        "step": str(step.number) if step.kind == "step" else f"{step.number}, {_KINDS.get(step.kind, step.kind)}",
        "share": step.share,
        "state": step.state,
        "answered": f"{step.answered:,} of {step.receipts:,}" if begun else f"{step.receipts:,} planned",
        "rate": UNKNOWN if math.isnan(step.rate_per_s) else per_second(step.rate_per_s),
        "p50": UNKNOWN if math.isnan(step.p50_ms) else milliseconds(step.p50_ms),
        "p99": UNKNOWN if math.isnan(step.p99_ms) else milliseconds(step.p99_ms),
        "outcomes": _outcomes(step) if begun and step.state != "cut off" else "",
        "left": "" if step.state in ("done", "cut off", "left out") else duration(step.left_s),
        "verdict": f"{step.verdict}: {step.reason}" if step.verdict else "",
    }


def _outcomes(step: StepStatus) -> str:
    others = {name: count for name, count in step.by_outcome.items() if name not in ("ok", "denied")}
    named = "".join(f", {name} {count:,}" for name, count in others.items())
    if not named and step.failed:
        named = f", failed {step.failed:,}"
    return f"accepted {step.accepted:,}, denied {step.denied:,}{named}"

"""The status of a run in figures: steps planned, done and running, and the time left.

Pure: facts of the run folder in (read by :mod:`workbench.runs.follow`), a :class:`RunStatus` out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from workbench.progress import left_s, line_of

StepState = Literal["planned", "sending", "settling", "done", "cut off", "left out"]
"""Settling: everything is sent, and the agent gets time to count it."""

ENDED = ("finished", "interrupted", "failed")
Event = tuple[str, Mapping[str, Any]]
"""A line of events.jsonl: its kind, and all of it."""


@dataclass(frozen=True)
class Live:
    """The figures of the running step so far: receipts ``answered``, how many ``by_outcome``, recent answers per second
    (``rate_per_s``), and percentiles of the response time of the accepted in ms (NaN: too few to tell)."""

    answered: int = 0
    by_outcome: Mapping[str, int] = field(default_factory=dict)
    rate_per_s: float = math.nan
    p50_ms: float = math.nan
    p99_ms: float = math.nan


@dataclass(frozen=True)
class StepStatus:
    """One step. ``rate_per_s``: recent answers per second while it sends, accepted receipts per second when it is done.
    ``p50_ms`` and ``p99_ms``: response times of the accepted (NaN: too few to tell). ``left_s``: seconds until it is
    done, 0 when done, NaN if unknown."""

    number: int
    receipts: int
    kind: str = "step"
    state: StepState = "planned"
    answered: int = 0
    accepted: int = 0
    denied: int = 0
    failed: int = 0
    rate_per_s: float = math.nan
    p50_ms: float = math.nan
    p99_ms: float = math.nan
    by_outcome: Mapping[str, int] = field(default_factory=dict)
    verdict: str = ""
    reason: str = ""
    left_s: float = math.nan

    @property
    def share(self) -> float:
        """How much of the step is answered, from 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.answered / self.receipts) if self.receipts else 0.0


@dataclass(frozen=True)
class RunStatus:
    """A run. ``state`` as :meth:`workbench.runs.folder.RunFolder.state_now` has it; ``doing``: the last event in words;
    ``sentence``: verdict or error of a run that has ended; ``left_s``: seconds until all steps are done, NaN if
    unknown."""

    name: str
    state: str
    steps: tuple[StepStatus, ...] = ()
    doing: str = ""
    verdict: str = ""
    sentence: str = ""
    left_s: float = math.nan

    @property
    def ended(self) -> bool:
        """Whether it is no longer measured."""
        return self.state in ENDED

    @property
    def running(self) -> StepStatus | None:
        """The step that is being measured."""
        return next((step for step in self.steps if step.state in ("sending", "settling")), None)

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.state == "done" for step in self.steps)


def status_of(
    name: str,
    manifest: Mapping[str, Any],
    state: str,
    events: Sequence[Event],
    rows: Iterable[Mapping[str, Any]] = (),
    rates: Mapping[int, float] | None = None,
    live: Live | None = None,
    kept: Mapping[int, int] | None = None,
) -> RunStatus:
    """The status of a run from the facts in its folder.

    ``state``: as it is now. ``rows``: the finished steps as steps.parquet has them. ``rates``: receipts per second that
    are planned for each step, NaN or absent in a closed loop. ``live``: the rows of the running step. ``kept``: how
    many rows are kept of each step that was cut off.
    """
    course = _Course.of(events)
    measured = {int(row["step"]): row for row in rows}
    planned = {int(step["number"]): step for step in manifest.get("steps_planned") or ()}
    seen = {number: facts for number, facts in course.started.items() if number not in planned}
    steps = [StepStatus(number, int(one["receipts"]), one.get("kind", "step")) for number, one in planned.items()]
    steps += [
        StepStatus(number, int(one["receipts"]), str(one.get("kind_of_step", "step"))) for number, one in seen.items()
    ]
    steps += [
        StepStatus(number, int(row["receipts"]), str(row["kind"]))
        for number, row in measured.items()
        if number not in planned and number not in seen
    ]
    shown = [_as_measured(step, course, measured.get(step.number), live, state in ENDED) for step in steps]
    shown = [
        replace(step, answered=(kept or {}).get(step.number, step.answered)) if step.state == "cut off" else step
        for step in shown
    ]
    timed = _with_times(shown, rates or {}, course.overhead_s(measured))
    verdict = manifest.get("verdict") or {}
    return RunStatus(
        name=name,
        state=state,
        steps=tuple(timed),
        doing=course.doing,
        verdict=str(verdict.get("verdict", "")),
        sentence=str(verdict.get("sentence") or manifest.get("error") or "") if state in ENDED else "",
        left_s=0.0 if state in ENDED else sum(step.left_s for step in timed),
    )


@dataclass(frozen=True)
class _Course:
    """What the events say about steps, by number: those that ``started`` since the run was last resumed or are done,
    how long each took (``took_s``), the last ``progress`` of each, and which were ``left_out``."""

    started: dict[int, Mapping[str, Any]]
    finished: frozenset[int]
    left_out: frozenset[int]
    progress: Mapping[int, Mapping[str, Any]]
    took_s: Mapping[int, float]
    doing: str

    @classmethod
    def of(cls, events: Iterable[Event]) -> _Course:
        started: dict[int, Mapping[str, Any]] = {}
        progress: dict[int, Mapping[str, Any]] = {}
        took: dict[int, float] = {}
        left_out: set[int] = set()
        doing = ""
        for kind, facts in events:
            if kind == "step_started":
                started.pop(int(facts["step"]), None)  # a step that is run again comes last
                started[int(facts["step"])] = facts
                took.pop(int(facts["step"]), None)
            elif kind == "progress":
                progress[int(facts["step"])] = facts
            elif kind == "step_finished":
                number = int(facts["step"])
                took[number] = _seconds(started.get(number, facts), facts)
            elif kind == "step_left_out":
                left_out.add(int(facts["step"]))
            elif kind in ("run_started", "run_resumed"):  # a cut-off step is run again
                started = {number: one for number, one in started.items() if number in took}
                progress = {number: one for number, one in progress.items() if number in took}
            if kind != "progress":
                doing = line_of(kind, dict(facts)) or doing
        return cls(started, frozenset(took), frozenset(left_out), progress, took, doing)

    @property
    def current(self) -> int | None:
        """The step that was started last."""
        return next(reversed(self.started), None)

    def overhead_s(self, measured: Mapping[int, Mapping[str, Any]]) -> float:
        """The seconds that a step takes besides sending, on average over finished steps; 0 if there are none."""
        extra = [self.took_s.get(number, math.nan) - _number(row["duration_s"]) for number, row in measured.items()]
        known = [max(0.0, seconds) for seconds in extra if not math.isnan(seconds)]
        return sum(known) / len(known) if known else 0.0


def _as_measured(
    step: StepStatus, course: _Course, row: Mapping[str, Any] | None, live: Live | None, ended: bool
) -> StepStatus:
    """A planned step with its measurements so far."""
    number = step.number
    if row is not None and (number in course.finished or number not in course.started):
        return replace(
            step,
            state="done",
            answered=int(row["sent"]),
            accepted=int(row["accepted"]),
            denied=int(row["denied"]),
            failed=int(row["failed"]),
            rate_per_s=_number(row["throughput_per_s"]),
            p50_ms=_number(row["response_p50_ms"]),
            p99_ms=_number(row["response_p99_ms"]),
            verdict=str(row["verdict"]),
            reason=str(row["reason"]),
        )
    if number in course.left_out:
        return replace(step, state="left out")
    if number not in course.started:
        return step
    said = course.progress.get(number, {})
    answered = int(said.get("done", 0))
    if ended:
        return replace(step, state="cut off", answered=answered, accepted=int(said.get("ok", 0)))
    if live is None or number != course.current:
        all_sent = answered >= step.receipts > 0
        return replace(
            step, state="settling" if all_sent else "sending", answered=answered, accepted=int(said.get("ok", 0))
        )
    counts = live.by_outcome
    accepted, denied = counts.get("ok", 0), counts.get("denied", 0)
    return replace(
        step,
        state="settling" if live.answered >= step.receipts > 0 else "sending",
        answered=live.answered,
        accepted=accepted,
        denied=denied,
        failed=live.answered - accepted - denied,
        rate_per_s=live.rate_per_s,
        p50_ms=live.p50_ms,
        p99_ms=live.p99_ms,
        by_outcome={name: count for name, count in counts.items() if count},
    )


def _with_times(steps: Sequence[StepStatus], rates: Mapping[int, float], overhead_s: float) -> list[StepStatus]:
    """The steps with the time left of each: from the planned rate, in a closed loop from the rate measured so far."""
    seen = [step.rate_per_s for step in steps if step.rate_per_s > 0]
    usual = seen[-1] if seen else math.nan

    def left(step: StepStatus) -> float:
        if step.state in ("done", "left out", "cut off"):
            return 0.0
        if step.kind == "pinpoint" or not step.receipts:  # the length of a walk to the limit is not known
            return math.nan if step.state == "planned" else 0.0
        planned = rates.get(step.number, math.nan)
        rate = planned if planned > 0 else step.rate_per_s if step.rate_per_s > 0 else usual
        return left_s(step.receipts - step.answered, rate) + overhead_s

    return [replace(step, left_s=left(step)) for step in steps]


def _number(value: Any) -> float:
    """A figure of a table, whose cell is empty if it is not known."""
    return math.nan if value is None else float(value)


def _seconds(begin: Mapping[str, Any], end: Mapping[str, Any]) -> float:
    """The time between two events; NaN if one has no time."""
    try:
        times = [datetime.fromisoformat(str(facts["time"])) for facts in (begin, end)]
    except (KeyError, ValueError):
        return math.nan
    return (times[1] - times[0]).total_seconds()

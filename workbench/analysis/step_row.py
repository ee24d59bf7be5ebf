"""The row of one step in steps.parquet."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from workbench.analysis.limit import Denial, Heard
from workbench.load.interference import Interference, disturbances
from workbench.load.plan import OpenPlan, Plan
from workbench.load.summary import StepSummary
from workbench.receipts.fields import WEI_PER_GRT
from workbench.runs.shape import Kind
from workbench.service.budget import Fees
from workbench.service.stored import StoredSince

if TYPE_CHECKING:
    import pandas as pd

_PERCENTILES = {
    "response": ("p50", "p90", "p95", "p99", "max"),
    "service": ("p50", "p90", "p95", "p99", "max"),
    "lag": ("p50", "p99", "max"),
}


@dataclass(frozen=True)
class Judgement:
    """Verdict and reason of a step, and apart from them the target's failure (empty if none).

    The two are independent: a late generator makes the latencies of a step INVALID, but a receipt that was refused or
    lost still counts as refused or lost.
    """

    verdict: str
    reason: str
    failure: str


@dataclass(frozen=True)
class StepRow:
    """One step: what was planned, what happened, what it cost.

    ``budget_receipts``: the predicted number of the receipt that triggers denial, counted from the step's start.
    ``paid``: receipts that the payer was charged for: the accepted ones, and those whose query failed after the receipt
    was stored. ``throughput_per_s`` counts accepted receipts. Latencies are of accepted receipts, ``lag`` of all; a
    percentile is NaN if the step has too few samples for it. ``first_refusal_*``, ``crossing_index`` and
    ``denial_lag_*``: see :class:`workbench.analysis.limit.Denial`. ``denied_after_settle``: whether the agent held the
    payer denied after it had counted the step (yes, no, unknown). ``counted``: receipts charged to the payer's budget
    since the run began, by the agent's count (NaN: not known). ``stored``: receipts of this step found in the database;
    ``invalid``: receipts that the agent refused to aggregate meanwhile, and ``invalid_reasons`` why;
    ``aggregated_grt``: what the payer's RAVs took up meanwhile. ``denylisted_s``, ``denylist_lag_s`` and
    ``paid_after_denylisted``: see :class:`workbench.analysis.limit.Heard`.
    ``profiler``: the mode that the service ran under; it distorts latencies.
    ``service_cpu_s``: CPU time of the service's processes from the step's first request until they were quiet, in a
    step under a profiler and its paired step (NaN in others, and if the processes are on another machine).
    ``signed_late``: receipts signed inside the timed path; ``signed_anew``: receipts signed again before it, because
    they would have been too old when due. ``closed_idle`` and ``surplus``: see :class:`workbench.load.spec.StepReport`.
    Disturbances of the generator (NaN: not known), see :class:`workbench.load.interference.Interference`:
    ``loop_delay_max_ms``; ``loop_held_percent``: the share of the step's time in which the event loop was held up by
    more than 5 ms at a time; ``gc_pauses`` and ``gc_pause_max_ms``; ``clock_step_ms``; ``preempted``; ``throttled_ms``;
    ``steal_percent`` of the CPU time that the machine needed; ``other_cpu_percent`` of one core, used by processes
    other than generator and service. ``disturbances``: those worth reporting, in words; "" if none.
    ``response_p95_low_ms`` and ``response_p95_high_ms`` (and so on): the 95 % interval of a percentile, which allows
    for correlated neighbouring requests; NaN if the step has too few. ``effective_n``: this many independent receipts
    would say as much about response times as the ``accepted`` ones. ``warm_up``: accepted receipts at the start that
    differ from the rest (0: none; NaN: not known); they count like all others. ``settles``: whether response times
    became steady in the first half of the step (yes, no, unknown). ``in_flight_mean``: requests in flight on average
    after the first quarter of the sending; ``littles_law``: whether it fits rate and service time (yes, no, unknown).
    ``steadiness``: these warnings in words; "" if none. ``repeat``: the number of the repeat of this size, from 1.
    ``verdict``, ``reason``, ``failure``: see :class:`Judgement`.
    ``survived``: receipts of the payer's budget that the agent had surely counted without denying it, in a step in
    which it was denied (NaN: not seen). ``drain_s``: from when the last receipt was due until the last answer. Columns
    named ``_index`` count from 0, as ``index`` of the samples does; messages count receipts from 1.
    """

    step: int
    kind: str
    receipts: int
    loop: str
    rate_per_s: float
    concurrency: float
    payer: str
    value_grt: float
    fees_before_grt: float
    budget_receipts: float
    offered: int
    sent: int
    accepted: int
    denied: int
    failed: int
    paid: int
    duration_s: float
    throughput_per_s: float
    response_p50_ms: float
    response_p90_ms: float
    response_p95_ms: float
    response_p99_ms: float
    response_max_ms: float
    service_p50_ms: float
    service_p90_ms: float
    service_p95_ms: float
    service_p99_ms: float
    service_max_ms: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    generator_cpu_percent: float
    first_refusal_index: float
    first_refusal_s: float
    fees_at_first_refusal_grt: float
    crossing_index: float
    denial_lag_receipts: float
    denial_lag_s: float
    denied_after_settle: str
    fees_after_grt: float
    settle_s: float
    counted: float
    stored: float
    invalid: float
    invalid_reasons: str
    aggregated_grt: float
    denylisted_s: float
    denylist_lag_s: float
    paid_after_denylisted: float
    verdict: str
    reason: str
    failure: str
    profiler: str
    service_cpu_s: float
    signed_late: int = 0
    signed_anew: int = 0
    closed_idle: int = 0
    surplus: int = 0
    loop_delay_max_ms: float = math.nan
    loop_held_percent: float = math.nan
    gc_pauses: float = math.nan
    gc_pause_max_ms: float = math.nan
    clock_step_ms: float = math.nan
    preempted: float = math.nan
    throttled_ms: float = math.nan
    steal_percent: float = math.nan
    other_cpu_percent: float = math.nan
    disturbances: str = ""
    response_p50_low_ms: float = math.nan
    response_p50_high_ms: float = math.nan
    response_p90_low_ms: float = math.nan
    response_p90_high_ms: float = math.nan
    response_p95_low_ms: float = math.nan
    response_p95_high_ms: float = math.nan
    response_p99_low_ms: float = math.nan
    response_p99_high_ms: float = math.nan
    service_p50_low_ms: float = math.nan
    service_p50_high_ms: float = math.nan
    service_p90_low_ms: float = math.nan
    service_p90_high_ms: float = math.nan
    service_p95_low_ms: float = math.nan
    service_p95_high_ms: float = math.nan
    service_p99_low_ms: float = math.nan
    service_p99_high_ms: float = math.nan
    effective_n: float = math.nan
    warm_up: float = math.nan
    settles: str = "unknown"
    in_flight_mean: float = math.nan
    littles_law: str = "unknown"
    steadiness: str = ""
    repeat: int = 1
    survived: float = math.nan
    drain_s: float = math.nan


def step_row(
    *,
    step: int,
    kind: str,
    plan: Plan,
    payer: str,
    value_wei: int,
    before: Fees | None,
    budget: int | None,
    summary: StepSummary,
    denial: Denial,
    after: Fees | None,
    settled: bool,
    settle_s: float,
    counted: float,
    judgement: Judgement,
    profiler: str = "none",
    service_cpu_s: float = math.nan,
    repeat: int = 1,
    found: StoredSince | None = None,
    heard: Heard | None = None,
    survived: float = math.nan,
) -> StepRow:
    """The parts of a step as one row."""
    # the denylist decides what the service does, whatever the agent's gauge says
    denied = denial.refused or (found is not None and found.denied) or (after is not None and after.denied)
    denied_after = "yes" if denied else "no" if settled and after is not None else "unknown"
    return StepRow(
        step=step,
        kind=kind,
        **_planned(plan),
        payer=payer,
        value_grt=value_wei / WEI_PER_GRT,
        fees_before_grt=_spent_grt(before),
        budget_receipts=math.nan if budget is None else float(budget),
        **_summarised(summary),
        paid=denial.paid,
        first_refusal_index=denial.refusal_index,
        first_refusal_s=denial.refusal_s,
        fees_at_first_refusal_grt=denial.fees_grt,
        crossing_index=denial.crossing_index,
        denial_lag_receipts=denial.lag_receipts,
        denial_lag_s=denial.lag_s,
        denied_after_settle=denied_after,
        fees_after_grt=_spent_grt(after),
        settle_s=settle_s,
        counted=counted,
        **_stored(found),
        **_heard(heard or Heard()),
        verdict=judgement.verdict,
        reason=judgement.reason,
        failure=judgement.failure,
        profiler=profiler,
        service_cpu_s=service_cpu_s,
        **_interference(summary.interference),
        **_sure(summary),
        repeat=repeat,
        survived=survived,
    )


def _planned(plan: Plan) -> dict[str, Any]:
    """What was to be sent."""
    loop: dict[str, Any]
    if isinstance(plan, OpenPlan):
        loop = {"loop": "open", "rate_per_s": float(plan.mean_rate), "concurrency": math.nan}
    else:
        loop = {"loop": "closed", "rate_per_s": math.nan, "concurrency": float(plan.concurrency)}
    return {"receipts": plan.count, **loop}


def _summarised(summary: StepSummary) -> dict[str, Any]:
    """What was sent, how it was answered, and when."""
    counts = ("offered", "sent", "accepted", "denied", "failed", "signed_late", "signed_anew", "closed_idle", "surplus")
    figures = ("duration_s", "throughput_per_s", "generator_cpu_percent", "drain_s")
    percentiles = {
        f"{clock}_{name}_ms": getattr(getattr(summary, clock), f"{name}_ms")
        for clock, names in _PERCENTILES.items()
        for name in names
    }
    return {name: getattr(summary, name) for name in (*counts, *figures)} | percentiles


def _stored(found: StoredSince | None) -> dict[str, Any]:
    """What the database held of the step; NaN if it cannot be read."""
    if found is None:
        return {"stored": math.nan, "invalid": math.nan, "invalid_reasons": "", "aggregated_grt": math.nan}
    return {
        "stored": float(found.receipts),
        "invalid": float(found.invalid),
        "invalid_reasons": found.reasons,
        "aggregated_grt": found.aggregated_wei / WEI_PER_GRT,
    }


def _heard(heard: Heard) -> dict[str, Any]:
    """What the database said of the denial."""
    return {
        "denylisted_s": heard.denied_s,
        "denylist_lag_s": heard.lag_s,
        "paid_after_denylisted": heard.paid_after,
    }


def _interference(interference: Interference | None) -> dict[str, Any]:
    """What disturbed the generator; empty if it was not measured."""
    if interference is None:
        return {}
    figures = {
        "loop_delay_max_ms": interference.loop_delay_max_ms,
        "loop_held_percent": 100 * interference.loop_held_s[0] / interference.seconds if interference.seconds else None,
        "gc_pauses": interference.gc_pauses,
        "gc_pause_max_ms": interference.gc_pause_max_ms,
        "clock_step_ms": interference.clock_step_ms,
        "preempted": interference.preempted,
        "throttled_ms": interference.throttled_ms,
        "steal_percent": _percent(interference.steal_share),
        "other_cpu_percent": _percent(interference.other_cores),
    }
    known = {name: math.nan if value is None else float(value) for name, value in figures.items()}
    return {**known, "disturbances": "; ".join(disturbances(interference))}


def _sure(summary: StepSummary) -> dict[str, Any]:
    """The intervals of the percentiles, and whether the step was steady."""
    found: dict[str, Any] = {}
    for clock in ("response", "service"):
        for one in getattr(summary, f"{clock}_intervals"):
            found |= {f"{clock}_{one.name}_low_ms": one.low, f"{clock}_{one.name}_high_ms": one.high}
    steady = summary.steady
    law = steady.law
    return {
        **found,
        "effective_n": next((one.effective_n for one in summary.response_intervals), math.nan),
        "warm_up": math.nan if steady.start.settles is None else float(steady.start.rows),
        "settles": _said(steady.start.settles),
        "in_flight_mean": law.in_flight,
        "littles_law": _said(law.holds),
        "steadiness": "; ".join(steady.sentences),
    }


def _said(answer: bool | None) -> str:
    return "unknown" if answer is None else "yes" if answer else "no"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _spent_grt(fees: Fees | None) -> float:
    return math.nan if fees is None else fees.spent / WEI_PER_GRT


LATER: dict[str, Any] = {
    "profiler": "none",
    "invalid_reasons": "",
    **dict.fromkeys(
        (
            "service_cpu_s",
            "invalid",
            "aggregated_grt",
            "denylisted_s",
            "denylist_lag_s",
            "paid_after_denylisted",
        ),
        math.nan,
    ),
}
"""The columns that runs of earlier releases lack, with values for "not known"."""


def to_frame(rows: list[StepRow]) -> pd.DataFrame:
    """The rows as a DataFrame with the columns of StepRow, also if there are no rows."""
    import pandas as pd

    return pd.DataFrame([vars(row) for row in rows], columns=list(StepRow.__dataclass_fields__))


def from_frame(frame: pd.DataFrame) -> list[StepRow]:
    """The inverse of to_frame. Older runs lack columns that were added later."""
    records = [{str(name): value for name, value in record.items()} for record in frame.to_dict(orient="records")]
    return [StepRow(**{**LATER, **record}) for record in records]


_KINDS: dict[str, Kind] = {"int": "number", "float": "number", "str": "text"}
COLUMNS: dict[str, Kind] = {field.name: _KINDS[str(field.type)] for field in fields(StepRow)}
"""The columns of a run of this release, and what they hold."""
REQUIRED: dict[str, Kind] = {
    field.name: COLUMNS[field.name] for field in fields(StepRow) if field.default is MISSING and field.name not in LATER
}
"""The columns that every run has."""

"""The row of one step in steps.parquet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.analysis.limit import Denial, Heard
from workbench.load.plan import OpenPlan, Plan
from workbench.load.summary import StepSummary
from workbench.receipts.fields import WEI_PER_GRT
from workbench.service.budget import Fees
from workbench.service.stored import StoredSince

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Judgement:
    """Verdict and reason of a step, and apart from them what the target did wrong (empty when nothing).

    The two are independent: a late generator spoils the latencies of a step (INVALID), but a receipt that was refused
    or lost is refused or lost all the same.
    """

    verdict: str
    reason: str
    failure: str


@dataclass(frozen=True)
class StepRow:
    """One step: what was planned, what happened, what it cost.

    ``budget_receipts`` is the predicted number of the receipt that triggers denial, counted from the step's start.
    ``paid`` counts receipts the payer was charged for: the accepted ones, and those whose query failed after the
    receipt had been stored. ``throughput_per_s`` counts accepted receipts. Latencies are of accepted receipts,
    ``lag`` of all; a percentile is NaN where the step has too few samples to carry it. ``first_refusal_*``,
    ``crossing_index`` and ``denial_lag_*`` as in :class:`workbench.analysis.limit.Denial`. ``denied_after_settle``:
    whether the agent held the payer denied once it had counted the step (yes, no, unknown). ``counted``: receipts that
    the payer's budget was charged for since the run began, by the agent's count (NaN: not known). ``stored``: receipts
    of this step found in the database; ``invalid``: those that the agent refused to aggregate meanwhile, and
    ``invalid_reasons`` why; ``aggregated_grt``: what RAVs of the payer took up meanwhile. ``denylisted_s``,
    ``denylist_lag_s`` and ``paid_after_denylisted`` as in :class:`workbench.analysis.limit.Heard`.
    ``profiler``: the mode the service was under, whose latencies it distorts.
    ``service_cpu_s``: CPU time of the service's processes from the step's first request until they were quiet, in a
    step under a profiler and the one paired with it (NaN in others, and where they are not of this machine).
    ``signed_late`` receipts were signed inside the timed path, ``signed_anew`` ahead of it, since they would have been
    too old at their turn.
    ``verdict``, ``reason``, ``failure``: see :class:`Judgement`.
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
    found: StoredSince | None = None,
    heard: Heard | None = None,
) -> StepRow:
    """Lay the parts of a step out as one row."""
    nan = math.nan
    heard = heard or Heard()
    is_open = isinstance(plan, OpenPlan)
    # the service goes by the denylist, whatever the agent's gauge says
    denied = denial.refused or (found is not None and found.denied) or (after is not None and after.denied)
    denied_after = "yes" if denied else "no" if settled and after is not None else "unknown"
    return StepRow(
        step=step,
        kind=kind,
        receipts=plan.count,
        loop="open" if is_open else "closed",
        rate_per_s=float(plan.rate) if isinstance(plan, OpenPlan) else nan,
        concurrency=nan if isinstance(plan, OpenPlan) else float(plan.concurrency),
        payer=payer,
        value_grt=value_wei / WEI_PER_GRT,
        fees_before_grt=nan if before is None else before.spent / WEI_PER_GRT,
        budget_receipts=nan if budget is None else float(budget),
        offered=summary.offered,
        sent=summary.sent,
        accepted=summary.accepted,
        denied=summary.denied,
        failed=summary.failed,
        paid=denial.paid,
        duration_s=summary.duration_s,
        throughput_per_s=summary.throughput_per_s,
        **{
            f"{clock}_{name}_ms": getattr(getattr(summary, clock), f"{name}_ms")
            for clock in ("response", "service")
            for name in ("p50", "p90", "p95", "p99", "max")
        },
        lag_p50_ms=summary.lag.p50_ms,
        lag_p99_ms=summary.lag.p99_ms,
        lag_max_ms=summary.lag.max_ms,
        generator_cpu_percent=summary.generator_cpu_percent,
        first_refusal_index=denial.refusal_index,
        first_refusal_s=denial.refusal_s,
        fees_at_first_refusal_grt=denial.fees_grt,
        crossing_index=denial.crossing_index,
        denial_lag_receipts=denial.lag_receipts,
        denial_lag_s=denial.lag_s,
        denied_after_settle=denied_after,
        fees_after_grt=nan if after is None else after.spent / WEI_PER_GRT,
        settle_s=settle_s,
        counted=counted,
        stored=nan if found is None else float(found.receipts),
        invalid=nan if found is None else float(found.invalid),
        invalid_reasons="" if found is None else found.reasons,
        aggregated_grt=nan if found is None else found.aggregated_wei / WEI_PER_GRT,
        denylisted_s=heard.denied_s,
        denylist_lag_s=heard.lag_s,
        paid_after_denylisted=heard.paid_after,
        verdict=judgement.verdict,
        reason=judgement.reason,
        failure=judgement.failure,
        profiler=profiler,
        service_cpu_s=service_cpu_s,
        signed_late=summary.signed_late,
        signed_anew=summary.signed_anew,
    )


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
"""Columns that runs of earlier releases lack, as what is not known."""


def to_frame(rows: list[StepRow]) -> pd.DataFrame:
    """The rows as a DataFrame with the columns of StepRow, also when there is none."""
    import pandas as pd

    return pd.DataFrame([vars(row) for row in rows], columns=list(StepRow.__dataclass_fields__))


def from_frame(frame: pd.DataFrame) -> list[StepRow]:
    """The inverse of to_frame. Older runs lack columns that came later."""
    records = [{str(name): value for name, value in record.items()} for record in frame.to_dict(orient="records")]
    return [StepRow(**{**LATER, **record}) for record in records]

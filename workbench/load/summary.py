"""What the samples of one step say: counts, throughput, percentiles, validity. Pure functions over a DataFrame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.outcome import OUTCOME_NAMES, Outcome
from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

# The validity gate. An open loop that was late, or a generator without CPU to spare, measured itself.
MIN_SENT_SHARE = 0.99
MAX_LAG_SHARE = 0.10  # of the service's median
MEDIAN_LAG_FLOOR_MS = 1.0  # event loop timers tick in milliseconds
LATE_FLOOR_MS = 5.0  # an idle virtual machine wakes a process 2 to 3 ms late one time in a hundred
MAX_LATE_SHARE = 0.01
MAX_GENERATOR_CPU = 90.0
MAX_SIGNED_LATE_SHARE = 0.01


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds of ``n`` values. A percentile p needs n >= 10 / (1 - p), else it is NaN.

    Ten values beyond the percentile: with fewer, one hiccup decides it.
    """

    n: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, values_ns: npt.NDArray[np.int64]) -> Latency:
        """Percentiles of a latency column in nanoseconds."""
        n = len(values_ns)
        if n == 0:
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        milliseconds = np.asarray(values_ns, dtype=float) / 1e6
        p50, p90, p95, p99 = (
            float(np.percentile(milliseconds, p, method="inverted_cdf")) if n * (100 - p) >= 1000 else math.nan
            for p in (50, 90, 95, 99)
        )
        return cls(n, p50, p90, p95, p99, float(milliseconds.max()))


@dataclass(frozen=True)
class StepSummary:
    """One step in numbers.

    ``accepted`` were answered with a good body, ``denied`` by the denylist, ``failed`` are all others.

    ``response`` and ``service`` hold only accepted receipts (a refusal is fast and would flatter them), ``lag`` all.
    ``invalid`` says why the generator, and not the service, was measured; ``cut_short`` why not even the cost of the
    step can be told, since a part of it was not sent, and is then the reason in ``invalid`` too; ``failures`` which
    receipts were neither accepted nor denied. All are empty when all is well. ``signed_late`` and ``signed_anew`` as in
    :class:`workbench.load.spec.StepReport`.
    """

    offered: int
    sent: int
    accepted: int
    denied: int
    failed: int
    outcomes: dict[str, int]
    duration_s: float
    throughput_per_s: float
    response: Latency
    service: Latency
    lag: Latency
    generator_cpu_percent: float
    invalid: str
    failures: str
    cut_short: str = ""
    signed_late: int = 0
    signed_anew: int = 0


def summarise(samples: pd.DataFrame, plan: Plan, report: StepReport) -> StepSummary:
    """The summary of one step from its samples, its plan and the generator's own report."""
    outcome = samples["outcome"].astype(str).to_numpy()
    counts = {name: int((outcome == name).sum()) for name in OUTCOME_NAMES}
    sent_ns, done_ns = samples["sent_ns"].to_numpy(), samples["done_ns"].to_numpy()
    intended_ns = samples["intended_ns"].to_numpy()
    good = outcome == Outcome.OK.value
    duration_s = float(done_ns.max() - intended_ns.min()) / 1e9 if len(samples) else 0.0
    accepted = int(good.sum())
    service = Latency.of((done_ns - sent_ns)[good])
    lag = Latency.of(sent_ns - intended_ns)
    denied = counts[Outcome.DENIED.value]
    failed = len(samples) - accepted - denied
    cut_short = _cut_short(plan, report, len(samples))
    return StepSummary(
        offered=plan.count,
        sent=len(samples),
        accepted=accepted,
        denied=denied,
        failed=failed,
        outcomes={name: count for name, count in counts.items() if count},
        duration_s=duration_s,
        throughput_per_s=accepted / duration_s if duration_s else 0.0,
        response=Latency.of((done_ns - intended_ns)[good]),
        service=service,
        lag=lag,
        generator_cpu_percent=report.cpu_percent,
        invalid=cut_short or _late(plan, report, service, sent_ns - intended_ns),
        failures=_failures(counts),
        cut_short=cut_short,
        signed_late=report.signed_late,
        signed_anew=report.signed_anew,
    )


def _failures(counts: dict[str, int]) -> str:
    expected = (Outcome.OK.value, Outcome.DENIED.value)
    bad = ", ".join(f"{count} {name}" for name, count in counts.items() if count and name not in expected)
    return f"receipts were not accepted: {bad}" if bad else ""


def _cut_short(plan: Plan, report: StepReport, sent: int) -> str:
    """Why the step is not the whole one; empty when it is."""
    if report.interrupted:
        return f"interrupted after {sent} of {plan.count} receipts"
    if sent < MIN_SENT_SHARE * plan.count:
        return f"only {sent} of {plan.count} receipts were sent"
    return ""


def _late(plan: Plan, report: StepReport, service: Latency, lag_ns: npt.NDArray[np.int64]) -> str:
    """Why the step measured the generator; empty when it did not."""
    # at least two, here and below, so that one hiccup in a short step decides nothing
    if report.signed_late > max(1, MAX_SIGNED_LATE_SHARE * plan.count):
        return f"{report.signed_late} receipts had to be signed inside the timed path"
    if not isinstance(plan, OpenPlan):
        return ""
    if report.cap_hits:
        return f"the limit of requests in flight was reached {report.cap_hits} times, so the plan was not kept"
    if report.cpu_percent > MAX_GENERATOR_CPU:
        return f"the generator used {report.cpu_percent:.0f} % of a core and had none to spare"
    share_ms = 0.0 if math.isnan(service.p50_ms) else MAX_LAG_SHARE * service.p50_ms
    median_ms = float(np.median(lag_ns)) / 1e6
    if median_ms > max(MEDIAN_LAG_FLOOR_MS, share_ms):
        return f"half of the requests left {median_ms:.1f} ms or more after their time"
    allowed_ms = max(LATE_FLOOR_MS, share_ms)
    # the share of late ones, not a percentile of few
    late = int((lag_ns > allowed_ms * 1e6).sum())
    if late > max(1, MAX_LATE_SHARE * len(lag_ns)):
        return f"{late} of {len(lag_ns)} requests left more than {allowed_ms:.1f} ms after their time"
    return ""

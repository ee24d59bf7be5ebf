"""What the samples of one step say: counts, throughput, percentiles, validity. Pure functions over a DataFrame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.outcome import OUTCOME_NAMES, Outcome
from workbench.load.plan import Plan
from workbench.load.spec import StepReport
from workbench.load.suffered import Suffered
from workbench.load.validity import why_cut_short, why_late

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


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
    receipts were neither accepted nor denied. All are empty when all is well. ``signed_late``, ``signed_anew``,
    ``closed_idle``, ``surplus`` and ``suffered`` as in :class:`workbench.load.spec.StepReport`.
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
    closed_idle: int = 0
    surplus: int = 0
    suffered: Suffered | None = None


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
    cut_short = why_cut_short(plan, report, len(samples))
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
        invalid=cut_short or why_late(plan, report, service.p50_ms, sent_ns - intended_ns),
        failures=_failures(counts),
        cut_short=cut_short,
        signed_late=report.signed_late,
        signed_anew=report.signed_anew,
        closed_idle=report.closed_idle,
        surplus=report.surplus,
        suffered=report.suffered,
    )


def _failures(counts: dict[str, int]) -> str:
    expected = (Outcome.OK.value, Outcome.DENIED.value)
    bad = ", ".join(f"{count} {name}" for name, count in counts.items() if count and name not in expected)
    return f"receipts were not accepted: {bad}" if bad else ""

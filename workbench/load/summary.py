"""The summary of one step's samples: counts, throughput, percentiles, validity. Pure functions over chunks of rows.

Figures are exact and memory is bounded: some figures read the rows several times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.chunks import CLOCKS, Chunks
from workbench.load.histogram import Histogram, order_statistics, rank_of, to_frame
from workbench.load.interference import Interference
from workbench.load.outcome import OUTCOME_NAMES, Outcome
from workbench.load.plan import Plan
from workbench.load.spec import StepReport
from workbench.load.steadiness import UNKNOWN, Steadiness, intervals, steadiness
from workbench.load.validity import Lateness, allowed_lag_ms, why_cut_short, why_late
from workbench.stats.quantiles import Quantile

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Values = Callable[[], Iterable[npt.NDArray[np.int64]]]

_PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds of ``n`` values. A percentile p needs n >= 10 / (1 - p), otherwise it is NaN:
    with fewer than ten values beyond it, one hiccup decides it.
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
        return cls.of_many(lambda: (values_ns,))

    @classmethod
    def of_many(cls, values_ns: Values, histogram: Histogram | None = None) -> Latency:
        """:meth:`of` for all arrays from ``values_ns()``, which may be called several times; exact, in bounded memory.

        ``histogram``: that of these values, if it is already made.
        """
        histogram = histogram or Histogram.of(values_ns())
        n = histogram.total
        if n == 0:
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        carried = [p for p in _PERCENTS if n * (100 - p) >= 1000]
        found = order_statistics(values_ns, [int(rank_of(n, p)) for p in carried], histogram)
        by_percent = {p: value / 1e6 for p, value in zip(carried, found, strict=True)}
        p50, p90, p95, p99 = (by_percent.get(p, math.nan) for p in _PERCENTS)
        return cls(n, p50, p90, p95, p99, histogram.maximum / 1e6)


@dataclass(frozen=True)
class StepSummary:
    """One step in numbers.

    ``accepted`` receipts got a good answer, ``denied`` ones were refused by the denylist, ``failed`` are all others.

    ``response`` and ``service`` cover only accepted receipts (refusals are fast and would make them look better),
    ``lag`` all. ``invalid``: why the step measured the generator and not the service. ``cut_short``: why a part of the
    step was not sent, so that even its cost is unknown; then ``invalid`` has the same reason. ``failures``: which
    receipts were neither accepted nor denied. These are empty if all is well. ``signed_late``, ``signed_anew``,
    ``closed_idle``, ``surplus`` and ``interference`` as in :class:`workbench.load.spec.StepReport`. ``drain_s``: from
    when the last receipt was due to the last answer. ``response_intervals`` and ``service_intervals``: 95 % intervals
    of the percentiles, in ms; ``steady``: whether the step was steady.
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
    drain_s: float = math.nan
    interference: Interference | None = None
    response_intervals: tuple[Quantile, ...] = ()
    service_intervals: tuple[Quantile, ...] = ()
    steady: Steadiness = UNKNOWN


@dataclass(frozen=True)
class Tally:
    """The result of one pass over a step's rows: counts by outcome (code) and without an answer, when the first and the
    last were due and the last was done, and a histogram of each clock (CLOCKS)."""

    count: int
    by_code: tuple[int, ...]
    unsure: int
    first_ns: int
    due_ns: int
    last_ns: int
    histograms: dict[str, Histogram]

    @property
    def outcomes(self) -> dict[str, int]:
        """The count of each outcome, zeros included."""
        return dict(zip(OUTCOME_NAMES, self.by_code, strict=True))


def tally(chunks: Chunks) -> Tally:
    """Count a step in one pass over its rows."""
    by_code = np.zeros(len(OUTCOME_NAMES), dtype=np.int64)
    histograms = {clock: Histogram() for clock in CLOCKS}
    count = unsure = 0
    first_ns, due_ns, last_ns = [], [], []
    for chunk in chunks:
        if not len(chunk):
            continue
        count += len(chunk)
        by_code += np.bincount(chunk.outcome[chunk.outcome >= 0], minlength=len(by_code))
        unsure += int(chunk.unsure.sum())
        first_ns.append(int(chunk.intended_ns.min()))
        due_ns.append(int(chunk.intended_ns.max()))
        last_ns.append(int(chunk.done_ns.max()))
        for clock, values in CLOCKS.items():
            histograms[clock].add(values(chunk))
    return Tally(
        count=count,
        by_code=tuple(by_code.tolist()),
        unsure=unsure,
        first_ns=min(first_ns, default=0),
        due_ns=max(due_ns, default=0),
        last_ns=max(last_ns, default=0),
        histograms=histograms,
    )


def summarise(chunks: Chunks, plan: Plan, report: StepReport, tallied: Tally | None = None) -> StepSummary:
    """The summary of one step from its rows, its plan and the generator's own report.

    ``tallied``: the :func:`tally` of the rows, if it is already made.
    """
    tallied = tallied or tally(chunks)
    counts = tallied.outcomes
    accepted, denied = counts[Outcome.OK.value], counts[Outcome.DENIED.value]
    duration_s = float(tallied.last_ns - tallied.first_ns) / 1e9
    latencies = {clock: Latency.of_many(partial(_clock, chunks, clock), tallied.histograms[clock]) for clock in CLOCKS}
    cut_short = why_cut_short(plan, report, tallied.count)
    service_p50_ms = latencies["service"].p50_ms
    late = ""
    if not cut_short and tallied.count:
        late = why_late(plan, report, service_p50_ms, _lateness(chunks, tallied, service_p50_ms))
    return StepSummary(
        offered=plan.count,
        sent=tallied.count,
        accepted=accepted,
        denied=denied,
        failed=tallied.count - accepted - denied,
        outcomes={name: count for name, count in counts.items() if count},
        duration_s=duration_s,
        throughput_per_s=accepted / duration_s if duration_s else 0.0,
        response=latencies["response"],
        service=latencies["service"],
        lag=latencies["lag"],
        generator_cpu_percent=report.cpu_percent,
        invalid=cut_short or late,
        failures=_failures(counts),
        cut_short=cut_short,
        signed_late=report.signed_late,
        signed_anew=report.signed_anew,
        closed_idle=report.closed_idle,
        surplus=report.surplus,
        drain_s=float(tallied.last_ns - tallied.due_ns) / 1e9,
        interference=report.interference,
        response_intervals=intervals(partial(_clock, chunks, "response"), tallied.histograms["response"]),
        service_intervals=intervals(partial(_clock, chunks, "service"), tallied.histograms["service"]),
        steady=steadiness(chunks, accepted),
    )


def histogram_table(chunks: Chunks, step: int, tallied: Tally | None = None) -> pd.DataFrame:
    """The distributions of a step's clocks; columns in :func:`workbench.load.histogram.to_frame`."""
    import pandas as pd

    tallied = tallied or tally(chunks)
    return pd.concat(
        [
            to_frame(histogram, partial(_clock, chunks, clock), step=step, clock=clock)
            for clock, histogram in tallied.histograms.items()
        ],
        ignore_index=True,
    )


def _clock(chunks: Chunks, clock: str) -> Iterator[npt.NDArray[np.int64]]:
    return map(CLOCKS[clock], chunks)


def _lateness(chunks: Chunks, tallied: Tally, service_p50_ms: float) -> Lateness:
    """How late the requests of a step were sent."""
    ranks = ((tallied.count - 1) // 2, tallied.count // 2)
    middle = order_statistics(partial(_clock, chunks, "lag"), ranks, tallied.histograms["lag"])
    allowed_ms = allowed_lag_ms(service_p50_ms)
    late = 0
    if tallied.histograms["lag"].maximum > allowed_ms * 1e6:
        late = sum(int((lag_ns > allowed_ms * 1e6).sum()) for lag_ns in _clock(chunks, "lag"))
    return Lateness(tallied.count, sum(middle) / 2 / 1e6, allowed_ms, late)


def _failures(counts: dict[str, int]) -> str:
    expected = (Outcome.OK.value, Outcome.DENIED.value)
    bad = ", ".join(f"{count} {name}" for name, count in counts.items() if count and name not in expected)
    return f"receipts were not accepted: {bad}" if bad else ""

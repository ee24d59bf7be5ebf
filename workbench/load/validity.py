"""Whether a step measured the service or its own generator: pure functions of its plan, rows and report.

A generator that was late or had no CPU to spare measured itself. The lag shows it; :mod:`workbench.load.interference`
names the cause, and decides by itself only if the lag cannot show it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.load.interference import Interference, causes, clock_step, disturbances, steal
from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport

MIN_SENT_SHARE = 0.99
MAX_LAG_SHARE = 0.10  # share of the service's median
MEDIAN_LAG_FLOOR_MS = 1.0  # event loop timers tick in milliseconds
LATE_FLOOR_MS = 5.0  # an idle virtual machine wakes a process 2 to 3 ms late one time in a hundred
MAX_LATE_SHARE = 0.01
MAX_GENERATOR_CPU = 90.0
MAX_SIGNED_LATE_SHARE = 0.01
MAX_HELD_UP_SHARE = 0.05  # share of the step's time: then values above p95 come from the loop, not from the service
MIN_HELD_UP_S = 0.1  # a few hiccups in a short step do not matter
MAX_STEAL_SHARE = 0.10  # everything then takes a tenth longer: as much as lag may add
MAX_CLOCK_STEP_MS = 100.0
"""Latencies use the monotonic clock, so a small NTP step of the wall clock is only reported. After a larger one the
machine stood still, or receipts had wrong timestamps."""


def why_cut_short(plan: Plan, report: StepReport, sent: int) -> str:
    """Why the step is incomplete; empty if it is complete."""
    if report.interrupted:
        return f"interrupted after {sent} of {plan.count} receipts"
    if sent < MIN_SENT_SHARE * plan.count:
        return f"only {sent} of {plan.count} receipts were sent"
    return ""


CAP_REACHED = "the limit of requests in flight was reached"
"""How the reason begins if sending had to wait for answers."""


@dataclass(frozen=True)
class Lateness:
    """How late ``count`` requests were sent: half of them by ``median_ms`` or more, ``late`` of them by more than
    ``allowed_ms``.

    ``allowed_ms`` comes from :func:`allowed_lag_ms`.
    """

    count: int
    median_ms: float
    allowed_ms: float
    late: int


def allowed_lag_ms(service_p50_ms: float) -> float:
    """From which lag on a request counts as late. ``service_p50_ms``: NaN if not known."""
    return max(LATE_FLOOR_MS, _share_ms(service_p50_ms))


def why_late(plan: Plan, report: StepReport, service_p50_ms: float, lag: Lateness) -> str:
    """Why the step measured the generator, not the service; empty if it did not. ``service_p50_ms``: NaN if not
    known."""
    # at least two, here and below, so that one hiccup in a short step does not matter
    if report.signed_late > max(1, MAX_SIGNED_LATE_SHARE * plan.count):
        return _because(
            f"{report.signed_late} receipts were signed only when due, which delays the sending", report.interference
        )
    if alone := _why_alone(report.interference):
        return alone
    if isinstance(plan, OpenPlan):
        if report.cap_hits:
            return f"{CAP_REACHED} {report.cap_hits} times, so the plan was not kept"
        if report.cpu_percent > MAX_GENERATOR_CPU:
            return f"{report.busiest} used {report.cpu_percent:.0f} % of a core and was at its limit"
        if late := _why_lagging(lag, service_p50_ms):
            return _because(late, report.interference)
    return _why_held_up(report.interference, lag.allowed_ms)


def _why_lagging(lag: Lateness, service_p50_ms: float) -> str:
    if lag.median_ms > max(MEDIAN_LAG_FLOOR_MS, _share_ms(service_p50_ms)):
        return f"half of the requests were sent {lag.median_ms:.1f} ms or more late"
    # the share of late ones, since a percentile needs many values
    if lag.late > max(1, MAX_LATE_SHARE * lag.count):
        return f"{lag.late} of {lag.count} requests were sent more than {lag.allowed_ms:.1f} ms late"
    return ""


def _share_ms(service_p50_ms: float) -> float:
    return 0.0 if math.isnan(service_p50_ms) else MAX_LAG_SHARE * service_p50_ms


def _why_alone(interference: Interference | None) -> str:
    """What makes a step invalid even without lag."""
    if interference is None:
        return ""
    if abs(interference.clock_step_ms) > MAX_CLOCK_STEP_MS:
        return f"{clock_step(interference)} while the step ran"
    share = interference.steal_share
    return steal(share) if share is not None and share > MAX_STEAL_SHARE else ""


def _why_held_up(interference: Interference | None, allowed_ms: float) -> str:
    """An answer that waits for the event loop looks like a slow service; in a closed loop the lag does not show it."""
    if interference is None or not interference.seconds:
        return ""
    held_s = interference.held_up_s(allowed_ms)
    share = held_s / interference.seconds
    if share <= MAX_HELD_UP_SHARE or held_s < MIN_HELD_UP_S:
        return ""
    said = f"{100 * share:.0f} % of the time the event loop was held up by more than {allowed_ms:.1f} ms"
    return ": ".join(filter(None, (said, "; ".join(causes(interference)))))


def _because(reason: str, interference: Interference | None) -> str:
    return ": ".join(filter(None, (reason, "; ".join(disturbances(interference)))))

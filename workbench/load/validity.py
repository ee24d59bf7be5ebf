"""Whether a step measured the service or its own generator: pure functions of its plan, its rows and its report.

A generator that was late, or without CPU to spare, measured itself. Its lag shows that it was;
:mod:`workbench.load.interference` names the cause, and decides alone only where no lag can show it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.load.interference import Interference, causes, clock_step, disturbances, steal
from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport

MIN_SENT_SHARE = 0.99
MAX_LAG_SHARE = 0.10  # of the service's median
MEDIAN_LAG_FLOOR_MS = 1.0  # event loop timers tick in milliseconds
LATE_FLOOR_MS = 5.0  # an idle virtual machine wakes a process 2 to 3 ms late one time in a hundred
MAX_LATE_SHARE = 0.01
MAX_GENERATOR_CPU = 90.0
MAX_SIGNED_LATE_SHARE = 0.01
MAX_HELD_UP_SHARE = 0.05  # of the step's time: what is above p95 is then the loop's and not the service's
MIN_HELD_UP_S = 0.1  # some hiccups in a short step decide nothing
MAX_STEAL_SHARE = 0.10  # what runs then takes a tenth longer: as much as a lag may add
MAX_CLOCK_STEP_MS = 100.0
"""Latencies are of the monotonic clock, so a step of NTP by a few milliseconds is only said. A larger one is a machine
that stood still, or one whose receipts carry a wrong time."""


def why_cut_short(plan: Plan, report: StepReport, sent: int) -> str:
    """Why the step is incomplete; empty when it is complete."""
    if report.interrupted:
        return f"interrupted after {sent} of {plan.count} receipts"
    if sent < MIN_SENT_SHARE * plan.count:
        return f"only {sent} of {plan.count} receipts were sent"
    return ""


CAP_REACHED = "the limit of requests in flight was reached"
"""How the reason begins where so many answers were waited for that no more could be sent."""


@dataclass(frozen=True)
class Lateness:
    """How late ``count`` requests left: half of them ``median_ms`` or more, ``late`` of them more than ``allowed_ms``.

    ``allowed_ms`` is :func:`allowed_lag_ms`, which is known once the service's median is.
    """

    count: int
    median_ms: float
    allowed_ms: float
    late: int


def allowed_lag_ms(service_p50_ms: float) -> float:
    """How late a request may leave before it counts as late. ``service_p50_ms``: NaN where it is not known."""
    return max(LATE_FLOOR_MS, _share_ms(service_p50_ms))


def why_late(plan: Plan, report: StepReport, service_p50_ms: float, lag: Lateness) -> str:
    """Why the step measured the generator, not the service; empty when it did not. ``service_p50_ms``: NaN where it is
    not known."""
    # at least two, here and below, so that one hiccup in a short step decides nothing
    if report.signed_late > max(1, MAX_SIGNED_LATE_SHARE * plan.count):
        return _because(f"{report.signed_late} receipts had to be signed in the timed path", report.interference)
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
        return f"half of the requests left {lag.median_ms:.1f} ms or more after their time"
    # the share of late ones, not a percentile of few
    if lag.late > max(1, MAX_LATE_SHARE * lag.count):
        return f"{lag.late} of {lag.count} requests left more than {lag.allowed_ms:.1f} ms after their time"
    return ""


def _share_ms(service_p50_ms: float) -> float:
    return 0.0 if math.isnan(service_p50_ms) else MAX_LAG_SHARE * service_p50_ms


def _why_alone(interference: Interference | None) -> str:
    """What spoils a step whether a lag shows it or not."""
    if interference is None:
        return ""
    if abs(interference.clock_step_ms) > MAX_CLOCK_STEP_MS:
        return f"{clock_step(interference)} while the step ran"
    share = interference.steal_share
    return steal(share) if share is not None and share > MAX_STEAL_SHARE else ""


def _why_held_up(interference: Interference | None, allowed_ms: float) -> str:
    """An answer that waits for the event loop looks like a slow service, and in a closed loop no lag shows it."""
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

"""Whether a step measured the service or its own generator: pure functions of its plan, its rows and its report.

A generator that was late, or without CPU to spare, measured itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport

MIN_SENT_SHARE = 0.99
MAX_LAG_SHARE = 0.10  # of the service's median
MEDIAN_LAG_FLOOR_MS = 1.0  # event loop timers tick in milliseconds
LATE_FLOOR_MS = 5.0  # an idle virtual machine wakes a process 2 to 3 ms late one time in a hundred
MAX_LATE_SHARE = 0.01
MAX_GENERATOR_CPU = 90.0
MAX_SIGNED_LATE_SHARE = 0.01


def why_cut_short(plan: Plan, report: StepReport, sent: int) -> str:
    """Why the step is not the whole one; empty when it is."""
    if report.interrupted:
        return f"interrupted after {sent} of {plan.count} receipts"
    if sent < MIN_SENT_SHARE * plan.count:
        return f"only {sent} of {plan.count} receipts were sent"
    return ""


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
    """Why the step measured the generator; empty when it did not. ``service_p50_ms``: NaN where it is not known."""
    # at least two, here and below, so that one hiccup in a short step decides nothing
    if report.signed_late > max(1, MAX_SIGNED_LATE_SHARE * plan.count):
        return f"{report.signed_late} receipts had to be signed inside the timed path"
    if not isinstance(plan, OpenPlan):
        return ""
    if report.cap_hits:
        return f"the limit of requests in flight was reached {report.cap_hits} times, so the plan was not kept"
    if report.cpu_percent > MAX_GENERATOR_CPU:
        return f"the generator used {report.cpu_percent:.0f} % of a core and had none to spare"
    if lag.median_ms > max(MEDIAN_LAG_FLOOR_MS, _share_ms(service_p50_ms)):
        return f"half of the requests left {lag.median_ms:.1f} ms or more after their time"
    # the share of late ones, not a percentile of few
    if lag.late > max(1, MAX_LATE_SHARE * lag.count):
        return f"{lag.late} of {lag.count} requests left more than {lag.allowed_ms:.1f} ms after their time"
    return ""


def _share_ms(service_p50_ms: float) -> float:
    return 0.0 if math.isnan(service_p50_ms) else MAX_LAG_SHARE * service_p50_ms

"""Whether a step measured the service or its own generator: pure functions of its plan, its rows and its report.

A generator that was late, or without CPU to spare, measured itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport

if TYPE_CHECKING:
    import numpy.typing as npt

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


def why_late(plan: Plan, report: StepReport, service_p50_ms: float, lag_ns: npt.NDArray[np.int64]) -> str:
    """Why the step measured the generator; empty when it did not. ``service_p50_ms``: NaN where it is not known."""
    # at least two, here and below, so that one hiccup in a short step decides nothing
    if report.signed_late > max(1, MAX_SIGNED_LATE_SHARE * plan.count):
        return f"{report.signed_late} receipts had to be signed inside the timed path"
    if not isinstance(plan, OpenPlan):
        return ""
    if report.cap_hits:
        return f"the limit of requests in flight was reached {report.cap_hits} times, so the plan was not kept"
    if report.cpu_percent > MAX_GENERATOR_CPU:
        return f"{report.busiest} used {report.cpu_percent:.0f} % of a core and had none to spare"
    share_ms = 0.0 if math.isnan(service_p50_ms) else MAX_LAG_SHARE * service_p50_ms
    median_ms = float(np.median(lag_ns)) / 1e6
    if median_ms > max(MEDIAN_LAG_FLOOR_MS, share_ms):
        return f"half of the requests left {median_ms:.1f} ms or more after their time"
    allowed_ms = max(LATE_FLOOR_MS, share_ms)
    # the share of late ones, not a percentile of few
    late = int((lag_ns > allowed_ms * 1e6).sum())
    if late > max(1, MAX_LATE_SHARE * len(lag_ns)):
        return f"{late} of {len(lag_ns)} requests left more than {allowed_ms:.1f} ms after their time"
    return ""

"""Calibrations that are made up."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from workbench.calibration.calibration import Calibration, Offer, Timers

MADE = "2026-11-29T20:00:00.000Z"
SOON = datetime(2026, 12, 1, tzinfo=UTC)
IDENTITY = {
    "system": "Linux",
    "processor": "AMD EPYC",
    "cores": 2,
    "usable_cores": 2,
    "hypervisor": "KVM",
    "release": "6.1",
    "python": "3.11.7",
    "uvloop": "0.23.0",
    "indexer-workbench": "0.1.0",
    "generator": "abc",
}


def offer(processes: int = 1, rate_per_s: float = 350.0, **changes) -> Offer:
    values = {
        "complete": True,
        "lag_p50_ms": 0.1,
        "lag_p99_ms": 0.8,
        "cpu_us": 25.0,
        "closed_per_s": 2000.0,
        "closed_cpu_us": 20.0,
        "limited_by": "generator",
        "why": "400/s: lag p99 was 1.20 ms, the limit is 1 ms",
        "trials": 9,
        "other_cores": 0.0,
        "made": MADE,
    }
    return Offer(processes, rate_per_s, **(values | changes))


def calibration(*offers: Offer, identity=None, **changes) -> Calibration:
    values = {"lag_p99_limit_ms": 1.0, "seconds": 2.0, "timers": Timers(0.06, 0.2, math.pi)}
    return Calibration(dict(identity or IDENTITY), **(values | changes), offers=offers or (offer(),))

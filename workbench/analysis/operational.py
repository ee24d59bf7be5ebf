"""The rate a service keeps up with. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_SHARE = 0.98
"""A service that accepts less than this share of the offered receipts does not keep up."""


def left_over_s(drain_s: float, usual_s: float) -> float:
    """How long a service worked on the backlog at the end: ``drain_s`` (from when the last receipt was due until the
    last answer) less ``usual_s`` (how long an answer usually takes)."""
    return max(0.0, drain_s - (0.0 if math.isnan(usual_s) else usual_s))


def kept_share(duration_s: float, drain_s: float, usual_s: float) -> float:
    """The share of the rate at which an open loop was answered; NaN if it is not known.

    ``duration_s``: from when the first receipt was due until the last answer; the others: see :func:`left_over_s`. A
    queue at the end lowers the share. Slow answers do not, nor do random arrivals, whose sending may take longer than
    their mean rate says.
    """
    sending_s = duration_s - drain_s
    return sending_s / (sending_s + left_over_s(drain_s, usual_s)) if sending_s > 0 else math.nan


def last_kept_up(rates: Sequence[float], throughputs: Sequence[float]) -> tuple[float, float | None]:
    """The highest offered rate up to which all rates were kept up with, and the next one, which was not (None: there is
    none). ``rates`` rise. 0 if the service did not keep up with the lowest."""
    kept = 0.0
    for rate, throughput in zip(rates, throughputs, strict=True):
        if throughput < LEAST_SHARE * rate:
            return kept, rate
        kept = rate
    return kept, None

"""The rate a service keeps up with. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_SHARE = 0.98
"""Of what was offered: a service that accepts less than this does not keep up."""


def left_over_s(drain_s: float, usual_s: float) -> float:
    """How long a service went on with what was unanswered when the last receipt was due: ``drain_s``, from then until
    the last answer, less ``usual_s``, what an answer usually takes."""
    return max(0.0, drain_s - (0.0 if math.isnan(usual_s) else usual_s))


def kept_share(duration_s: float, drain_s: float, usual_s: float) -> float:
    """The share of the rate at which an open loop was answered; NaN where that is not known.

    ``duration_s`` is from when the first receipt was due until the last answer; the others are as in
    :func:`left_over_s`. So a queue at the end shows. Slow answers do not, nor do random arrivals, whose sending may
    take longer than their mean rate says.
    """
    sending_s = duration_s - drain_s
    return sending_s / (sending_s + left_over_s(drain_s, usual_s)) if sending_s > 0 else math.nan


def last_kept_up(rates: Sequence[float], throughputs: Sequence[float]) -> tuple[float, float | None]:
    """The highest offered rate that was kept up with, as were all below it, and the next one, which was not (None:
    there is none). ``rates`` rise. 0 where not even the lowest was kept up with."""
    kept = 0.0
    for rate, throughput in zip(rates, throughputs, strict=True):
        if throughput < LEAST_SHARE * rate:
            return kept, rate
        kept = rate
    return kept, None

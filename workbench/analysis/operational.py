"""The knee as operations see it: the highest rate that the service keeps up with. Pure."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_SHARE = 0.98
"""Of what was offered: a service that accepts less than this does not keep up."""


def last_kept_up(rates: Sequence[float], throughputs: Sequence[float]) -> tuple[float, float | None]:
    """The highest offered rate that was kept up with, as were all below it, and the next one, which was not (None:
    there is none). ``rates`` rise. 0 where not even the lowest was kept up with."""
    kept = 0.0
    for rate, throughput in zip(rates, throughputs, strict=True):
        if throughput < LEAST_SHARE * rate:
            return kept, rate
        kept = rate
    return kept, None

"""A step second by second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.load.outcome import Outcome
from workbench.load.plan import NS_PER_S
from workbench.sweep.watch import Clock

if TYPE_CHECKING:
    import pandas as pd


def per_second(samples: pd.DataFrame, step: int, clock: Clock) -> pd.DataFrame:
    """One row a second of a step.

    Columns: ``t_s`` (run time at the second's start), ``step``, ``offered`` (intended in this second), ``sent``,
    ``done_ok``, ``done_denied``, ``done_failed`` (answers in this second), ``in_flight`` (at its end),
    ``response_p50_ms``, ``response_p99_ms`` (of accepted receipts answered in it; p99 is their maximum where they are
    fewer than 100), ``lag_p99_ms`` (of receipts sent in it).
    """
    import pandas as pd

    if samples.empty:
        return pd.DataFrame()
    intended, sent, done = (samples[name].to_numpy() for name in ("intended_ns", "sent_ns", "done_ns"))
    outcome = samples["outcome"].astype(str).to_numpy()
    ok, denied = outcome == Outcome.OK.value, outcome == Outcome.DENIED.value
    start = intended.min()
    seconds = int((done.max() - start) // NS_PER_S) + 1

    def count(times: np.ndarray) -> np.ndarray:
        return np.bincount((times - start) // NS_PER_S, minlength=seconds)[:seconds]

    sent_counts, done_counts = count(sent), count(done)
    done_second, sent_second = (done - start) // NS_PER_S, (sent - start) // NS_PER_S
    response_ms, lag_ms = (done - intended) / 1e6, (sent - intended) / 1e6

    def percentile(values: np.ndarray, p: float) -> float:
        return float(np.percentile(values, p, method="inverted_cdf")) if len(values) else np.nan

    return pd.DataFrame(
        {
            "t_s": [clock.at(int(start) + second * NS_PER_S) for second in range(seconds)],
            "step": np.int32(step),
            "offered": count(intended),
            "sent": sent_counts,
            "done_ok": count(done[ok]),
            "done_denied": count(done[denied]),
            "done_failed": count(done[~ok & ~denied]),
            "in_flight": np.cumsum(sent_counts) - np.cumsum(done_counts),
            "response_p50_ms": [percentile(response_ms[ok & (done_second == s)], 50) for s in range(seconds)],
            "response_p99_ms": [percentile(response_ms[ok & (done_second == s)], 99) for s in range(seconds)],
            "lag_p99_ms": [percentile(lag_ms[sent_second == s], 99) for s in range(seconds)],
        }
    )

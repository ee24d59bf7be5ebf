"""A step as one DataFrame: the simple way, with all rows in memory.

``benchmarks.scale`` compares with it, and tests compare figures computed in chunks with it, to the last digit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.load.outcome import CODE_OF, OUTCOME_NAMES, Outcome, is_paid, is_unsure
from workbench.load.plan import NS_PER_S
from workbench.load.samples import nonces, to_frame
from workbench.receipts.fields import WEI_PER_GRT

_CODES = {outcome.value: code for outcome, code in CODE_OF.items()}


def frame_of(rows: npt.NDArray[np.int64], *, step: int, seed: int, payer: str, value_grt: float) -> pd.DataFrame:
    """All measured rows as one DataFrame with the columns of :func:`workbench.load.samples.to_frame`."""
    nonce = nonces(seed, step, len(rows))
    return to_frame(rows, step=step, nonce=nonce, payer=payer, value_grt=value_grt)


def percentiles(values_ns: npt.NDArray[np.int64]) -> dict[str, float]:
    """n, p50, p90, p95, p99 and max in ms, NaN where there are too few values."""
    n = len(values_ns)
    if n == 0:
        return {"n": 0, **dict.fromkeys(("p50", "p90", "p95", "p99", "max"), math.nan)}
    milliseconds = np.asarray(values_ns, dtype=float) / 1e6
    found = {
        f"p{p}": float(np.percentile(milliseconds, p, method="inverted_cdf")) if n * (100 - p) >= 1000 else math.nan
        for p in (50, 90, 95, 99)
    }
    return {"n": n, **found, "max": float(milliseconds.max())}


def summary(samples: pd.DataFrame) -> dict[str, Any]:
    """Counts and percentiles of a step."""
    outcome = samples["outcome"].astype(str).to_numpy()
    counts = {name: int((outcome == name).sum()) for name in OUTCOME_NAMES}
    sent_ns, done_ns = samples["sent_ns"].to_numpy(), samples["done_ns"].to_numpy()
    intended_ns = samples["intended_ns"].to_numpy()
    good = outcome == Outcome.OK.value
    lag_ns = sent_ns - intended_ns
    return {
        "outcomes": {name: count for name, count in counts.items() if count},
        "duration_s": float(done_ns.max() - intended_ns.min()) / 1e9 if len(samples) else 0.0,
        "response": percentiles((done_ns - intended_ns)[good]),
        "service": percentiles((done_ns - sent_ns)[good]),
        "lag": percentiles(lag_ns),
        "lag_median_ms": float(np.median(lag_ns)) / 1e6 if len(samples) else math.nan,
        "late": int((lag_ns > 5e6).sum()),
        "unsure": sum(is_unsure(_CODES[name]) for name in outcome),
    }


def denial(samples: pd.DataFrame, *, spent_wei: int, value_wei: int, budget: int | None) -> dict[str, float]:
    """The fields of :class:`workbench.analysis.limit.Denial`."""
    nan = math.nan
    order = np.argsort(samples["sent_ns"].to_numpy(), kind="stable")
    ordered = samples.iloc[order]
    outcome = ordered["outcome"].astype(str).to_numpy()
    sent, done = ordered["sent_ns"].to_numpy(), ordered["done_ns"].to_numpy()
    index = ordered["index"].to_numpy()
    paid = np.array(
        [is_paid(status, _CODES[name]) for status, name in zip(ordered["status"], outcome, strict=True)], dtype=bool
    )
    denied = outcome == Outcome.DENIED.value
    paid_positions = np.flatnonzero(paid)
    crossing_index = crossing_sent = nan
    if budget is not None and 1 <= budget <= len(paid_positions):
        position = paid_positions[budget - 1]
        crossing_index, crossing_sent = float(index[position]), float(sent[position])
    found = {
        "refusal_index": nan, "refusal_s": nan, "fees_grt": nan, "crossing_index": crossing_index,
        "lag_receipts": nan, "lag_s": nan, "paid": len(paid_positions), "paid_before_refusal": nan,
    }  # fmt: skip
    if not denied.any():
        return found
    first = int(np.argmax(denied))
    before = int(paid[:first].sum())
    known = bool(done[first] >= crossing_sent)  # not where the refusal came before the crossing was sent
    return found | {
        "refusal_index": float(index[first]),
        "refusal_s": float(done[first] - samples["intended_ns"].min()) / 1e9,
        "fees_grt": (spent_wei + before * value_wei) / WEI_PER_GRT,
        "lag_receipts": float(max(0, before - (budget or 0))) if known else nan,
        "lag_s": max(0.0, float(sent[first]) - crossing_sent) / 1e9 if known else nan,
        "paid_before_refusal": float(before),
    }


def heard(samples: pd.DataFrame, crossing_index: float, denied_ns: int) -> dict[str, float]:
    """The fields of :class:`workbench.analysis.limit.Heard`."""
    crossing = samples.loc[samples["index"] == crossing_index, "sent_ns"]
    later = samples[samples["sent_ns"] > denied_ns]
    paid = [is_paid(status, _CODES[str(name)]) for status, name in zip(later["status"], later["outcome"], strict=True)]
    return {
        "denied_s": (denied_ns - int(samples["intended_ns"].min())) / 1e9,
        "lag_s": (denied_ns - int(crossing.iloc[0])) / 1e9 if len(crossing) else math.nan,
        "paid_after": float(sum(paid)),
    }


def series(samples: pd.DataFrame, step: int, start_ns: int) -> pd.DataFrame:
    """The columns of :func:`workbench.sweep.series.per_second`, for a run that began at ``start_ns``."""
    intended, sent, done = (samples[name].to_numpy() for name in ("intended_ns", "sent_ns", "done_ns"))
    outcome = samples["outcome"].astype(str).to_numpy()
    ok, denied = outcome == Outcome.OK.value, outcome == Outcome.DENIED.value
    start = intended.min()
    seconds = int((done.max() - start) // NS_PER_S) + 1

    def count(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.bincount((times - start) // NS_PER_S, minlength=seconds)[:seconds]

    sent_counts, done_counts = count(sent), count(done)
    done_second, sent_second = (done - start) // NS_PER_S, (sent - start) // NS_PER_S
    response_ms, lag_ms = (done - intended) / 1e6, (sent - intended) / 1e6

    def percentile(values: npt.NDArray[np.float64], p: float) -> float:
        return float(np.percentile(values, p, method="inverted_cdf")) if len(values) else np.nan

    return pd.DataFrame(
        {
            "t_s": [(int(start) + second * NS_PER_S - start_ns) / 1e9 for second in range(seconds)],
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

"""A run made up in memory, with the columns a recorded run has: a sweep up to a limit of 1,000 receipts.

Step 3 is denied, step 2 is invalid, step 4 pinpoints the limit. Nothing here is measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.load.chunks import chunk_of
from workbench.load.summary import histogram_table

LIMIT = 1000
RECEIPTS = (250, 500, 750, 1250, 1010)
VERDICTS = ("PASS", "PASS", "INVALID", "FAIL", "PASS")
HOSTILE = "<script>alert('from the service')</script>"


def samples() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = []
    for step, count in enumerate(RECEIPTS):
        index = np.arange(count)
        intended = step * 10_000_000_000 + index * 5_000_000
        sent = intended + rng.integers(10_000, 200_000, count)
        done = sent + (rng.lognormal(1.0, 0.4, count) * 1e6).astype("int64")
        outcome = np.where(index < LIMIT, "ok", "denied").astype(object)
        outcome[rng.random(count) < 0.01] = "timeout"
        parts.append(
            pd.DataFrame(
                {
                    "index": index,
                    "step": step,
                    "worker": 0,
                    "intended_ns": intended,
                    "sent_ns": sent,
                    "first_byte_ns": done - 1000,
                    "done_ns": np.where(outcome == "denied", sent + 100_000, done),
                    "status": np.where(outcome == "ok", 200, np.where(outcome == "denied", 400, 0)),
                    "outcome": outcome,
                    "bytes_in": 100,
                    "value_grt": 0.001,
                    "nonce": index,
                    "payer": f"0x{step:040x}",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def outcomes(of: pd.DataFrame | None = None) -> pd.DataFrame:
    of = samples() if of is None else of
    return of.groupby(["step", "outcome"]).size().reset_index(name="receipts")


def histograms(of: pd.DataFrame | None = None) -> pd.DataFrame:
    of = samples() if of is None else of
    return pd.concat([histogram_table([chunk_of(own)], int(step)) for step, own in of.groupby("step")])


def steps(of: pd.DataFrame | None = None) -> pd.DataFrame:
    of = samples() if of is None else of
    rows = []
    for step, receipts in enumerate(RECEIPTS):
        own = of[of["step"] == step]
        ok = own[own["outcome"] == "ok"]
        denied = own[own["outcome"] == "denied"]
        row: dict[str, Any] = {
            "step": step,
            "kind": "pinpoint" if step == 4 else "step",
            "receipts": receipts,
            "loop": "open",
            "rate_per_s": 200.0,
            "concurrency": float("nan"),
            "payer": f"0x{step:040x}",
            "value_grt": 0.001,
            "fees_before_grt": 0.0,
            "budget_receipts": float(LIMIT),
            "offered": receipts,
            "sent": len(own),
            "accepted": len(ok),
            "denied": len(denied),
            "failed": len(own) - len(ok) - len(denied),
            "paid": len(ok),
            "duration_s": receipts / 200,
            "throughput_per_s": len(ok) / (receipts / 200),
            "generator_cpu_percent": 20.0,
            "first_refusal_index": float(denied["index"].min()) if len(denied) else float("nan"),
            "first_refusal_s": 5.0 if len(denied) else float("nan"),
            "fees_at_first_refusal_grt": 1.0 if len(denied) else float("nan"),
            "crossing_index": 999.0 if len(denied) else float("nan"),
            "denial_lag_receipts": 1.0 if len(denied) else float("nan"),
            "denial_lag_s": 0.05 if len(denied) else float("nan"),
            "denied_after_settle": "yes" if len(denied) else "no",
            "fees_after_grt": min(receipts, LIMIT) / 1000,
            "settle_s": 0.2,
            "counted": float("nan"),
            "stored": float(len(ok)),
            "failure": "",
            "verdict": VERDICTS[step],
            "reason": HOSTILE if step == 3 else "",
        }
        response = (ok["done_ns"] - ok["intended_ns"]) / 1e6
        service = (ok["done_ns"] - ok["sent_ns"]) / 1e6
        lag = (own["sent_ns"] - own["intended_ns"]) / 1e6
        for name, times in (("response", response), ("service", service)):
            for percent in (50, 90, 95, 99):
                enough = len(times) >= 10 / (1 - percent / 100)
                row[f"{name}_p{percent}_ms"] = times.quantile(percent / 100) if enough else float("nan")
            row[f"{name}_max_ms"] = times.max()
        row |= {"lag_p50_ms": lag.median(), "lag_p99_ms": lag.quantile(0.99), "lag_max_ms": lag.max()}
        rows.append(row)
    return pd.DataFrame(rows)


def series(of: pd.DataFrame | None = None) -> pd.DataFrame:
    of = samples() if of is None else of
    second = of["done_ns"] // 1_000_000_000
    rows = []
    for (step, t_s), own in of.groupby([of["step"], second]):
        response = ((own["done_ns"] - own["intended_ns"]) / 1e6)[own["outcome"] == "ok"]
        rows.append(
            {
                "t_s": float(t_s),
                "step": step,
                "offered": len(own),
                "sent": len(own),
                "done_ok": int((own["outcome"] == "ok").sum()),
                "done_denied": int((own["outcome"] == "denied").sum()),
                "done_failed": int((own["outcome"] == "timeout").sum()),
                "in_flight": 3,
                "response_p50_ms": response.median(),
                "response_p99_ms": response.quantile(0.99),
                "lag_p99_ms": 0.2,
            }
        )
    return pd.DataFrame(rows)


def watch() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"t_s": float(t), "step": t // 10, "source": source, "metric": metric, "labels": "", "value": value + t}
            for t in range(50)
            for source in ("service", "agent", "generator")
            for metric, value in (("cpu_percent", 20.0), ("rss_bytes", 50e6), ("threads", 4.0))
        ]
    )


def manifest() -> dict[str, Any]:
    return {
        "schema": 1,
        "name": "made-up",
        "created": "2026-01-01T00:00:00Z",
        "state": "finished",
        "command": f"workbench sweep --name '{HOSTILE}'",
        "settings": {"receipt_version": 2, "value_grt": "0.001", "payers": [], "query": HOSTILE},
        "versions": {"workbench": "0.1.0", "python": "3.11"},
        "machine": {"cpu": "made up", "cores": 2},
        "target": {
            "url": "http://127.0.0.1:7601",
            "is_standin": True,
            "endpoints": {"service": "http://127.0.0.1:7601"},
        },
        "clock": {"offset_s": 0.0},
        "prediction": {
            "limit_grt": 1.0,
            "escrow_grt": 10.0,
            "value_grt": 0.001,
            "receipts": LIMIT,
            "rule": "B: unaggregated + invalid >= limit",
            "fees_before_grt": 0.0,
            "source": "agent metrics",
        },
        "limit": {
            "observed_receipts": LIMIT,
            "observed_low": LIMIT,
            "observed_high": LIMIT,
            "exact": True,
            "held": True,
            "first_refusal": {"step": 3, "index": 1000, "t_s": 35.0, "fees_grt": 1.0},
            "denial_lag_receipts": 1,
            "denial_lag_s": 0.05,
            "sentence": "The payer was denied at 1,000 receipts, as predicted.",
        },
        "verdict": {
            "verdict": "FAIL",
            "sentence": "One of four steps failed.",
            "exit_code": 1,
            "reasons": [f"step 3: {HOSTILE}"],
        },
        "steps_planned": list(RECEIPTS),
        "notebook": {},
    }

"""Runs that are made up to be held against thresholds: rows of steps, a table of costs, a folder of both."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from workbench.analysis import step_row as steps_table
from workbench.analysis.conclude import conclude_run
from workbench.analysis.step_row import StepRow
from workbench.runs.folder import RunFolder
from workbench.sweep.cost_table import COSTS

LIMIT = {"observed_receipts": 1000, "held": True, "sentence": "The limit was observed at receipt 1,000."}


def row(step: int, **values: object) -> StepRow:
    """A good step of 1,000 receipts whose p95 is 40 ms."""
    base = dict.fromkeys(StepRow.__dataclass_fields__, math.nan)
    texts = {"kind": "step", "loop": "open", "payer": "", "denied_after_settle": "no", "verdict": "PASS"}
    texts |= {"reason": "", "failure": "", "invalid_reasons": "", "profiler": "none", "disturbances": ""}
    texts |= {"settles": "yes", "littles_law": "yes", "steadiness": ""}
    counts = {"receipts": 1000, "offered": 1000, "sent": 1000, "accepted": 1000, "denied": 0, "failed": 0, "paid": 1000}
    counts |= {"signed_late": 0, "signed_anew": 0, "closed_idle": 0, "surplus": 0}
    figures = {"response_p95_ms": 40.0, "response_p95_low_ms": 38.0, "response_p95_high_ms": 44.0, "effective_n": 800.0}
    figures |= {"throughput_per_s": 200.0, "lag_p99_ms": 0.2, "stored": 1000.0}
    return StepRow(**{**base, **texts, **counts, **figures, "step": step, **values})  # type: ignore[arg-type]


# mode -> metric, unit and what a receipt costs in it
COSTS_OF = {
    "callgrind": (("Ir", "count", 6.6e6), ("CEst", "count", 9e6)),
    "massif": (("bytes_kept", "bytes", 100.0), ("bytes_allocated", "bytes", 64_000.0)),
    "strace": (("calls", "count", 31.0), ("errors", "count", 2.0), ("waiting", "ns", 4e6), ("working", "ns", 1e6)),
    "flamegraph": (("cpu", "ns", 1.5e6), ("samples", "count", 0.2)),
    "pprofile": (("hits", "count", 900.0),),
}


def costs(mode: str, steps: dict[int, int], service: str = "indexer-service", times: float = 1.0) -> pd.DataFrame:
    """The whole costs of steps with so many receipts."""
    rows = [
        {
            "service": service, "mode": mode, "window": "step", "step": step, "seconds": 1.0, "receipts": receipts,
            "accepted": receipts, "denied": 0, "receipts_before": 0, "by": "whole", "name": "(whole)", "file": "",
            "object": "", "crate": "", "metric": metric, "unit": unit, "self": each * receipts * times,
            "total": each * receipts * times, "calls": pd.NA,
        }
        for step, receipts in steps.items()
        for metric, unit, each in COSTS_OF[mode]
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"calls": "Int64", "accepted": "Int64"})


def folder(path: Path, mode: str = "none", rows: list[StepRow] | None = None) -> Path:
    """A finished run of two steps, under a profiler with its costs."""
    rows = rows or [row(0, profiler=mode, receipts=500, sent=500), row(1, profiler=mode)]
    run = RunFolder.at(path)
    verdict = conclude_run(rows, LIMIT)
    profiler = {} if mode == "none" else {"profiler": {"mode": mode}}
    run.update_manifest(
        schema=1,
        state="finished",
        limit=LIMIT,
        verdict=verdict,
        exit_code=verdict["exit_code"],
        settings={},
        **profiler,
    )
    steps_table.to_frame(rows).to_parquet(path / "steps.parquet", index=False)
    if mode != "none":
        (path / COSTS).parent.mkdir(parents=True, exist_ok=True)
        costs(mode, {one.step: one.sent for one in rows}).to_parquet(path / COSTS, index=False)
    return path

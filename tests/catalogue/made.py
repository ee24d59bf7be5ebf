"""Run folders made without sending anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.analysis.figures import VERSION, step_figures
from workbench.analysis.step_row import StepRow, to_frame
from workbench.runs.atomic import write_parquet
from workbench.runs.folder import RunFolder


def row(step: int, verdict: str = "PASS", kind: str = "step", **changes: Any) -> StepRow:
    """The row of a step of a hundred receipts, all accepted in 2 ms at most."""
    base: dict[str, Any] = dict.fromkeys(StepRow.__dataclass_fields__, math.nan)
    texts = dict.fromkeys(("payer", "invalid_reasons", "reason", "failure", "disturbances"), "")
    counts = {"receipts": 100, "offered": 100, "sent": 100, "accepted": 100, "denied": 0, "failed": 0, "paid": 100}
    times = {"response_p50_ms": 1.0, "response_p95_ms": 1.8, "throughput_per_s": 200.0}
    own = {"step": step, "kind": kind, "verdict": verdict, "loop": "open", "profiler": "none"}
    return StepRow(**{**base, **texts, **counts, **times, **own, "denied_after_settle": "no", **changes})


def made(
    runs_dir: Path,
    name: str,
    rows: list[StepRow] | None = None,
    *,
    kept: bool = True,
    settings: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Path:
    """A finished run ``name``. ``kept``: its figures are in the manifest, as new runs have them."""
    folder = RunFolder.at(runs_dir / name)
    rows = [row(0), row(1)] if rows is None else rows
    write_parquet(folder.path / "steps.parquet", to_frame(rows))
    figures = {"figures": {"version": VERSION, **step_figures(vars(one) for one in rows)}} if kept else {}
    usual = {"receipts": "100,100", "mode": "fresh", "rate": 200.0, "value_grt": "0.001", "profiler": "none"}
    manifest: dict[str, Any] = {
        "name": "sweep",
        "state": "finished",
        "created": "2026-01-01T10:00:00.000Z",
        "finished": "2026-01-01T10:01:00.000Z",
        "exit_code": 0,
        "settings": {**usual, **(settings or {})},
        "target": {"is_standin": True, "url": "http://127.0.0.1:1", "service_version": "2.0.0"},
        "verdict": {"verdict": "PASS", "sentence": "It went well."},
        "limit": {"observed_receipts": 1000, "denial_lag_receipts": 10.0, "denial_lag_s": 0.05},
        "prediction": {"receipts": 1000},
        "machine": {"processor": "AMD EPYC", "usable_cores": 2, "system": "Linux"},
        "versions": {"indexer-workbench": "0.1.0"},
    }
    folder.update_manifest(**{**manifest, **figures, **facts})
    return folder.path

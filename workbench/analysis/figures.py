"""The figures of a whole run: one number per quantity, so that runs can be compared in a table. Pure.

A finished run stores them in its manifest (key FIGURES); if they are missing, they are computed from its tables.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from workbench.thresholds.names import PER_RECEIPT, in_unit

if TYPE_CHECKING:
    import pandas as pd

FIGURES = "figures"
VERSION = 2
"""Version of the figures' meaning: figures stored by another version are computed again."""

COUNTS = ("sent", "accepted", "denied", "failed")
TIMES = (
    "throughput_per_s",
    "response_p50_ms",
    "response_p95_ms",
    "response_p99_ms",
    "service_p50_ms",
    "service_p99_ms",
    "lag_p99_ms",
)
STEP_COLUMNS = ("kind", "verdict", "profiler", *COUNTS, *TIMES)
"""The columns of steps.parquet that are needed."""

AGENT = "agent_"
"""Prefix of the tap-agent's costs."""


def kept_figures(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The figures stored in a finished run's manifest; None if they must be computed from its tables."""
    kept = manifest.get(FIGURES)
    if not isinstance(kept, Mapping) or manifest.get("state") != "finished" or kept.get("version") != VERSION:
        return None
    return kept


def step_figures(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """``steps``, ``valid_steps``, the COUNTS summed over all steps, and the median of TIMES over the valid steps
    without a profiler (missing if there are none). The walk to the limit, warm-up and paired steps are left out.
    """
    steps = [row for row in rows if row.get("kind", "step") == "step"]
    valid = [row for row in steps if row.get("verdict") != "INVALID"]
    timed = [row for row in valid if row.get("profiler") in (None, "", "none")]
    found: dict[str, Any] = {"steps": len(steps), "valid_steps": len(valid)}
    for name in COUNTS:
        found[name] = int(sum(row[name] for row in steps if _is_number(row.get(name))))
    for name in TIMES:
        values = [float(row[name]) for row in timed if _is_number(row.get(name))]
        if values:
            found[name] = statistics.median(values)
    return found


def cost_figures(costs: pd.DataFrame, agents: Iterable[str] = ()) -> dict[str, float]:
    """The cost of one receipt by each metric, by the names of thresholds; of the programs ``agents`` with prefix AGENT.

    ``costs`` are those of one run without its background (:attr:`workbench.sweep.run_profiles.RunProfiles.costs`).
    Steps with denied receipts are left out unless all have some, as in the reports.
    """
    from workbench.analysis.costs import cost_per_receipt

    found: dict[str, float] = {}
    if not len(costs):
        return found
    of_agents = set(agents)
    for service in sorted(set(costs["service"])):
        rows = costs[costs["service"] == service]
        for metric in sorted(set(rows["metric"]) & set(PER_RECEIPT)):
            whole = cost_per_receipt(rows, metric, "whole")
            if len(whole):
                name = PER_RECEIPT[metric]
                column = (AGENT if service in of_agents else "") + name.name
                found.setdefault(column, in_unit(name, float(whole["per_receipt"].iloc[0])))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)

"""Caches and branches, and what the profilers cost themselves, as findings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.costs import REST, cost_per_receipt
from workbench.analysis.findings.code import PLUMBING, roles, short
from workbench.analysis.findings.model import Finding, Size
from workbench.analysis.findings.words import amount
from workbench.analysis.profiler_share import profiler_part
from workbench.numbers import figure, percent

if TYPE_CHECKING:
    from workbench.analysis.findings.measured import Measured

# the weights of the cycle estimate, see profiles.views.derived
_CYCLES = {"L1m": 10, "LLm": 100, "Bm": 10}
_WHAT = {"L1m": "L1 cache misses", "LLm": "last-level cache misses", "Bm": "mispredicted branches"}
# least share of a receipt's estimated cycles that one function's misses take
LEAST_CYCLES_PCT = 5.0
# least share of all misses that it has
LEAST_CONCENTRATED_PCT = 20.0
# least share of a profile that is the profiler's own
LEAST_OWN_PCT = 1.0
_WEIGHT = 0.25


def misses(one: Measured) -> list[Finding]:
    """Functions in which misses are concentrated and cost cycles, by callgrind's simulation."""
    known = set(one.costs["metric"])
    if "CEst" not in known:
        return []
    whole = cost_per_receipt(one.costs, "CEst", "whole")
    if whole.empty or not float(whole["per_receipt"].iloc[0]):
        return []
    cycles = float(whole["per_receipt"].iloc[0])
    found = []
    for metric in (name for name in _CYCLES if name in known):
        table = cost_per_receipt(one.costs, metric)
        table = table[table["name"] != REST]
        if table.empty:
            continue
        table = table[roles(table.rename(columns={"name": "function"})) != PLUMBING]
        part = 100 * _CYCLES[metric] * table["per_receipt"] / cycles
        for row, cost in zip(table.to_dict("records"), part.tolist(), strict=True):
            if cost >= LEAST_CYCLES_PCT and float(row["share_pct"]) >= LEAST_CONCENTRATED_PCT:
                found.append(_missing(one, metric, row, cost))
    return found


def _missing(one: Measured, metric: str, row: dict[str, object], cost: float) -> Finding:
    each, share, name = float(row["per_receipt"]), float(row["share_pct"]), str(row["name"])  # type: ignore[arg-type]
    return Finding(
        kind="cache and branches",
        service=one.service,
        mode=one.mode,
        subject=name,
        sentence=(
            f"{short(name)} has {figure(each)} {_WHAT[metric]} a receipt, {percent(share)} of all: {percent(cost)} of "
            "the estimated cycles."
        ),
        metric=metric,
        size=Size(each, "count", float(row["lowest"]), float(row["highest"])),  # type: ignore[arg-type]
        share_pct=share,
        saving_pct=math.nan,
        certainty="simulated at a fixed cost per miss, not measured on this processor",
        confidence=0.6,
        todo="Check its memory accesses by line; perf stat shows the processor's own counters",
        shown="table of what a receipt costs by function",
        weight=cost,
        evidence=pd.DataFrame([row]),
        names=(name,),
    )


def profilers_share(one: Measured) -> list[Finding]:
    """The profiler's own share of a profile. It is left out of leaks, and included in the cost of receipts."""
    profile = one.profile
    if profile is None or not profile.metrics:
        return []
    metric = one.metric if one.metric in profile.metric_names else profile.default_metric
    cost, functions = profiler_part(profile, metric)
    whole = float(profile.total(metric))
    share = 100 * cost / whole if whole else 0.0
    if share < LEAST_OWN_PCT:
        return []
    unit = profile.metric(metric).unit
    heap = one.mode == "massif"
    what = f"{amount(cost, unit)} of the heap of {amount(whole, unit)}" if heap else f"{amount(cost, unit, metric)}"
    after = "It is left out of leaks." if heap else "It is included in the cost of receipts."
    return [
        Finding(
            kind="profiler's share",
            service=one.service,
            mode=one.mode,
            subject=functions[0],
            sentence=(
                f"{what}, {percent(share)}, is the profiler built into the service, {short(functions[0])}. {after}"
            ),
            metric=metric,
            size=Size(cost / one.receipts if one.receipts and not heap else math.nan, unit),
            share_pct=share,
            saving_pct=math.nan,
            certainty="measured",
            confidence=0.99,
            todo="Build the service without the feature `profiling` for this mode",
            shown="flame graph of a step",
            weight=_WEIGHT,
            evidence=pd.DataFrame({"function": functions, "share_pct": np.full(len(functions), np.nan)}),
            names=tuple(functions),
        )
    ]

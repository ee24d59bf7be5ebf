"""Call graphs made from plain numbers, and the table of costs of steps in which each was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.analysis.costs import compact_costs, window_costs
from workbench.analysis.findings import Measured
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph

SERVICE, MODE = "service", "callgrind"
OWN, PACKAGE, STD = "/src/app/handler.rs", "ecdsa-0.16.9/src/lib.rs", "std:core/src/ops/function.rs"


@dataclass(frozen=True)
class Call:
    """How often ``caller`` calls ``callee`` in a receipt (or in all, ``each`` False)."""

    caller: str
    callee: str
    times: float


def graph(own: Mapping[str, float], calls: Sequence[Call], receipts: int, files: Mapping[str, str]) -> Profile:
    """The profile of a step. ``own``: the cost of one call of each function by itself; the first is the thread's own
    loop, which nothing calls. Callers come before callees."""
    names = list(own)
    made = dict.fromkeys(names, 0.0)
    made[names[0]] = 0.0
    counts = [round(call.times * receipts) for call in calls]
    for call, count in zip(calls, counts, strict=True):
        made[call.callee] += count
    self_cost = {name: round(own[name] * (made[name] if name != names[0] else 1.0)) for name in names}
    # from the callees up: what a call costs with all below
    total = dict(self_cost)
    edge_cost = [0] * len(calls)
    for name in reversed(names):
        for position, call in enumerate(calls):
            if call.caller == name:
                part = counts[position] / made[call.callee] if made[call.callee] else 0.0
                edge_cost[position] = round(total[call.callee] * part)
                total[name] += edge_cost[position]
    at = {name: position for position, name in enumerate(names)}
    functions = pd.DataFrame(
        {
            "function": names,
            "raw_function": names,
            "file": [files.get(name, OWN) for name in names],
            "object": "/usr/bin/app",
            "crate": [name.split("::")[0] for name in names],
            "calls": pd.array([int(made[name]) for name in names], dtype="Int64"),
            "self_Ir": [self_cost[name] for name in names],
        }
    )
    edges = pd.DataFrame(
        {
            "caller_id": [at[call.caller] for call in calls],
            "callee_id": [at[call.callee] for call in calls],
            "calls": pd.array(counts, dtype="Int64"),
            "cost_Ir": edge_cost,
        }
    )
    return from_graph("callgrind", "made", metrics=[Metric("Ir")], functions=functions, edges=edges)


def measured(profiles: Mapping[int, Profile]) -> Measured:
    """A service in steps of so many receipts."""
    parts = [
        window_costs(profile, service=SERVICE, mode=MODE, step=number, receipts=receipts, metrics=["Ir"])
        for number, (receipts, profile) in enumerate(profiles.items())
    ]
    costs = compact_costs(pd.concat(parts, ignore_index=True))
    largest = max(profiles)
    return Measured(SERVICE, MODE, "Ir", costs, profile=profiles[largest], receipts=largest)

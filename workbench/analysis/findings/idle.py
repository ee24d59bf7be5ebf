"""Background as a finding: what a service costs without receipts, and what it does then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.background import STARTED_IN_WINDOW
from workbench.analysis.costs import REST
from workbench.analysis.findings.code import PLUMBING, roles, short
from workbench.analysis.findings.model import Finding, Size
from workbench.analysis.findings.words import amount
from workbench.analysis.profiler_share import profiler_part
from workbench.numbers import figure, percent
from workbench.profiles.columns import self_
from workbench.profiles.transforms.group import legible
from workbench.profiles.tree import subtree_sums

if TYPE_CHECKING:
    from workbench.analysis.findings.measured import Measured
    from workbench.profiles.model import Profile

# share of the steps' cost, and receipts' worth per second: below both, background is not a finding
LEAST_SHARE_PCT = 5.0
LEAST_WORTH_PER_S = 1.0
# Background that is a small share of the steps still uses the machine: the most weight it gets for that.
_MOST_BY_WORTH = 5.0
_CPU = ("Ir", "cpu", "time", "hits", "calls")
_SAID = 3
_LEAST_SAID_PCT = 1.0


def background_work(one: Measured) -> list[Finding]:
    """The idle cost, if it matters compared with the cost of receipts."""
    if one.background.empty or one.mode in STARTED_IN_WINDOW or one.metric not in _CPU:
        return []
    rows = one.background[one.background["metric"] == one.metric]
    if rows.empty or not bool(rows["told"].iloc[0]):
        return []
    row = rows.to_dict("records")[0]
    idle_s, worth, share = float(row["idle_s"]), float(row["receipts_worth"]), float(row["share_pct"])
    if share < LEAST_SHARE_PCT and worth / idle_s < LEAST_WORTH_PER_S:
        return []
    unit = str(row["unit"])
    work = doing(one)
    what = "; ".join(
        f"{short(name)} {percent(part)}"
        for name, part in zip(work["what"], work["share_pct"], strict=True)
        if part >= _LEAST_SAID_PCT
    )
    part = own_part(one)
    steady = not float(row["expected"]) > 0 or float(row["in_steps"]) >= 0.5 * float(row["expected"])
    said = [
        f"{figure(idle_s)} s without a receipt cost {amount(float(row['idle_cost']), unit, one.metric)}, as much as "
        f"{figure(worth)} receipts: {what}.",
        f"It is {percent(share)} of the cost of the steps and is subtracted from all figures."
        if steady
        else f"Only {percent(share)} of the cost of the steps is background: it is not steady.",
        f"{percent(part)} of it is the profiler built into the service." if part >= 1 else "",
    ]
    low, high = (float(row[f"per_second_{bound}"]) for bound in ("low", "high"))
    per_s = float(row["per_second"])
    each = float(row["background_per_receipt"])
    return [
        Finding(
            kind="background",
            service=one.service,
            mode=one.mode,
            subject=str(work["what"].iloc[0]) if len(work) else "the idle service",
            sentence=" ".join(part for part in said if part),
            metric=one.metric,
            size=Size(
                each, unit, each * low / per_s if per_s else math.nan, each * high / per_s if per_s else math.nan
            ),
            share_pct=share,
            saving_pct=share,
            certainty="measured in one idle window; how much such windows vary is not known",
            confidence=0.9,
            todo="Poll less often, or only what changed" if part < 50 else "Build without the profiler for such a run",
            shown="table of the background, under the answers",
            weight=max(share, min(_MOST_BY_WORTH, worth / idle_s)),
            evidence=work,
        )
    ]


def own_part(one: Measured) -> float:
    """The profiler's share of the idle window, in percent."""
    profile = one.idle_profile
    if profile is None or one.metric not in profile.metric_names:
        return 0.0
    whole = float(profile.total(one.metric))
    return 100 * profiler_part(profile, one.metric)[0] / whole if whole else 0.0


def doing(one: Measured, most: int = _SAID) -> pd.DataFrame:
    """What a service does without receipts: what, cost, share_pct; the outermost functions that are not plumbing (for
    strace the system calls), the most expensive first."""
    profile = one.idle_profile
    if profile is not None and one.metric in profile.metric_names and one.mode != "strace":
        return _outermost(profile, one.metric).head(most)
    if one.idle.empty:
        return pd.DataFrame(columns=["what", "cost", "share_pct"])
    rows = one.idle[(one.idle["metric"] == one.metric) & (one.idle["by"] == "function") & (one.idle["name"] != REST)]
    whole = float(one.idle.loc[(one.idle["metric"] == one.metric) & (one.idle["by"] == "whole"), "self"].sum())
    table = rows.sort_values("self", ascending=False, kind="stable").head(most)
    return pd.DataFrame(
        {
            "what": table["name"].to_list(),
            "cost": table["self"].to_list(),
            "share_pct": (100 * table["self"] / whole).to_list() if whole else math.nan,
        }
    )


def _outermost(profile: Profile, metric: str) -> pd.DataFrame:
    profile = legible(profile)
    nodes = profile.nodes
    parent, frame = nodes["parent_id"].to_numpy(dtype=np.int64), nodes["frame_id"].to_numpy(dtype=np.int64)
    total = subtree_sums(parent, nodes[self_(metric)].to_numpy(dtype=np.float64)[:, None])[:, 0]
    speaks = roles(profile.frames)[frame] != PLUMBING
    inside = np.zeros(len(parent), dtype=bool)
    for node in np.flatnonzero(parent >= 0).tolist():
        above = parent[node]
        inside[node] = inside[above] or speaks[above]
    tops = np.flatnonzero(speaks & ~inside)
    whole = max(float(profile.total(metric)), 1e-9)
    table = pd.DataFrame({"what": profile.frames["function"].to_numpy()[frame[tops]], "cost": total[tops]})
    table = table.groupby("what", as_index=False, sort=False)["cost"].sum()
    rest = float(total[parent < 0].sum() - table["cost"].sum())
    if rest > 0:
        table.loc[len(table)] = ["the runtime and the system's libraries", rest]
    table["share_pct"] = 100 * table["cost"] / whole
    return table.sort_values("cost", ascending=False, kind="stable", ignore_index=True)

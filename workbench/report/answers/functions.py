"""What notebooks show of the functions and stacks of any profile; a sentence if it has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.numbers import precise, range_text
from workbench.profiles.columns import total_
from workbench.profiles.interval import interval, ticks_of
from workbench.profiles.share import whole_of
from workbench.profiles.views.neighbours import callees, callers
from workbench.profiles.views.top import top
from workbench.report.snakeviz import snakeviz_frame
from workbench.report.tables import table
from workbench.report.view import View, sentence

if TYPE_CHECKING:
    import pandas as pd

    from workbench.charts.flame import FlameGraph
    from workbench.profiles.model import Profile
    from workbench.profiles.views.top import By, Sort

DIFFERENCE = (
    "The profile is a difference: it has values below zero, and gains and losses cancel out in its sum. So it has no "
    "shares; compare the values."
)
UNITS_OF_TIME_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
_TOP = 3
_SHOWN_S = 0.01  # shown with two decimals, less would be 0.00 s
_NO_FUNCTIONS = "The profile has no functions, so there are no callers or callees."


def changes(profile: Profile) -> list[str]:
    """What rose and what fell in a difference of two profiles."""
    own = top(profile)
    total = amount(profile, profile.total())
    said = [f"The profile is the difference of two profiles: {total} of {profile.default_metric} in total."]
    for word, rows in (("rose", own[own["self"] > 0].head(_TOP)), ("fell", own[own["self"] < 0].head(_TOP))):
        listed = [f"{row.label} by {amount(profile, row.self)}" for row in rows.itertuples(index=False)]
        if listed:
            said.append(f"Own cost (without callees) {word} most in: {'; '.join(listed)}.")
    return said


def amount(profile: Profile, value: float) -> str:
    """A cost of the profile's metric, with its unit."""
    return precise(value, profile.metric().unit)


def shares(
    profile: Profile, rows: int | None = None, *, by: By = "function", sort: Sort = "self", columns: Sequence[str] = ()
) -> View:
    """The top table with unique names; for samples with 95 % intervals of the shares. ``columns`` are shown
    in addition."""
    found = top(profile, by=by, sort=sort)
    ticks, whole = ticks_of(profile), whole_of(profile)
    wanted = ["label"]
    for which in (sort, "total" if sort == "self" else "self"):
        wanted += [which, f"{which}_pct"]
        if ticks and not math.isnan(whole):
            ends = zip(*interval(found[which], whole, ticks), strict=True)
            found[f"{which}_95"] = [range_text(float(low), float(high)) for low, high in ends]
            wanted.append(f"{which}_95")
        if which == sort == "self":
            wanted.append("cumulative_pct")
    return table(found[[*wanted, *columns]].rename(columns={"label": "name"}), rows)


def callers_table(profile: Profile, function: str, rows: int | None = None) -> View:
    """The callers of a function, and its cost when called by each."""
    return sentence(_NO_FUNCTIONS) if profile.functions.empty else _around(callers(profile, function), rows)


def callees_table(profile: Profile, function: str, rows: int | None = None) -> View:
    """The callees of a function, and what each cost."""
    return sentence(_NO_FUNCTIONS) if profile.functions.empty else _around(callees(profile, function), rows)


def flame(profile: Profile) -> FlameGraph | View:
    """The flame graph; a sentence if no metric can be summed."""
    from workbench.charts.flame import flame_graph

    if not any(metric.additive for metric in profile.metrics):
        return sentence("No metric of this profile can be summed, so no flame graph can be drawn.")
    return flame_graph(profile)


def snakeviz(profile: Profile) -> View:
    """SnakeViz of the default metric; a sentence if it has nothing to draw."""
    metric = profile.metric()
    if not metric.additive or not (profile.functions[total_(metric.name)] > 0).any():
        return sentence(f"SnakeViz needs totals above zero: this profile has none of {metric.name}.")
    return snakeviz_frame(profile)


def _around(found: pd.DataFrame, rows: int | None) -> View:
    counted = ["calls"] if found["calls"].notna().any() else []
    return table(found[["label", *counted, "cost", "cost_pct"]].rename(columns={"label": "name"}), rows)

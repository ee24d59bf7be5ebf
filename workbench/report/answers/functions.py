"""What notebooks of any profile show of its functions and of its stacks; in words where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.profiles.columns import total_
from workbench.profiles.views.neighbours import callees, callers
from workbench.report.answers.words import sentence
from workbench.report.display import View, table
from workbench.report.snakeviz import snakeviz_frame

if TYPE_CHECKING:
    import pandas as pd

    from workbench.charts.flame import FlameGraph
    from workbench.profiles.model import Profile

_NO_FUNCTIONS = "The profile has no functions, so there is nothing around one."


def callers_table(profile: Profile, function: str, rows: int | None = None) -> View:
    """Who calls a function, and what it cost for each."""
    return sentence(_NO_FUNCTIONS) if profile.functions.empty else _around(callers(profile, function), rows)


def callees_table(profile: Profile, function: str, rows: int | None = None) -> View:
    """Whom a function calls, and what that cost."""
    return sentence(_NO_FUNCTIONS) if profile.functions.empty else _around(callees(profile, function), rows)


def flame(profile: Profile) -> FlameGraph | View:
    """The flame graph; in words where no metric can be summed up to one."""
    from workbench.charts.flame import flame_graph

    if not any(metric.additive for metric in profile.metrics):
        return sentence("No metric of this profile can be summed, so no flame graph can be drawn.")
    return flame_graph(profile)


def snakeviz(profile: Profile) -> View:
    """SnakeViz of the default metric; in words where there is nothing for it to draw."""
    metric = profile.metric()
    if not metric.additive or not (profile.functions[total_(metric.name)] > 0).any():
        return sentence(f"SnakeViz draws times: {metric.name} of this profile has no sum above zero to draw.")
    return snakeviz_frame(profile)


def _around(found: pd.DataFrame, rows: int | None) -> View:
    counted = ["calls"] if found["calls"].notna().any() else []
    return table(found[["name", *counted, "cost", "cost_pct"]], rows)

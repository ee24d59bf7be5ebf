"""The cost of a receipt in each step, stacked by function, file or crate."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from workbench.analysis.costs import REST as SMALL_PLACES
from workbench.analysis.costs import UNNAMED
from workbench.analysis.refusals import refusals
from workbench.charts import theme
from workbench.charts.crate_colours import crate_colour
from workbench.charts.top import legend_names

REST = "rest"
_PATTERNS = ("", "/", "\\", "x", "-", "|", "+")


def receipt_costs(steps: pd.DataFrame, metric_label: str, n: int = 6, *, by: str = "function") -> go.Figure:
    """Cost per receipt of each step, by the ``n`` most expensive places over all steps, and the rest.

    ``steps`` is the frame of :func:`workbench.analysis.costs.cost_by_step` with self costs, of one service and mode.
    Bars of equal height mean that cost is proportional to receipts; a higher first bar includes fixed cost. Steps with
    denied receipts are marked; one with only refusals has no bar. ``by``: the frame's grouping; crates have the same
    colours as in flame graphs.
    """
    unit = str(steps["unit"].iloc[0]) if len(steps) else ""
    chart = theme.figure(
        f"What a receipt costs: {metric_label}",
        f"Cost of each step divided by its receipts, by place: the {n} most expensive places, and the rest. "
        "Equal bars: cost is proportional to receipts. A small step spreads its fixed cost over few receipts.",
        "Receipts in the step",
        per_receipt(metric_label, steps),
    )
    if steps.empty:
        return theme.say_no_data(chart, "No cost was measured with this grouping")
    keys = ["name", "file", "object", "crate"]
    named = steps[steps["name"] != SMALL_PLACES]
    order = named.groupby(keys, sort=False)["cost"].sum().sort_values(ascending=False, kind="stable").index[: max(n, 0)]
    windows = steps[["step", "receipts", "accepted", "denied"]].drop_duplicates().sort_values("step")
    labels = [
        f"{receipts:,}<br>step {step}{_denied(int(denied), refused)}"
        for step, receipts, denied, refused in zip(
            windows["step"], windows["receipts"], windows["denied"], refusals(windows), strict=True
        )
    ]
    places = pd.MultiIndex.from_frame(steps[keys])
    for position, (place, name) in enumerate(zip(order, legend_names([place[0] for place in order]), strict=True)):
        rows = steps[places == place].set_index("step")["cost_per_receipt"].reindex(windows["step"], fill_value=0)
        # a crate has the same colour as in flame graphs and tables
        usual = theme.COLOURWAY[position % (len(theme.COLOURWAY) - 1)]
        colour = crate_colour("" if place[0] == UNNAMED else place[0]) if by == "crate" else usual
        fill = theme.Fill(name, colour, _PATTERNS[position % len(_PATTERNS)])
        _add(chart, fill, str(place[0]), labels, rows.tolist(), unit)
    rest = steps[~places.isin(order)].groupby("step")["cost_per_receipt"].sum().reindex(windows["step"], fill_value=0)
    if rest.any():
        _add(chart, theme.Fill(REST, theme.GREY, "."), REST, labels, rest.tolist(), unit)
    chart.update_xaxes(type="category")
    return chart.update_layout(barmode="relative", height=theme.HEIGHT_PX + 80)


def per_receipt(metric_label: str, table: pd.DataFrame) -> str:
    """The title of an axis: the metric, with its unit if it is not a plain count."""
    unit = str(table["unit"].iloc[0]) if len(table) else ""
    return f"{metric_label} per receipt{'' if unit in ('', 'count') else f', {unit}'}"


def _denied(denied: int, refused: bool) -> str:
    return "<br>all denied" if refused else f"<br>{denied:,} denied" if denied else ""


def _add(
    chart: go.Figure, fill: theme.Fill, whole_name: str, labels: list[str], values: list[float], unit: str
) -> None:
    chart.add_trace(
        go.Bar(
            x=labels,
            y=values,
            name=fill.name,
            marker={"color": fill.colour, "pattern": {"shape": fill.pattern}},
            # plotly would read <b> in names as markup
            hovertemplate=f"{html.escape(whole_name, quote=False)}<br>%{{y:,.4~g}} {html.escape(unit)} per receipt"
            "<extra></extra>",
        )
    )

"""How the cost per receipt grows with the load: measured points and the fitted model."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from workbench.analysis.growth import GROWS
from workbench.charts import theme
from workbench.charts.receipt_costs import per_receipt
from workbench.charts.top import legend_names

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
_X_TITLES = {"receipts": "Receipts in the step", "accumulated": "Receipts sent before, including half of the step"}


def growth_lines(
    points: pd.DataFrame, table: pd.DataFrame, metric_label: str, n: int = 6, *, against: str = "receipts"
) -> go.Figure:
    """Cost per receipt of each step (marks) with the fitted model (lines): first functions that grow faster than the
    load, then the most expensive ones.

    ``points`` and ``table`` are those of :class:`workbench.analysis.growth.Growth`, ``against`` its ``against``. A line
    that falls is fixed cost spread over more receipts; one that rises is growth per receipt.
    """
    chart = theme.figure(
        f"Growth of {metric_label} per receipt",
        "Cost per receipt of each step, and the model fitted to it. A falling line is fixed cost spread over more "
        "receipts, a level one is cost in proportion to the load, a rising one is cost that grows faster.",
        _X_TITLES.get(against, against),
        per_receipt(metric_label, table),
    )
    if table.empty or points.empty:
        return theme.say_no_data(chart, "No step was profiled")
    grows = table["flag"] == GROWS
    shown = pd.concat([table[grows], table[~grows]]).head(n)
    keys = ["name", "file", "object", "crate"]
    by_place = {place: rows.sort_values("position") for place, rows in points.groupby(keys, sort=False)}
    names = legend_names(shown["name"].tolist(), shown["flag"].tolist())
    for position, (row, name) in enumerate(zip(shown[keys].itertuples(index=False, name=None), names, strict=True)):
        rows = by_place[row]
        line = theme.series_line(position, name)
        whole = html.escape(str(row[0]), quote=False)
        for column, mode, what in (
            ("fitted_per_receipt", "lines", "model"),
            ("cost_per_receipt", "markers", "measured"),
        ):
            chart.add_trace(
                go.Scatter(
                    x=rows["position"],
                    y=rows[column],
                    mode=mode,
                    name=line.name if mode == "lines" else f"{line.name}, measured",
                    legendgroup=str(position),
                    showlegend=mode == "lines",
                    line={"color": line.colour, "dash": line.dash, "width": 2},
                    marker={"color": line.colour, "symbol": _SYMBOLS[position % len(_SYMBOLS)], "size": 9},
                    customdata=rows[["step", "receipts"]].to_numpy(),
                    hovertemplate=f"{whole}, {what}<br>%{{y:,.4~g}} per receipt<br>step %{{customdata[0]}}, "
                    "%{customdata[1]:,} receipts<extra></extra>",
                )
            )
    chart.update_xaxes(rangemode="tozero")
    chart.update_yaxes(rangemode="tozero")
    return chart.update_layout(height=theme.HEIGHT_PX + 80)

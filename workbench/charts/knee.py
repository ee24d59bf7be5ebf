"""The knee: throughput against the rate, and where the models place the knee."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from workbench.analysis.knee import Estimate, Knees
from workbench.charts import theme


def knee(knees: Knees) -> go.Figure:
    """Accepted receipts per second against the planned rate, with a vertical line at the knee of each model.

    ``knees`` are those of :func:`workbench.analysis.knee.knees`. On the thin line everything is accepted.
    """
    chart = theme.figure(
        "The knee",
        f"Receipts accepted per second against the planned rate, one point per rate. {knees.sentence}".rstrip(),
        "Planned receipts per second",
        "Accepted receipts per second",
    )
    rates = knees.rates
    if not knees.sentence:
        return theme.say_no_data(chart, "Fewer than three rates were measured, so no knee can be seen")
    ends = [0.0, float(rates["rate_per_s"].max())]
    chart.add_trace(
        go.Scatter(x=ends, y=ends, mode="lines", name="all accepted", line={"color": theme.GREY, "dash": "dot"})
    )
    chart.add_trace(
        go.Scatter(
            x=rates["rate_per_s"],
            y=rates["throughput_per_s"],
            mode="lines+markers",
            name="accepted",
            line={"color": theme.BLACK, "width": 2},
            customdata=rates[["steps", "response_p95_ms"]].to_numpy(),
            hovertemplate="%{y:,.4~g} of %{x:,.4~g} per s<br>response p95 %{customdata[1]:,.4~g} ms"
            "<br>%{customdata[0]} steps<extra></extra>",
        )
    )
    told = [estimate for estimate in knees.estimates if math.isfinite(estimate.rate_per_s)]
    for number, estimate in enumerate(told):
        _add_line(chart, estimate, number)
    chart.update_xaxes(rangemode="tozero")
    chart.update_yaxes(rangemode="tozero")
    return chart


def _add_line(chart: go.Figure, estimate: Estimate, number: int) -> None:
    line = theme.series_line(number + 1, estimate.model)
    chart.add_vline(x=estimate.rate_per_s, line={"color": line.colour, "dash": line.dash, "width": 1.5})
    chart.add_annotation(
        x=estimate.rate_per_s,
        y=0.04 + 0.09 * number,
        yref="paper",
        text=f"{estimate.model} {estimate.rate_per_s:,.4g}/s",
        showarrow=False,
        xanchor="right",
        xshift=-4,
        font={"color": line.colour, "size": 11},
        bgcolor="rgba(255,255,255,0.8)",
    )

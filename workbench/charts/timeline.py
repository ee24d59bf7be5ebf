"""The run second by second."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.steps import DISTORTED, all_distorted
from workbench.charts.thin import thin_series

RATES = (
    ("done_ok", theme.Fill("accepted", theme.GREEN, "")),
    ("done_denied", theme.Fill("denied", theme.VERMILION, "x")),
    ("done_failed", theme.Fill("other refusals and errors", theme.ORANGE, "/")),
)


def rates_over_time(series: pd.DataFrame, steps: pd.DataFrame | None = None) -> go.Figure:
    """Requests answered in each second, stacked by outcome, with those planned and those in flight.

    ``series`` is the per-second frame of a run, time in seconds since its start. ``steps`` marks invalid steps. Planned
    above the stack means that requests wait; in flight that keeps growing means overload.
    """
    chart = theme.figure(
        "Throughput over time",
        "Requests answered in each second by outcome, with those planned and those in flight.",
        "Time since the start in s",
        "Requests per second; in flight",
    )
    if series.empty:
        return theme.say_no_data(chart, "No request was sent")
    series, thinned = thin_series(series)
    theme.add_to_caption(chart, thinned)
    for column, fill in RATES:
        if series[column].sum() > 0:
            chart.add_trace(
                go.Bar(
                    x=_middle(series),
                    width=series["span_s"],
                    y=series[column],
                    name=fill.name,
                    marker={
                        "color": fill.colour,
                        "line": {"width": 0},
                        "pattern": {
                            "shape": fill.pattern,
                            "fillmode": "overlay",
                            "fgcolor": "#FFFFFF",
                            "size": 6,
                        },
                    },
                    hovertemplate=f"%{{y:,}} {fill.name} at %{{x:,.1f}} s<extra></extra>",
                )
            )
    for column, line in (
        ("offered", theme.Line("offered", theme.BLACK, "dot")),
        ("in_flight", theme.Line("in flight", theme.BLUE, "dash")),
    ):
        _add_series(chart, series, column, line, "")
    mark_steps(chart, series, steps)
    chart.update_layout(barmode="stack")
    chart.update_yaxes(rangemode="tozero")
    return chart


def response_over_time(series: pd.DataFrame, steps: pd.DataFrame | None = None) -> go.Figure:
    """Response time (ms, from the intended time) of accepted requests at p50 and p99 of each second."""
    chart = theme.figure(
        "Response time over time",
        "Response time of the requests accepted in each second, from when each was due to its last byte.",
        "Time since the start in s",
        "Response time in ms (log)",
    )
    if series.empty:
        return theme.say_no_data(chart, "No request was sent")
    if all_distorted(steps):
        return theme.say_no_data(chart, DISTORTED)
    series, thinned = thin_series(series)
    theme.add_to_caption(chart, thinned)
    for name in ("p50", "p99"):
        add_percentile(chart, series, f"response_{name}_ms", theme.PERCENTILES[name])
    if not chart.data:
        return theme.say_no_data(chart, "No request was accepted")
    mark_steps(chart, series, steps)
    return theme.log_axis(chart, "y")


def add_percentile(chart: go.Figure, series: pd.DataFrame, column: str, line: theme.Line) -> None:
    """Add a column of :func:`thin_series` in ms, with gaps at seconds without a value and between two steps."""
    if series[column].notna().any():
        _add_series(chart, series, column, line, " ms")


def mark_steps(chart: go.Figure, series: pd.DataFrame, steps: pd.DataFrame | None) -> None:
    """A thin line and the number where each step begins; an invalid step is grey and labelled."""
    verdicts = {} if steps is None else dict(zip(steps["step"], steps["verdict"], strict=True))
    ends = series["t_s"] + series["span_s"]
    spans = series.groupby("step")["t_s"].agg(["min"]).assign(end=ends.groupby(series["step"]).max())
    for step, begin, end in spans.itertuples():
        invalid = verdicts.get(step) == "INVALID"
        chart.add_vline(x=begin, line={"color": "#999999", "dash": "dot", "width": 1})
        if invalid:
            chart.add_vrect(x0=begin, x1=end, fillcolor=theme.GREY, opacity=0.2, line_width=0, layer="below")
        if invalid or len(spans) > 1:
            chart.add_annotation(
                x=begin,
                y=1,
                xref="x",
                yref="paper",
                text=f"{step} invalid" if invalid else str(step),
                showarrow=False,
                xanchor="left",
                yanchor="bottom",
                font={"size": 11, "color": "#555555"},
            )


def _add_series(chart: go.Figure, series: pd.DataFrame, column: str, line: theme.Line, unit: str) -> None:
    broken = _break_between_steps(series, column)
    chart.add_trace(
        go.Scatter(
            x=_middle(broken),
            y=broken[column],
            mode="lines+markers" if len(series) <= 60 else "lines",
            marker={"size": 5},
            name=line.name,
            line={"color": line.colour, "dash": line.dash, "width": 2},
            hovertemplate=f"{line.name}: %{{y:,.4~g}}{unit} at %{{x:,.1f}} s<extra></extra>",
        )
    )


def _middle(series: pd.DataFrame) -> pd.Series[float]:
    """A row covers a second or several, so it is drawn at their middle."""
    return series["t_s"] + series["span_s"] / 2


def _break_between_steps(series: pd.DataFrame, column: str) -> pd.DataFrame:
    """The column with one empty row after each step: between steps nothing was measured, so no line is drawn."""
    parts = [part[["t_s", "span_s", column]] for _, part in series.groupby("step", sort=False)]
    gaps = [part.tail(1).assign(**{column: float("nan")}) for part in parts]
    return pd.concat([piece for pair in zip(parts, gaps, strict=True) for piece in pair])

"""How long accepted requests took. Refusals are fast and would make every figure look better, so they are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.steps import DISTORTED, add_line, undistorted
from workbench.load.histogram import RESOLUTION, quantiles_ms

CURVE_POINTS = 200
ALL_POINTS = 20_000
"""The most points of all curves of a chart together, so that a sweep of a thousand steps fits on a page."""

LINES = {
    "response_p50_ms": theme.Line("response p50", theme.BLUE, "solid", "circle"),
    "response_p95_ms": theme.Line("response p95", theme.ORANGE, "dash", "square"),
    "response_p99_ms": theme.Line("response p99", theme.VERMILION, "dot", "diamond"),
    "service_p50_ms": theme.Line("service p50", theme.GREY, "longdash", "triangle-up"),
    "service_p99_ms": theme.Line("service p99", theme.GREY, "longdashdot", "triangle-down"),
}


def latency_by_step(steps: pd.DataFrame) -> go.Figure:
    """Response time percentiles (ms, from the intended time) against receipts, with the service time p50 and
    p99.

    ``steps`` is the steps frame of a run, whose percentiles are over accepted requests and NaN if the step has too few
    of them (fewer than 10 / (1 - p)); such points are not drawn. Response far above service at the same percentile
    means that requests waited in the generator.
    """
    chart = theme.figure(
        "Response time",
        "Response time of accepted requests, from when each was due to its last byte; service time counts "
        "from when it was sent. A percentile is missing if the step has too few samples for it; whiskers are "
        "95 % intervals. " + theme.VERDICT_LEGEND,
        "Receipts in the step",
        "Time in ms (log)",
    )
    if steps.empty:
        return theme.say_no_data(chart, "No step was measured")
    rows = undistorted(steps)
    if rows.empty:
        return theme.say_no_data(chart, DISTORTED)
    for column, line in LINES.items():
        add_line(chart, rows, column, line, "ms")
    if not chart.data:
        return theme.say_no_data(chart, "No step has enough accepted requests")
    return theme.log_axis(chart, "y")


def latency_distribution(histograms: pd.DataFrame, steps: pd.DataFrame | None = None) -> go.Figure:
    """Share of accepted requests (%) done within a time (ms): a curve per step, or response and service of one step.

    ``histograms`` is the histograms frame of a run; with ``steps`` those that are invalid, under a profiler or pinpoint
    the limit are left out. A curve ends at the highest percentile that n samples allow, 1 - 10/n.
    """
    caption = (
        "Share of accepted requests that were done within a time. Each curve ends at the highest percentile "
        "that its number of samples allows. Invalid steps are left out."
    )
    accepted = histograms[histograms["clock"] != "lag"] if len(histograms) else histograms
    if len(accepted) and (accepted["upper_ns"] > accepted["lower_ns"]).any():
        caption += f" Drawn from counts in buckets of at most {100 * RESOLUTION:.1f} % width."
    chart = theme.figure("Distribution of response times", caption, "Time in ms (log)", "Accepted requests done, %")
    if histograms.empty:
        return theme.say_no_data(chart, "No receipt was sent")
    if steps is not None:
        rows = undistorted(steps)
        accepted = accepted[accepted["step"].isin(rows.loc[rows["verdict"] != "INVALID", "step"])]
    response = accepted[accepted["clock"] == "response"]
    if response["step"].nunique() == 1:
        curves = [("response", response), ("service", accepted[accepted["clock"] == "service"])]
    else:
        curves = [(f"step {step}", buckets) for step, buckets in response.groupby("step")]
    for position, (name, buckets) in enumerate(curves):
        count = int(buckets["count"].sum())
        shares = _shares(count, max(20, min(CURVE_POINTS, ALL_POINTS // len(curves))))
        if shares.size:
            line = theme.series_line(position, name)
            chart.add_trace(
                go.Scatter(
                    x=quantiles_ms(buckets, shares),
                    y=shares * 100,
                    mode="lines",
                    name=f"{name} (n = {count:,})",
                    line={"color": line.colour, "dash": line.dash, "width": 2},
                    hovertemplate=f"{name}: %{{y:.1f}} % within %{{x:,.4~g}} ms<extra></extra>",
                )
            )
    if not chart.data:
        distorted = steps is not None and len(steps) > 0 and undistorted(steps).empty
        why = DISTORTED if distorted else "No valid step has enough accepted requests"
        return theme.say_no_data(chart, why)
    chart.update_yaxes(range=[0, 101])
    return theme.log_axis(chart, "x")


def _shares(count: int, points: int) -> np.ndarray:
    """At most ``points`` shares from 0 to the highest that ``count`` samples allow; none for fewer than 20 samples (no
    median).
    """
    if count < 20:
        return np.array([])
    return np.linspace(0.0, 1.0 - 10.0 / count, min(points, count))

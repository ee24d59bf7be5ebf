"""The generator's own lateness: how long after its due time each request was sent."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.steps import add_line, ladder
from workbench.charts.thin import thin_series
from workbench.charts.timeline import add_percentile, mark_steps

NEVER_DUE = "In a closed loop no request has a planned time, so none is late"


def lag_by_step(steps: pd.DataFrame) -> go.Figure:
    """Generator lag (sent minus intended, ms) at p50, p99 and maximum, against receipts.

    ``steps`` is the steps frame of a run. Lag is a property of the generator, not of the service: a step with large lag
    compared to its service time is invalid, not slow.
    """
    chart = theme.figure(
        "Generator lag",
        "How late the generator itself sent its requests; a step where this is large is invalid. "
        + theme.VERDICT_LEGEND,
        "Receipts in the step",
        "Lag in ms (log)",
    )
    if steps.empty:
        return theme.say_no_data(chart, "No step was measured")
    rows = ladder(steps)
    if not (rows["lag_max_ms"] > 0).any():
        return theme.say_no_data(chart, NEVER_DUE)
    for name in ("p50", "p99", "max"):
        add_line(chart, rows, f"lag_{name}_ms", theme.PERCENTILES[name], "ms")
    if not chart.data:
        return theme.say_no_data(chart, "No request was sent")
    return theme.log_axis(chart, "y")


def lag_over_time(series: pd.DataFrame, steps: pd.DataFrame | None = None) -> go.Figure:
    """Generator lag (sent minus intended, ms) at p99 of each second, over the time of the run in seconds."""
    chart = theme.figure(
        "Generator lag over time",
        "How late the generator itself sent its requests, p99 of each second.",
        "Time since the start in s",
        "Lag in ms (log)",
    )
    if series.empty:
        return theme.say_no_data(chart, "No request was sent")
    if series["lag_p99_ms"].notna().any() and not (series["lag_p99_ms"] > 0).any():
        return theme.say_no_data(chart, NEVER_DUE)
    series, thinned = thin_series(series)
    theme.add_to_caption(chart, thinned)
    add_percentile(chart, series, "lag_p99_ms", theme.PERCENTILES["p99"])
    if not chart.data:
        return theme.say_no_data(chart, "No request was sent")
    mark_steps(chart, series, steps)
    return theme.log_axis(chart, "y")

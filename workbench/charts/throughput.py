"""Throughput against the size of the step."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.steps import DISTORTED, add_line, undistorted


def throughput_by_step(steps: pd.DataFrame) -> go.Figure:
    """Accepted receipts per second of each step against its receipts, beside the planned rate if there is one.

    ``steps`` is the steps frame of a run. The gap between planned and accepted was refused or not sent.
    """
    chart = theme.figure(
        "Throughput",
        "Receipts accepted per second in each step, beside the planned rate of an open loop. " + theme.VERDICT_LEGEND,
        "Receipts in the step",
        "Receipts per second",
    )
    if steps.empty:
        return theme.say_no_data(chart, "No step was measured")
    rows = undistorted(steps)
    if rows.empty:
        return theme.say_no_data(chart, DISTORTED)
    add_line(chart, rows, "throughput_per_s", theme.Line("accepted", theme.GREEN, "solid"), "per s")
    add_line(chart, rows, "rate_per_s", theme.Line("planned", theme.GREY, "dot", "square"), "per s")
    if not chart.data:
        return theme.say_no_data(chart, "No step was measured")
    chart.update_yaxes(rangemode="tozero")
    return chart

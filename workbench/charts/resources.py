"""Resources used by the processes during the load."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.thin import MOST_POINTS, thin_curve

MIB = 1024 * 1024
ROWS = (
    ("cpu_percent", "CPU, % of one core", 1.0),
    ("rss_bytes", "Memory (RSS), MiB", 1.0 / MIB),
    ("threads", "Threads", 1.0),
)


def resources(watch: pd.DataFrame) -> go.Figure:
    """CPU (% of one core), resident memory (MiB) and threads of each watched process over the time of the run
    in s.

    ``watch`` is the long watch frame of a run: one row per source, metric and time. Missing metrics get no panel.
    """
    chart = theme.figure(
        "Resources",
        "CPU, memory and threads of the service, the agent and the load generator while the load ran.",
        "Time since the start in s",
        "",
    )
    if watch.empty:
        return theme.say_no_data(chart, "No process was watched")
    panels = [row for row in ROWS if (watch["metric"] == row[0]).any()]
    if not panels:
        return theme.say_no_data(chart, "No process was watched")
    chart.set_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    sources = sorted(watch["source"].unique())
    thinned = False
    for number, (metric, title, factor) in enumerate(panels, start=1):
        rows = watch[watch["metric"] == metric]
        for position, source in enumerate(sources):
            line = theme.series_line(position, source)
            every = rows[rows["source"] == source].sort_values("t_s")
            if every.empty:
                continue
            own = thin_curve(every, "value")
            thinned = thinned or len(own) < len(every)
            chart.add_trace(
                go.Scatter(
                    x=own["t_s"],
                    y=own["value"] * factor,
                    mode="lines",
                    name=source,
                    legendgroup=source,
                    showlegend=number == 1,
                    line={"color": line.colour, "dash": line.dash, "width": 2},
                    hovertemplate=f"{source}: %{{y:,.4~g}} at %{{x:,.3~g}} s<extra>{title}</extra>",
                ),
                row=number,
                col=1,
            )
        chart.update_yaxes(title_text=title, rangemode="tozero", row=number, col=1)
    if thinned:
        theme.add_to_caption(
            chart, f" Long curves are drawn with {MOST_POINTS:,} points, each the largest of its neighbours."
        )
    chart.update_xaxes(title_text="")
    chart.update_xaxes(title_text="Time since the start in s", row=len(panels), col=1)
    chart.update_layout(height=180 * len(panels) + 120)
    return chart

"""A figure over the runs of a service, with the detected changes."""

from __future__ import annotations

import plotly.graph_objects as go

from workbench.catalogue.history import History
from workbench.charts import theme
from workbench.charts.top import legend_names

_MOST_SERIES = 6
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")


def history(found: History) -> go.Figure:
    """The value of each run against its start time, a line per series; a ring marks the first run after a change.

    ``found`` is that of :func:`workbench.catalogue.history.history`. Of many series the longest are shown.
    """
    figure = found.figure.replace("_", " ")
    chart = theme.figure(
        f"History of {figure}",
        f"{figure.capitalize()} of each finished run against its start time; runs of the same settings and machine "
        "form one line. A large ring marks the first run after a change.",
        "Began (UTC)",
        figure,
    )
    if found.runs.empty:
        return theme.say_no_data(chart, f"No finished run has {figure}")
    groups = list(found.runs.groupby("series", sort=True))
    if len(groups) > _MOST_SERIES:
        theme.add_to_caption(chart, f" The {_MOST_SERIES} longest of {len(groups)} series are shown.")
    shown = groups[:_MOST_SERIES]
    names = legend_names([str(rows["of"].iloc[0] or "runs") for _, rows in shown])
    for position, ((_, rows), name) in enumerate(zip(shown, names, strict=True)):
        line = theme.series_line(position, name)
        chart.add_trace(
            go.Scatter(
                x=rows["started"],
                y=rows["value"],
                mode="lines+markers",
                name=line.name,
                line={"color": line.colour, "dash": line.dash, "width": 1},
                marker={
                    "color": line.colour,
                    "symbol": _SYMBOLS[position % len(_SYMBOLS)],
                    "size": [16 if changed else 7 for changed in rows["changed"]],
                    "line": {"width": [3 if changed else 0 for changed in rows["changed"]], "color": theme.BLACK},
                },
                customdata=rows[["run", found.by]].to_numpy(),
                hovertemplate=f"%{{customdata[0]}}<br>{found.by.replace('_', ' ')} %{{customdata[1]}}<br>%{{y:,.6g}}",
            )
        )
    return chart

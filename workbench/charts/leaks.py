"""What allocation sites hold, over all receipts sent: a leak is a line that keeps rising."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from workbench.analysis.leaks import FLAGS
from workbench.charts import theme
from workbench.charts.top import shortened

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
KIB = 1024


def leak_lines(edges: pd.DataFrame, table: pd.DataFrame, n: int = 6) -> go.Figure:
    """Memory (KiB) of the ``n`` first sites at each edge of a step, leaks before what only looks like one.

    ``edges`` and ``table`` are those of :class:`workbench.analysis.leaks.Leaks`. An edge at which massif did not list a
    site, because it held little, has no mark.
    """
    chart = theme.figure(
        "What is kept, over the receipts sent",
        "Memory each allocation site holds before and after each step. A leak rises to the end in step with the "
        "receipts; a site that rises in the first step only is warm-up.",
        "Receipts sent since the start of the sweep",
        "Memory in KiB",
    )
    if edges.empty or table.empty:
        return theme.say_no_data(chart, "No heap was recorded")
    order = table["flag"].map({flag: place for place, flag in enumerate(FLAGS)})
    shown = (
        table.assign(order=order).sort_values(["order", "held_bytes"], ascending=[True, False], kind="stable").head(n)
    )
    keys = ["allocator", "function", "file", "line", "object", "crate"]
    sites = dict(iter(edges.groupby(keys, sort=False)))
    for position, row in enumerate(shown[[*keys, "flag"]].itertuples(index=False, name=None)):
        rows, name = sites[row[:6]], html.escape(str(row[0]), quote=False)
        line = theme.series_line(position, html.escape(shortened(str(row[0])), quote=False))
        chart.add_trace(
            go.Scatter(
                x=rows["receipts"],
                y=rows["bytes"] / KIB,
                mode="lines+markers",
                name=f"{line.name}: {row[6]}",
                line={"color": line.colour, "dash": line.dash, "width": 2},
                marker={"color": line.colour, "symbol": _SYMBOLS[position % len(_SYMBOLS)], "size": 8},
                customdata=rows[["step", "edge", "bytes"]].to_numpy(),
                hovertemplate=f"{name}<br>%{{customdata[2]:,}} bytes at the %{{customdata[1]}} of step "
                "%{customdata[0]}<extra></extra>",
            )
        )
    chart.update_xaxes(rangemode="tozero")
    chart.update_yaxes(rangemode="tozero")
    return chart.update_layout(height=theme.HEIGHT_PX + 80)

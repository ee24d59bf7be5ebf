"""Memory held by allocation sites against all receipts sent: a leak is a line that keeps rising."""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from workbench.analysis.leaks import FLAGS
from workbench.charts import theme
from workbench.charts.top import legend_names

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")
KIB = 1024


def leak_lines(edges: pd.DataFrame, table: pd.DataFrame, n: int = 6) -> go.Figure:
    """Memory (KiB) of the first ``n`` sites before and after each step; leaks come first.

    ``edges`` and ``table`` are those of :class:`workbench.analysis.leaks.Leaks`. A site that massif did not list,
    because it held little, has no mark there. Lines are broken where the service was restarted.
    """
    chart = theme.figure(
        "Memory kept over the receipts sent",
        "Memory each allocation site holds before and after each step. A leak keeps growing with the receipts; a site "
        "that grows in the first step only is warm-up.",
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
    names = legend_names(shown["allocator"].tolist(), shown["flag"].tolist())
    for position, (row, label) in enumerate(zip(shown[keys].itertuples(index=False, name=None), names, strict=True)):
        rows, name = _broken(sites[row]), html.escape(str(row[0]), quote=False)
        line = theme.series_line(position, label)
        chart.add_trace(
            go.Scatter(
                x=rows["receipts"],
                y=rows["bytes"] / KIB,
                mode="lines+markers",
                name=line.name,
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


def _broken(rows: pd.DataFrame) -> pd.DataFrame:
    """The points of one site, with an empty one between two sessions, which have different heaps."""
    if "session" not in rows or rows["session"].nunique() < 2:
        return rows
    parts = [part for _, part in rows.groupby("session", sort=False)]
    gap = pd.DataFrame({"receipts": [float("nan")], "bytes": [float("nan")]})
    return pd.concat([piece for part in parts for piece in (part, gap)][:-1], ignore_index=True)

"""The first rows of a top table as bars."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.profiles.names import apart

MOST_BARS = 30
NAME_LENGTH = 48
_ROW_PX = 34
_WRAP = 90
_LEAST_NAME = 16
# letters of names beside bars, which need room too
_TICK_LENGTH = 32


def top_bars(table: pd.DataFrame, metric_label: str, unit: str) -> go.Figure:
    """Self and total cost of each row of a top table (``name`` or ``label``, ``self``, ``total``; more columns are
    ignored), in its order, the first on top. ``metric_label`` and ``unit``: what was measured and its unit.

    Total includes callees, so totals overlap and do not add up; self costs do. Long names lose their middle; the tip
    has the whole name.
    """
    shown = table.head(MOST_BARS)
    chart = theme.figure(
        f"Where {metric_label} goes",
        _caption(len(table), len(shown), metric_label),
        f"{metric_label}, {unit}",
        "Function",
    )
    if shown.empty:
        return theme.say_no_data(chart, "Nothing was measured")
    # bars of one category would overlap
    names = shown["label" if "label" in shown else "name"]
    places = apart(names.tolist(), "#{}")
    tips = ["<br>".join(textwrap.wrap(html.escape(name, quote=False), _WRAP)) for name in names]
    for column, fill in (("self", theme.Fill("self", theme.BLUE, "")), ("total", theme.Fill("total", theme.SKY, "/"))):
        chart.add_trace(
            go.Bar(
                x=shown[column],
                y=places,
                orientation="h",
                name=fill.name,
                marker={"color": fill.colour, "pattern": {"shape": fill.pattern}},
                customdata=tips,
                hovertemplate=f"%{{customdata}}<br>{fill.name} %{{x:,}} {html.escape(unit)}<extra></extra>",
            )
        )
    chart.update_layout(barmode="group", height=120 + _ROW_PX * len(shown))
    chart.update_xaxes(rangemode="tozero")
    chart.update_yaxes(
        type="category",
        autorange="reversed",
        tickmode="array",
        tickvals=places,
        # plotly would read <b> in labels as markup
        ticktext=[html.escape(shortened(name, _TICK_LENGTH), quote=False) for name in names],
    )
    return chart


def shortened(name: str, length: int = NAME_LENGTH) -> str:
    """A name of at most ``length`` characters: a longer one loses its middle."""
    if len(name) <= length:
        return name
    tail = (length - 1) * 2 // 3
    return f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def legend_names(names: Sequence[str], flags: Sequence[str] | None = None) -> list[str]:
    """Unique names for a legend on a narrow screen, each followed by its remark: long ones lose their middle, so that
    an offset at the end stays. HTML is escaped."""
    said = [f": {flag}" for flag in flags] if flags is not None else [""] * len(names)
    # room for a number that makes equal names unique
    short = [
        shortened(name, max(theme.LEGEND_LENGTH - len(" #2") - len(more), _LEAST_NAME))
        for name, more in zip(names, said, strict=True)
    ]
    return [html.escape(f"{name}{more}", quote=False) for name, more in zip(apart(short, "#{}"), said, strict=True)]


def _caption(rows: int, shown: int, metric_label: str) -> str:
    which = f"The first {shown} of {rows:,} rows: " if rows > shown else ""
    return (
        f"{which}{metric_label} spent in a function itself (self), and including all it called (total). Totals of "
        "callers include those of callees, so they do not add up."
    )

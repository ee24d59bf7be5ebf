"""A plotly chart as a part of a page: the place where it is drawn, its caption, and a table of its data."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from workbench.markup import markup, safe, script_json
from workbench.report.tables import missing, rows_html

PLOTLY_MIME = "application/vnd.plotly.v1+json"
ROWS_SHOWN = 200


def figure_html(spec: Mapping[str, Any], name: str) -> str:
    """HTML for a figure as plotly stores it in a notebook. ``name`` is its id in the page.

    The template's script draws the chart from the JSON put here. Caption and table are for readers who cannot
    see it, or without scripts.
    """
    layout = spec.get("layout", {})
    title = (layout.get("title", {}).get("text") or "Chart").replace("<br>", " ")
    caption = (layout.get("meta") or {}).get("caption") or title
    height = layout.get("height") or 450
    data = script_json({"data": spec.get("data", []), "layout": dict(layout)})
    headings, points = figure_points(spec)
    below = safe(rows_html(headings, points, ROWS_SHOWN, name=name)) if points else None
    return markup("report/figure", name=name, title=title, caption=caption, height=int(height), data=data, table=below)


def nothing_in(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Title of a figure without data, and the reason shown in its place; ("", "") if it has data."""
    layout = spec.get("layout", {})
    why = str((layout.get("meta") or {}).get("nothing", ""))
    return (str(layout.get("title", {}).get("text") or "Chart").replace("<br>", " "), why) if why else ("", "")


def figure_points(spec: Mapping[str, Any]) -> tuple[tuple[str, str, str], list[tuple[Any, Any, Any]]]:
    """The points of a figure, one row each: the series, its x and its y; and their headings, by the titles of the axes.

    Lists, not a DataFrame: the command that makes a report would import pandas only for this.
    """
    layout = spec.get("layout", {})
    traces = spec.get("data", [])
    y_axes = {trace.get("yaxis", "y") for trace in traces}
    y_title = (_axis_title(layout, "y") or "y") if len(y_axes) < 2 else "Value"
    rows: list[tuple[Any, Any, Any]] = []
    for trace in traces:
        x, y = _values(trace.get("x")), _values(trace.get("y"))
        if len(x) != len(y):
            continue
        name = str(trace.get("name", ""))
        if len(y_axes) > 1:
            name = f"{name}: {_axis_title(layout, trace.get('yaxis', 'y'))}"
        rows += [(name, _plain(at), value) for at, value in zip(x, y, strict=True) if not missing(value)]
    return ("Series", _axis_title(layout, "x") or "x", y_title), rows


def _axis_title(layout: Mapping[str, Any], axis: str) -> str:
    """The title of axis ``x``, ``y``, ``y2`` …"""
    key = f"{axis[0]}axis{axis[1:]}"
    title: str = layout.get(key, {}).get("title", {}).get("text") or ""
    return title


def _values(column: Any) -> list[Any]:
    """The values of a column of a trace: a list, or plotly's base64 form of a numpy array."""
    import numpy as np

    if isinstance(column, Mapping) and "bdata" in column:
        array = np.frombuffer(base64.b64decode(column["bdata"]), dtype=np.dtype(column["dtype"]))
        return [value.item() for value in array]
    return [] if column is None else list(column)


def _plain(value: Any) -> Any:
    """A label without its line breaks (<br>), which a table would show."""
    return value.replace("<br>", ", ") if isinstance(value, str) else value

"""A plotly chart as a piece of a page: the place it is drawn at, its caption, and the data behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.markup import markup, safe, script_json
from workbench.report.tables import table

if TYPE_CHECKING:
    import pandas as pd

PLOTLY_MIME = "application/vnd.plotly.v1+json"
ROWS_SHOWN = 200


def figure_html(spec: Mapping[str, Any], name: str) -> str:
    """HTML for a figure as plotly stores it in a notebook. ``name`` is its id in the page.

    The chart itself is drawn by the script of the template from the JSON put here. Caption and table are what
    a reader without sight or without scripts gets.
    """
    layout = spec.get("layout", {})
    title = (layout.get("title", {}).get("text") or "Chart").replace("<br>", " ")
    caption = (layout.get("meta") or {}).get("caption") or title
    height = layout.get("height") or 450
    data = script_json({"data": spec.get("data", []), "layout": dict(layout)})
    points = figure_table(spec)
    below = safe(table(points, ROWS_SHOWN, name=name).as_html) if len(points) else None
    return markup("report/figure", name=name, title=title, caption=caption, height=int(height), data=data, table=below)


def nothing_in(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Title of a figure without data, and the reason that stands in its place; "" twice of one with data."""
    layout = spec.get("layout", {})
    why = str((layout.get("meta") or {}).get("nothing", ""))
    return (str(layout.get("title", {}).get("text") or "Chart").replace("<br>", " "), why) if why else ("", "")


def figure_table(spec: Mapping[str, Any]) -> pd.DataFrame:
    """The points of a figure, one row each: the series, its x and its y, named by the axis titles."""
    import pandas as pd

    layout = spec.get("layout", {})
    x_title = _axis_title(layout, "x") or "x"
    y_axes = {trace.get("yaxis", "y") for trace in spec.get("data", [])}
    y_title = (_axis_title(layout, "y") or "y") if len(y_axes) < 2 else "Value"
    parts = []
    for trace in spec.get("data", []):
        x, y = _values(trace.get("x")), _values(trace.get("y"))
        if len(x) != len(y):
            continue
        name = str(trace.get("name", ""))
        if len(y_axes) > 1:
            name = f"{name}: {_axis_title(layout, trace.get('yaxis', 'y'))}"
        parts.append(pd.DataFrame({"Series": name, x_title: [_plain(value) for value in x], y_title: y}))
    if not parts:
        return pd.DataFrame(columns=["Series", x_title, y_title])
    return pd.concat(parts, ignore_index=True).dropna(subset=[y_title])


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
    """Labels break their lines with <br>, which a table does not."""
    return value.replace("<br>", ", ") if isinstance(value, str) else value

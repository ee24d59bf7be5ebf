"""A plotly chart as a piece of a page: the place it is drawn at, its caption, and the data behind it."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
    data = _script_json({"data": spec.get("data", []), "layout": dict(layout)})
    return (
        f'<figure class="chart"><div class="plot" id="{name}" role="img" aria-label="{html.escape(title)}"'
        f' style="min-height:{height:d}px"></div>'
        f'<script type="application/json" id="{name}-data">{data}</script>'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"{_data_html(figure_table(spec), name)}</figure>"
    )


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


def _data_html(table: pd.DataFrame, name: str) -> str:
    if table.empty:
        return ""
    rows = table.head(ROWS_SHOWN).to_html(index=False, border=0, float_format="{:,.6g}".format)
    more = f"<p>The first {ROWS_SHOWN} of {len(table):,} rows; the file has all.</p>" if len(table) > ROWS_SHOWN else ""
    csv = base64.b64encode(table.to_csv(index=False).encode()).decode()
    return (
        '<details class="data"><summary>Data of this chart</summary>'
        f'<div class="scroll" tabindex="0">{rows}</div>{more}'
        f'<p><a download="{name}.csv" href="data:text/csv;base64,{csv}">Save as CSV</a></p></details>'
    )


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


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment."""
    return json.dumps(value).replace("<", "\\u003c")

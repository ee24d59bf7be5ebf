"""The common style of all charts: colours that colour-blind readers can distinguish, each with a dash, marker or
pattern.

The palette is Okabe and Ito's (2008). Each figure gets the template; plotly's global defaults stay unchanged.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from workbench.leaving_out import OF_JSONSCHEMA, left_out

with left_out(*OF_JSONSCHEMA):
    import nbformat  # noqa: F401  # plotly imports it to show a chart, and slowly

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#767676"
COLOURWAY = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT_PX = 400
# letters that fit on a screen of 390 px: of a title of 16 px, and of a legend's name of 13 px
TITLE_LENGTH = 40
LEGEND_LENGTH = 46
_TITLE_LINE_PX = 20
_TOP_PX = 48


@dataclass(frozen=True, slots=True)
class Line:
    """How a series is drawn: it is recognised by colour, dash or the shape of its marks."""

    name: str
    colour: str
    dash: str
    symbol: str = "circle"

    def marks(self, verdicts: Iterable[str]) -> list[str]:
        """A mark for each step: the shape shows the series, hollow ones are invalid."""
        return [f"{self.symbol}-open" if verdict == "INVALID" else self.symbol for verdict in verdicts]


@dataclass(frozen=True, slots=True)
class Fill:
    """How a bar or area is drawn: it is recognised by colour or pattern."""

    name: str
    colour: str
    pattern: str


PERCENTILES = {
    "p50": Line("p50", BLUE, "solid", "circle"),
    "p99": Line("p99", VERMILION, "dot", "diamond"),
    "max": Line("max", BLACK, "longdash", "triangle-up"),
}

OUTCOMES = {
    "ok": Fill("accepted", GREEN, ""),
    "denied": Fill("denied", VERMILION, "x"),
    "graphql_error": Fill("GraphQL error", ORANGE, "/"),
    "unknown_signer": Fill("unknown signer", PURPLE, "\\"),
    "low_balance": Fill("low balance", YELLOW, "."),
    "bad_timestamp": Fill("bad timestamp", SKY, "-"),
    "bad_value": Fill("bad value", SKY, "|"),
    "bad_allocation": Fill("bad allocation", SKY, "+"),
    "bad_receipt": Fill("bad receipt", PURPLE, "-"),
    "no_receipt": Fill("no receipt", PURPLE, "|"),
    "backend_error": Fill("backend error", ORANGE, "x"),
    "http_error": Fill("other HTTP error", ORANGE, "."),
    "timeout": Fill("timeout", BLACK, "/"),
    "connect_error": Fill("no connection", BLACK, "\\"),
    "reset": Fill("connection reset", BLACK, "x"),
    "cancelled": Fill("cancelled", GREY, "/"),
    "too_large": Fill("answer too large", ORANGE, "+"),
    "not_sent": Fill("not sent", "#D0D0D0", "."),
}

FAILED = "✗"
VERDICT_LEGEND = f"A {FAILED} marks a step that failed; hollow marks are invalid steps."


def figure(title: str, caption: str, x_title: str, y_title: str) -> go.Figure:
    """An empty figure in the common style. ``caption``: a sentence on what the chart shows. A long title is broken into
    lines."""
    lines = textwrap.wrap(title, TITLE_LENGTH) or [""]
    return go.Figure(
        layout=go.Layout(
            template=_template(),
            title_text="<br>".join(lines),
            margin_t=_TOP_PX + _TITLE_LINE_PX * (len(lines) - 1),
            meta={"caption": caption},
            xaxis_title_text=x_title,
            yaxis_title_text=y_title,
            height=HEIGHT_PX,
            autosize=True,
        )
    )


def add_to_caption(chart: go.Figure, sentence: str) -> None:
    """Add a sentence to the caption."""
    chart.update_layout(meta={"caption": chart.layout.meta["caption"] + sentence})


def failures(verdicts: Iterable[str]) -> list[str]:
    """The text over the mark of each step: that it failed, or nothing."""
    return [FAILED if verdict == "FAIL" else "" for verdict in verdicts]


def say_no_data(chart: go.Figure, reason: str) -> go.Figure:
    """Write ``reason`` in place of the data, so that an empty chart does not look like a result of zero. Reports leave
    such a chart out and show the reason, which is ``nothing`` beside the caption.
    """
    chart.update_layout(meta={**chart.layout.meta, "nothing": reason})
    chart.update_xaxes(showticklabels=False, range=[0, 1], type="linear")
    chart.update_yaxes(showticklabels=False, range=[0, 1], type="linear")
    chart.add_annotation(text=reason, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return chart


def log_axis(chart: go.Figure, axis: Literal["x", "y"]) -> go.Figure:
    """A logarithmic axis over the data, at least one decade, so that small differences do not look large."""
    values = np.concatenate([np.asarray(trace[axis], dtype=float) for trace in chart.data])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return chart
    low, high = float(np.log10(values.min())), float(np.log10(values.max()))
    short = max(0.0, 1.0 - (high - low)) / 2
    bounds = [low - short - 0.05, high + short + 0.05]
    # plotly labels ticks between powers of ten with a single digit, which looks like a complete number
    digits = (1, 2, 5) if high - low < 3 else (1,)
    powers = range(math.floor(bounds[0]), math.ceil(bounds[1]))
    ticks = [digit * 10.0**power for power in powers for digit in digits]
    look = {"type": "log", "range": bounds, "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}
    return chart.update_layout({f"{axis}axis": look})


def outcome_fill(outcome: str) -> Fill:
    """The fill of an outcome; an unknown one keeps its name and is grey."""
    return OUTCOMES.get(outcome, Fill(outcome, GREY, "+"))


def series_line(position: int, name: str) -> Line:
    """The line of the ``position``-th of several similar series. Colours and dashes repeat with different periods."""
    return Line(name, COLOURWAY[position % len(COLOURWAY)], DASHES[position % len(DASHES)])


def _template() -> go.layout.Template:
    axis = {
        "automargin": True,
        "gridcolor": "#E2E2E2",
        "linecolor": "#555555",
        "showline": True,
        "ticks": "outside",
        "zeroline": False,
        "title": {"standoff": 8},
        "exponentformat": "none",
        "separatethousands": True,
    }
    return go.layout.Template(
        layout={
            "font": {
                "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
                "size": 13,
                "color": "#1A1A1A",
            },
            # from the figure's edge: long axis labels leave little room for a narrow plot
            "title": {"x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 8}, "font": {"size": 16}},
            "colorway": list(COLOURWAY),
            "paper_bgcolor": "#FFFFFF",
            "plot_bgcolor": "#FFFFFF",
            "hovermode": "closest",
            "margin": {"l": 8, "r": 12, "t": _TOP_PX, "b": 8},
            "legend": {
                "orientation": "h",
                "xref": "container",
                "x": 0,
                "yref": "container",
                "y": 0,
                "yanchor": "bottom",
                "traceorder": "normal",
            },
            "xaxis": axis,
            "yaxis": axis,
        }
    )

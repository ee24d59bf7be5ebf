"""Memory over time by allocation site, and what grew between two snapshots.

Memory is drawn in steps: a snapshot shows one moment, and the time until the next is unknown.
"""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.profiles.model import Profile
from workbench.profiles.views.heap import REST, By, allocators_over_time, timeline

KIB, MIB = 1024, 1024 * 1024
_TIME_TITLES = {
    "B": "Bytes allocated and freed since the start (massif's clock here, not time)",
    "i": "Instructions since the start",
    "ms": "Time since the start in ms",
}
_SHAPES = ("", "/", "\\", "x", ".", "-", "|", "+")
_MOST_LABEL = 60
_MOST_BARS = 15


def memory_timeline(profile: Profile, n: int = 6, *, by: By = "function") -> go.Figure:
    """Memory (MiB, or KiB if small) at each snapshot, stacked by the ``n`` largest allocators.

    Snapshots without a heap tree show the allocators of the previous tree. The line is the total with allocator
    overhead and stacks; the mark is massif's peak, exact to 1 %.
    """
    chart = theme.figure(
        "Memory over time",
        "Memory held at each snapshot, by allocation site; growth since the last heap tree is rest. The line is the "
        "total with allocator overhead and stacks, the mark the peak.",
        _TIME_TITLES.get(profile.meta.get("time_unit", ""), "Time"),
        "",
    )
    times = timeline(profile)
    size, unit = _unit(float(times["total_bytes"].max()))
    allocators = allocators_over_time(profile, n, by=by)
    for position, (name, rows) in enumerate(allocators.groupby("allocator", sort=False)):
        _stack(chart, str(name), rows, position, size)
    chart.add_trace(
        go.Scatter(
            x=times["time"],
            y=times["total_bytes"] / size,
            mode="lines",
            name="total",
            line={"color": theme.BLACK, "width": 2, "shape": "hv"},
            customdata=times[["snapshot", "total_bytes"]],
            hovertemplate="total: %{customdata[1]:,} bytes, snapshot %{customdata[0]}<extra></extra>",
        )
    )
    marked, word = times[times["is_peak"]], "peak"
    if marked.empty:
        marked, word = times[times["is_largest"]], "largest"
    chart.add_trace(
        go.Scatter(
            x=marked["time"],
            y=marked["total_bytes"] / size,
            mode="markers+text",
            name=word,
            text=[f"{word}: snapshot {number}" for number in marked["snapshot"]],
            textposition="top center",
            cliponaxis=False,
            marker={"color": theme.VERMILION, "symbol": "diamond", "size": 10},
            customdata=marked[["snapshot", "total_bytes"]],
            hovertemplate=f"{word}: %{{customdata[1]:,}} bytes, snapshot %{{customdata[0]}}<extra></extra>",
        )
    )
    highest = float(times["total_bytes"].max()) / size
    chart.update_yaxes(range=[0, highest * 1.15 or 1], title_text=f"Memory in {unit}")
    return chart.update_layout(height=theme.HEIGHT_PX + 120)


def memory_growth(growth: pd.DataFrame, n: int = _MOST_BARS) -> go.Figure:
    """The ``n`` largest changes of :func:`workbench.profiles.views.heap.growth`, growing and shrinking ones differ by
    side, colour and pattern."""
    chart = theme.figure(
        "What grew",
        "Change of the memory each place holds, from the first to the second snapshot compared.",
        "",
        "",
    )
    changed = growth[growth["change_bytes"] != 0]
    if changed.empty:
        return theme.say_no_data(chart, "No place holds more or less than before")
    largest = changed["change_bytes"].abs().sort_values(ascending=False, kind="stable").index[:n]
    rows = changed.loc[changed.index.isin(largest)]
    size, unit = _unit(float(rows["change_bytes"].abs().max()))
    for fill, sign in ((theme.Fill("grew", theme.VERMILION, ""), 1), (theme.Fill("shrank", theme.BLUE, "/"), -1)):
        side = rows[rows["change_bytes"] * sign > 0]
        if side.empty:
            continue
        chart.add_trace(
            go.Bar(
                x=side["change_bytes"] / size,
                y=_distinct([_shown(_short(name)) for name in side["allocator"]]),
                orientation="h",
                name=fill.name,
                marker={"color": fill.colour, "pattern": _pattern(fill.pattern)},
                customdata=side.assign(allocator=side["allocator"].map(_shown))[
                    ["allocator", "before_bytes", "after_bytes", "change_bytes"]
                ],
                hovertemplate="%{customdata[0]}<br>%{customdata[3]:+,} bytes: from %{customdata[1]:,} to "
                "%{customdata[2]:,}<extra></extra>",
            )
        )
    chart.update_yaxes(autorange="reversed")
    chart.update_xaxes(title_text=f"Change in {unit}")
    return chart.update_layout(height=max(220, 26 * len(rows) + 140), barmode="overlay")


def _stack(chart: go.Figure, name: str, rows: pd.DataFrame, position: int, size: int) -> None:
    colour = theme.GREY if name == REST else theme.COLOURWAY[position % (len(theme.COLOURWAY) - 1)]
    # colours repeat after six, patterns after eight
    shape = "." if name == REST else _SHAPES[position % len(_SHAPES)]
    chart.add_trace(
        go.Scatter(
            x=rows["time"],
            y=rows["bytes"] / size,
            mode="lines",
            stackgroup="heap",
            name=_shown(_short(name)),
            line={"color": colour, "width": 0.5, "shape": "hv"},
            fillcolor=colour,
            fillpattern={**_pattern(shape), "bgcolor": colour, "fgcolor": "#FFFFFF"},
            customdata=rows.assign(
                allocator=rows["allocator"].map(_shown), how=rows["measured"].map({True: "", False: "about "})
            )[["snapshot", "bytes", "allocator", "how"]],
            hovertemplate="%{customdata[2]}: %{customdata[3]}%{customdata[1]:,.0f} bytes, snapshot %{customdata[0]}"
            "<extra></extra>",
        )
    )


def _unit(largest: float) -> tuple[int, str]:
    return (MIB, "MiB") if largest >= MIB else (KIB, "KiB")


def _pattern(shape: str) -> dict[str, object]:
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "#FFFFFF", "size": 6}


def _short(name: str) -> str:
    """The end of a long name, which is more useful than its beginning."""
    return name if len(name) <= _MOST_LABEL else f"…{name[-_MOST_LABEL + 1 :]}"


def _shown(name: str) -> str:
    """A name as text: Plotly treats ``<a href=...>`` and ``<b>`` as markup, and C++ and Rust names contain such
    text."""
    return html.escape(name, quote=False)


def _distinct(names: list[str]) -> list[str]:
    """Two sites with equal shortened names still get separate bars, by blanks at the end."""
    return [name + " " * names[:position].count(name) for position, name in enumerate(names)]

"""Time in system calls: by call, by thread, and its distribution."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.profiles.model import Profile
from workbench.profiles.views.syscalls import call_table, latency_histogram, thread_table

MOST_BARS = 15
_ROW_PX = 30
_WORKING = theme.Fill("working", theme.BLUE, "")
_WAITING = theme.Fill("waiting", theme.SKY, "/")
_UNDECIDED = theme.Fill("cannot be told", theme.YELLOW, ".")
_FILLS = (_WORKING, _WAITING, _UNDECIDED)
_NS_PER_MS = 1e6
_NS_PER_US = 1e3
_STOPS = "Times include strace's own overhead: compare shapes, not absolute values."


def syscall_top(profile: Profile) -> go.Figure:
    """Time (ms) in the system calls that took longest: working, waiting, and what cannot be told."""
    chart = theme.figure(
        "Time by system call",
        f"Wall clock time in the {MOST_BARS} system calls with the most of it. {_STOPS}",
        "Time in ms",
        "System call",
    )
    table = call_table(profile)
    table = table[table["time_ns"] > 0].head(MOST_BARS)
    if table.empty:
        return theme.say_no_data(chart, "The log has no times; write it with -T")
    waiting, undecided = (table[name].fillna(0).astype(np.int64) for name in ("waiting_ns", "undecided_ns"))
    return _stacked(chart, table["syscall"], (table["time_ns"] - waiting - undecided, waiting, undecided))


def thread_time(profile: Profile) -> go.Figure:
    """Time (ms) each thread spent in working and in waiting calls, and what cannot be told."""
    chart = theme.figure(
        "Time by thread",
        f"Wall clock time in the calls of the {MOST_BARS} threads with the most working time. {_STOPS}",
        "Time in ms",
        "Thread",
    )
    table = thread_table(profile)
    table = table.sort_values(["working_ns", "undecided_ns", "waiting_ns"], ascending=False, kind="stable")
    table = table.head(MOST_BARS)
    if table.empty or table["working_ns"].isna().all():
        return theme.say_no_data(chart, "The log has no times; write it with -T")
    names = table["thread"] + " · " + table["pid"].astype("str")
    spent = ("working_ns", "waiting_ns", "undecided_ns")
    return _stacked(chart, names, tuple(table[name].astype(np.int64) for name in spent))


def syscall_latency(profile: Profile, syscall: str | None = None) -> go.Figure:
    """Number of calls (log) by time (µs, doubling buckets), split into working, waiting, and what cannot be told."""
    what = "all system calls" if syscall is None else html.escape(syscall, quote=False)
    chart = theme.figure(
        f"How long {what} took",
        f"Number of calls by time in the call; each bar covers twice the time range of the previous one. {_STOPS}",
        "Time in the call, µs (up to)",
        "Calls (log)",
    )
    table = latency_histogram(profile, syscall)
    if table.empty:
        return theme.say_no_data(chart, "The log has no times; write it with -T")
    edges = [_edge(int(edge)) for edge in table["to_ns"]]
    kinds = ("working", "waiting", "undecided")
    for column, fill in zip(kinds, _FILLS, strict=True):
        if table[column].sum():
            counts = table[column].where(table[column] > 0)
            chart.add_trace(_bar(fill, x=edges, y=counts, hovertemplate="%{y:,} calls, up to %{x} µs<extra></extra>"))
    chart.update_layout(barmode="group", bargap=0.1)
    chart.update_xaxes(type="category")
    largest = float(np.log10(max(10, table[list(kinds)].to_numpy().max())))
    chart.update_yaxes(type="log", range=[np.log10(0.5), largest + 0.1], dtick=1)
    return chart


def _edge(edge_ns: int) -> str:
    """A bound in µs; with a fraction below 1 µs."""
    return f"{edge_ns / _NS_PER_US:,.0f}" if edge_ns >= _NS_PER_US else f"{edge_ns / _NS_PER_US:.3g}"


def _stacked(chart: go.Figure, names: pd.Series, times_ns: Sequence[pd.Series]) -> go.Figure:
    """Bars of working, waiting and undecided time, one per name, the first on top."""
    labels = [html.escape(name, quote=False) for name in names]
    for values, fill in zip(times_ns, _FILLS, strict=True):
        if values.sum():
            chart.add_trace(
                _bar(
                    fill,
                    x=values / _NS_PER_MS,
                    y=labels,
                    orientation="h",
                    hovertemplate=f"%{{y}}: %{{x:,.4~g}} ms {fill.name}<extra></extra>",
                )
            )
    if not chart.data:
        return theme.say_no_data(chart, "No time was spent in calls")
    chart.update_layout(barmode="stack", height=140 + _ROW_PX * len(labels))
    chart.update_yaxes(type="category", autorange="reversed", categoryorder="array", categoryarray=labels)
    chart.update_xaxes(rangemode="tozero")
    return chart


def _bar(fill: theme.Fill, **data: object) -> go.Bar:
    marker = {
        "color": fill.colour,
        "line": {"color": "#1A1A1A", "width": 0.5},
        "pattern": {"shape": fill.pattern, "fillmode": "overlay", "fgcolor": "#FFFFFF", "size": 6},
    }
    return go.Bar(name=fill.name, marker=marker, **data)

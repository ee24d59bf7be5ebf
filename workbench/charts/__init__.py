"""Charts: a DataFrame or a Profile in, one figure out. No files, servers or statistics.

Figures are plotly's, except :func:`flame_graph`, which is our own script.

Every figure has a sentence on what it shows (``figure.layout.meta["caption"]``), has units in its axis titles and never
uses colour alone. Invalid steps are hollow or faint, and no line passes through them.
"""

from __future__ import annotations

from workbench.charts.flame import flame_graph, flame_steps
from workbench.charts.growth import growth_lines
from workbench.charts.heap import memory_growth, memory_timeline
from workbench.charts.history import history
from workbench.charts.knee import knee
from workbench.charts.lag import lag_by_step, lag_over_time
from workbench.charts.latency import latency_by_step, latency_distribution
from workbench.charts.leaks import leak_lines
from workbench.charts.limit import limit
from workbench.charts.outcomes import outcomes
from workbench.charts.receipt_costs import receipt_costs
from workbench.charts.resources import resources
from workbench.charts.syscalls import syscall_latency, syscall_top, thread_time
from workbench.charts.throughput import throughput_by_step
from workbench.charts.timeline import rates_over_time, response_over_time
from workbench.charts.top import top_bars

__all__ = [
    "flame_graph",
    "flame_steps",
    "growth_lines",
    "history",
    "knee",
    "lag_by_step",
    "lag_over_time",
    "latency_by_step",
    "latency_distribution",
    "leak_lines",
    "limit",
    "memory_growth",
    "memory_timeline",
    "outcomes",
    "rates_over_time",
    "receipt_costs",
    "resources",
    "response_over_time",
    "syscall_latency",
    "syscall_top",
    "thread_time",
    "throughput_by_step",
    "top_bars",
]

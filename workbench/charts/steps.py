"""Shared by charts against receipts: which steps they draw, and how they show a step's verdict."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.charts.theme import Line, failures


def ladder(steps: pd.DataFrame) -> pd.DataFrame:
    """The normal steps of the sweep, sorted by receipts, without the walk to the limit, which is paced differently."""
    return steps[steps["kind"] == "step"].sort_values(["receipts", "step"], kind="stable")


DISTORTED = "All steps were under a profiler, which distorts times"


def undistorted(steps: pd.DataFrame) -> pd.DataFrame:
    """The normal steps of the sweep without those under a profiler, whose times are distorted."""
    rows = ladder(steps)
    return rows[rows["profiler"] == "none"] if "profiler" in rows else rows


def all_distorted(steps: pd.DataFrame | None) -> bool:
    """Whether every normal step of the sweep was under a profiler."""
    return steps is not None and len(steps) > 0 and undistorted(steps).empty and not ladder(steps).empty


def labels(steps: pd.DataFrame) -> list[str]:
    """A unique label for each step: receipts, step number, and whether it is invalid."""
    columns = ("receipts", "kind", "step", "verdict")
    return [
        f"{receipts:,}<br>{kind} {step}{'<br>INVALID' if verdict == 'INVALID' else ''}"
        for receipts, kind, step, verdict in zip(*(steps[name] for name in columns), strict=True)
    ]


def add_line(chart: go.Figure, steps: pd.DataFrame, column: str, line: Line, unit: str) -> None:
    """Add ``column`` against receipts: valid steps joined by a line, invalid ones as empty marks off it."""
    known = steps[steps[column].notna()]
    valid = known["verdict"] != "INVALID"
    for rows, joined in ((known[valid], True), (known[~valid], False)):
        if rows.empty:
            continue
        chart.add_trace(
            go.Scatter(
                x=rows["receipts"],
                y=rows[column],
                mode="lines+markers+text" if joined else "markers",
                name=line.name if joined else f"{line.name}, invalid step",
                legendgroup=line.name,
                showlegend=joined or not valid.any(),
                line={"color": line.colour, "dash": line.dash, "width": 2},
                marker={"symbol": line.marks(rows["verdict"]), "size": 9, "color": line.colour},
                text=failures(rows["verdict"]),
                textposition="top center",
                error_y=_interval(rows, column),
                customdata=rows[["step", "verdict"]].to_numpy(),
                hovertemplate=(
                    f"{line.name}: %{{y:,.4~g}} {unit}<br>%{{x:,}} receipts"
                    "<br>step %{customdata[0]}, %{customdata[1]}<extra></extra>"
                ),
            )
        )


def _interval(rows: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """The 95 % interval of a percentile as whiskers; None if the steps have none."""
    stem = column.removesuffix("_ms")
    low, high = f"{stem}_low_ms", f"{stem}_high_ms"
    if low not in rows or not rows[low].notna().any():
        return None
    value = rows[column]
    up, down = ((rows[high] - value).fillna(0), (value - rows[low]).fillna(0))
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1, "width": 4}

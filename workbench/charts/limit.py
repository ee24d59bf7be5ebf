"""The sender's limit: predicted and observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme


def limit(
    steps: pd.DataFrame, prediction: Mapping[str, Any] | None, observation: Mapping[str, Any] | None
) -> go.Figure:
    """Receipts accepted against receipts offered to one payer, with the predicted limit and the observed one.

    ``steps`` is the steps frame; ``prediction`` and ``observation`` are the entries ``prediction`` and ``limit`` of the
    run's manifest, None if the run did not look for a limit. Below the limit the points are on the diagonal. Steps of
    one payer are summed, so that fresh and cumulative sweeps look the same. Labels show the first refusal and the
    denial lag.
    """
    chart = theme.figure(
        "The limit: predicted and observed",
        _caption(observation or {}),
        "Receipts offered to one payer",
        "Receipts accepted",
    )
    if steps.empty:
        return theme.say_no_data(chart, "No step was measured")
    if prediction is None and observation is None:
        return theme.say_no_data(chart, "The run did not look for a limit")
    prediction, observation = prediction or {}, observation or {}
    by_payer = steps.groupby("payer", sort=False)
    points = steps.assign(offered=by_payer["offered"].cumsum(), accepted=by_payer["accepted"].cumsum())
    predicted = prediction.get("receipts")
    _add_prediction(chart, predicted, float(points["offered"].max()))
    _add_points(chart, points)
    _add_observation(chart, observation)
    _add_first_refusal(chart, points, observation)
    chart.update_xaxes(rangemode="tozero")
    chart.update_yaxes(rangemode="tozero")
    return chart


def _caption(observation: Mapping[str, Any]) -> str:
    shown = (
        "Receipts accepted against receipts offered to one payer; on the diagonal every one was accepted. "
        + theme.VERDICT_LEGEND
    )
    sentence = observation.get("sentence")
    return f"{shown} {sentence}" if sentence else shown


def _add_prediction(chart: go.Figure, predicted: float | None, furthest: float) -> None:
    """The diagonal up to the predicted limit, level after it."""
    if predicted is None or pd.isna(predicted):
        corner, name = [furthest], "every receipt accepted"
    else:
        corner, name = [predicted, max(furthest, predicted * 1.05)], f"predicted: {predicted:,.0f}"
        # Its label is lower than that of the observation, since the two lines are often a pixel apart.
        _add_vertical(chart, predicted, theme.BLUE, "dash", f"predicted {predicted:,.0f}", 0.12, "right")
    chart.add_trace(
        go.Scatter(
            x=[0, *corner],
            y=[0, *(min(x, corner[0]) for x in corner)],
            mode="lines",
            name=name,
            line={"color": theme.BLUE, "dash": "dash", "width": 1.5},
            hovertemplate=f"{name}<extra></extra>",
        )
    )


def _add_points(chart: go.Figure, points: pd.DataFrame) -> None:
    for kind, line in (
        ("step", theme.Line("steps", theme.BLACK, "solid")),
        ("pinpoint", theme.Line("pinpointing", theme.PURPLE, "solid", "star")),
    ):
        rows = points[points["kind"] == kind]
        if not rows.empty:
            chart.add_trace(
                go.Scatter(
                    x=rows["offered"],
                    y=rows["accepted"],
                    mode="markers+text",
                    name=line.name,
                    text=theme.failures(rows["verdict"]),
                    textposition="bottom center",
                    marker={"symbol": line.marks(rows["verdict"]), "size": 11, "color": line.colour},
                    customdata=rows[["step", "verdict", "denied"]].to_numpy(),
                    hovertemplate=(
                        "%{y:,} of %{x:,} accepted<br>%{customdata[2]:,} denied"
                        "<br>step %{customdata[0]}, %{customdata[1]}<extra></extra>"
                    ),
                )
            )


def _add_observation(chart: go.Figure, observation: Mapping[str, Any]) -> None:
    exact, low, high = (observation.get(key) for key in ("observed_receipts", "observed_low", "observed_high"))
    if observation.get("exact") and exact is not None:
        _add_vertical(chart, exact, theme.VERMILION, "solid", f"observed {exact:,.0f}", 0.04, "left")
    elif low is not None and high is not None:
        chart.add_vrect(x0=low, x1=high, fillcolor=theme.VERMILION, opacity=0.15, line_width=0, layer="below")
        _add_vertical(chart, high, theme.VERMILION, "solid", f"observed {low:,.0f} to {high:,.0f}", 0.04, "left")


def _add_vertical(chart: go.Figure, x: float, colour: str, dash: str, text: str, height: float, side: str) -> None:
    """A labelled vertical line; ``height``: the label's position on the axis from 0 to 1; ``side``: its side."""
    chart.add_vline(x=x, line={"color": colour, "dash": dash, "width": 1.5})
    chart.add_annotation(
        x=x,
        y=height,
        yref="paper",
        text=text,
        showarrow=False,
        xanchor="right" if side == "left" else "left",
        xshift=-4 if side == "left" else 4,
        font={"color": colour, "size": 12},
        bgcolor="rgba(255,255,255,0.8)",
    )


def _add_first_refusal(chart: go.Figure, points: pd.DataFrame, observation: Mapping[str, Any]) -> None:
    first = observation.get("first_refusal") or {}
    at = points[points["step"] == first.get("step")]
    if at.empty or first.get("index") is None:
        return
    lag_receipts, lag_s = (observation.get(key) for key in ("denial_lag_receipts", "denial_lag_s"))
    lags = [] if pd.isna(lag_receipts) else [f"{lag_receipts:,.0f} receipt{'s' * (lag_receipts != 1)}"]
    lags += [] if pd.isna(lag_s) else [f"{lag_s:,.3g} s"]
    lag = f"<br>denial lag {', '.join(lags)}" if lags else ""
    chart.add_annotation(
        x=float(at["offered"].iloc[0]),
        y=float(at["accepted"].iloc[0]),
        text=f"first refusal: receipt {first['index'] + 1:,}<br>of step {first['step']}{lag}",
        align="right",
        showarrow=True,
        arrowhead=2,
        ax=-70,
        ay=-45,
        font={"size": 11},
        bgcolor="rgba(255,255,255,0.85)",
    )

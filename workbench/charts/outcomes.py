"""The outcomes of the receipts of each step."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.charts import theme
from workbench.charts.steps import labels


def outcomes(counts: pd.DataFrame, steps: pd.DataFrame | None = None) -> go.Figure:
    """Receipts of each step, stacked by outcome; each outcome has its own colour and pattern.

    ``counts`` is the outcomes frame of a run: ``step``, ``outcome``, ``receipts``. With ``steps`` the bars are labelled
    by receipts, planned receipts that were not sent are added, and invalid steps are labelled and drawn faint.
    """
    chart = theme.figure(
        "Outcomes",
        "Outcomes of the receipts of each step; faint bars are invalid steps.",
        "Receipts in the step" if steps is not None else "Step",
        "Receipts",
    )
    if counts.empty:
        return theme.say_no_data(chart, "No receipt was sent")
    counts = counts.pivot_table(index="step", columns="outcome", values="receipts", aggfunc="sum", fill_value=0)
    if steps is not None:
        counts = counts.reindex(steps["step"], fill_value=0)
        counts["not_sent"] = (steps["offered"] - steps["sent"]).clip(lower=0).to_numpy()
    known = [outcome for outcome in theme.OUTCOMES if outcome in counts.columns]
    other = sorted(set(counts.columns) - set(known))
    drawn = [outcome for outcome in [*known, *other] if counts[outcome].sum() > 0]
    x = labels(steps) if steps is not None else [f"step {step}" for step in counts.index]
    opacity = [0.4 if verdict == "INVALID" else 1.0 for verdict in steps["verdict"]] if steps is not None else 1.0
    for outcome in drawn:
        fill = theme.outcome_fill(outcome)
        chart.add_trace(
            go.Bar(
                x=x,
                y=counts[outcome],
                name=fill.name,
                marker={
                    "color": fill.colour,
                    "opacity": opacity,
                    "line": {"color": "#1A1A1A", "width": 0.5},
                    "pattern": {
                        "shape": fill.pattern,
                        "fillmode": "overlay",
                        "fgcolor": "#FFFFFF",
                        "size": 6,
                    },
                },
                hovertemplate=f"%{{y:,}} {fill.name}<extra></extra>",
            )
        )
    chart.update_layout(barmode="stack", bargap=0.35)
    chart.update_xaxes(type="category")
    return chart

"""Reduces the points of long runs: the page of a day's run must not be larger than that of a minute's."""

from __future__ import annotations

import pandas as pd

MOST_POINTS = 2_000
"""The most points of a curve; a run of up to so many seconds is drawn second by second."""

_MEANS = ("offered", "sent", "done_ok", "done_denied", "done_failed")


def thin_series(series: pd.DataFrame, most: int = MOST_POINTS) -> tuple[pd.DataFrame, str]:
    """The per-second frame with at most about ``most`` rows, a column ``span_s`` (seconds of a row), and a sentence
    about it, "" if each second still has its row.

    Several seconds of a step become one row: rates are means, everything else is the maximum, so that no peak is lost.
    """
    if len(series) <= most:
        return series.assign(span_s=1), ""
    span = -(-len(series) // most)
    steps = series.groupby("step", sort=False)
    rules = {name: "min" if name == "t_s" else "mean" if name in _MEANS else "max" for name in series if name != "step"}
    grouped = series.groupby([series["step"], steps.cumcount() // span], sort=False)
    rows = grouped.agg(rules).assign(span_s=grouped.size()).reset_index(level="step").reset_index(drop=True)
    return rows, f" Each point covers {span} seconds: rates are means, other values the maximum."


def thin_curve(curve: pd.DataFrame, column: str, most: int = MOST_POINTS) -> pd.DataFrame:
    """A curve over ``t_s`` with at most ``most`` rows, each the one with the largest ``column`` among its
    neighbours."""
    if len(curve) <= most:
        return curve
    part = pd.Series(range(len(curve)), index=curve.index) // -(-len(curve) // most)
    return curve.loc[curve[column].fillna(float("-inf")).groupby(part).idxmax()]

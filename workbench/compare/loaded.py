"""Load, outcomes and the sender limit of two runs: how response times shifted, and which shares differ by more than
chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from workbench.compare.side import Side
from workbench.compare.significance import corrected, shares

LOAD_COLUMNS = (
    "step_before", "step_after", "receipts", "load", "decile", "before_ms", "after_ms", "shift_ms", "low_ms", "high_ms",
    "shift_pct", "low_pct", "high_pct", "noise_pct", "verdict",
)  # fmt: skip
OUTCOME_COLUMNS = (
    "outcome", "before", "after", "receipts_before", "receipts_after", "share_before_pct", "share_after_pct", "q",
    "verdict",
)  # fmt: skip
LIMIT_COLUMNS = ("what", "before", "after")
ALPHA = 0.01
_LIMIT = {
    "observed_receipts": "receipts until the sender was denied",
    "observed_low": "receipts taken for certain",
    "denial_lag_receipts": "receipts taken after the limit was crossed",
    "denial_lag_s": "seconds from the limit to denial",
}


def load_table(before: Side, after: Side) -> pd.DataFrame:
    """How the response times of steps of one load shifted, decile by decile: LOAD_COLUMNS."""
    return pd.DataFrame(columns=list(LOAD_COLUMNS))


def outcome_table(before: Side, after: Side) -> pd.DataFrame:
    """The outcomes of receipts: OUTCOME_COLUMNS. ``before`` and ``after`` are counts, the shares are of all receipts of
    a run; ``q``: the chance of shares as far apart by themselves (Fisher's exact test, corrected for the number of
    outcomes)."""
    if before.outcomes.empty or after.outcomes.empty:
        return pd.DataFrame(columns=list(OUTCOME_COLUMNS))
    counts = [side.outcomes.groupby("outcome")["receipts"].sum().to_dict() for side in (before, after)]
    whole = [sum(one.values()) for one in counts]
    rows = []
    for name in dict.fromkeys([*counts[0], *counts[1]]):
        one, other = (int(side.get(name, 0)) for side in counts)
        share = [100 * found / of if of else math.nan for found, of in zip((one, other), whole, strict=True)]
        rows.append((str(name), one, other, *whole, *share, shares((one, whole[0]), (other, whole[1]))))
    table = pd.DataFrame(rows, columns=[*OUTCOME_COLUMNS[:-2], "p"])
    q = corrected(table["p"].to_numpy())
    rises = table["share_after_pct"] > table["share_before_pct"]
    verdict = rises.map({True: "more", False: "fewer"}).where(q < ALPHA, "no difference found")
    return table.drop(columns="p").assign(q=q, verdict=verdict)[list(OUTCOME_COLUMNS)]


def limit_table(before: Side, after: Side) -> pd.DataFrame:
    """What both runs say of the sender limit: LIMIT_COLUMNS; NaN where one does not know it."""
    if not before.limit or not after.limit:
        return pd.DataFrame(columns=list(LIMIT_COLUMNS))
    rows = []
    for name, what in _LIMIT.items():
        one, other = (_number(side.limit.get(name)) for side in (before, after))
        if not (math.isnan(one) and math.isnan(other)):
            rows.append((what, one, other))
    return pd.DataFrame(rows, columns=list(LIMIT_COLUMNS))


def said(load: pd.DataFrame, outcomes: pd.DataFrame, limit: pd.DataFrame) -> list[str]:
    """Sentences for the shell."""
    lines = []
    for row in outcomes.itertuples():
        if row.verdict != "no difference found":
            lines.append(
                f"  outcome {row.outcome}: {row.before:,} of {row.receipts_before:,} to {row.after:,} of "
                f"{row.receipts_after:,}, {row.share_before_pct:.2f} to {row.share_after_pct:.2f} %: {row.verdict} "
                f"(corrected p = {row.q:.2g})"
            )
    if len(outcomes) and not lines:
        lines.append(f"  outcomes: no difference found in {len(outcomes)}")
    lines += [f"  {row.what}: {_text(row.before)} before, {_text(row.after)} after" for row in limit.itertuples()]
    return lines


def checks(
    load: pd.DataFrame, outcomes: pd.DataFrame, limit_pct: float
) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """What the gate checks of load: values of a row, and name, verdict, why and limit of the check."""
    found: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
    for row in outcomes.itertuples():
        good = row.outcome == "ok"
        worse = row.verdict == ("fewer" if good else "more")
        why = f"{row.share_before_pct:.2f} to {row.share_after_pct:.2f} % of receipts ({row.verdict})"
        values = {
            "service": "", "mode": "load", "metric": "outcomes", "unit": "%", "before": row.share_before_pct,
            "after": row.share_after_pct,
        }  # fmt: skip
        found.append(
            (
                values,
                {"name": f"outcome {row.outcome}", "verdict": "fail" if worse else "pass", "why": why, "limit": 0.0},
            )
        )
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:,.4g}"

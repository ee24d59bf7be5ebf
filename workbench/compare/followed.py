"""Findings of two runs compared: which are gone or new, and what was saved compared with the prediction."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from workbench.analysis.findings import Finding
from workbench.analysis.findings.code import short
from workbench.compare.side import Side
from workbench.profiles.builds import without_number

CAME, WENT, STAYED = "came", "went", "stayed"
COLUMNS = (
    "state", "kind", "service", "mode", "subject", "before", "after", "share_before_pct", "share_after_pct",
    "foretold_pct", "saved_pct", "folded",
)  # fmt: skip


def followed(before: Side, after: Side, causes: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """One row a finding of either run: COLUMNS, those that are gone first.

    ``before`` and ``after`` are its sentences ("" if that run does not have it); ``foretold_pct``: the predicted
    saving, in percent of the whole before; ``saved_pct``: what was saved by changes in its subject or in the number of
    calls of its subject (NaN: no such change, or not known). ``folded``: the finding is a symptom of another in its
    run. Two findings are the same if kind, service, mode and subject are equal, without what a build adds to names.
    """
    sides = [_by_key(side) for side in (before, after)]
    rows = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = sides[0].get(key), sides[1].get(key)
        state = STAYED if one and other else (WENT if one else CAME)
        known = sides[0][key] if key in sides[0] else sides[1][key]
        shares = [found.share_pct if found else math.nan for found in (one, other)]
        saved = _saved(known, causes, parts) if state == WENT else math.nan
        rows.append(
            (state, known.kind, known.service, known.mode, known.subject, one.sentence if one else "",
             other.sentence if other else "", *shares,
             one.saving_pct if one else math.nan, saved, bool(known.folded_into))
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = table["state"].map({WENT: 0, CAME: 1, STAYED: 2}) if len(table) else table.index
    return table.iloc[pd.Series(order).argsort(kind="stable")].reset_index(drop=True)


def _by_key(side: Side) -> dict[tuple[str, ...], Finding]:
    found: Iterable[Finding] = () if side.findings is None else (*side.findings.ranked, *side.findings.folded)
    return {(one.kind, one.service, one.mode, without_number(short(one.subject))): one for one in found}


def _saved(finding: Finding, causes: pd.DataFrame, parts: pd.DataFrame) -> float:
    """What changes in a finding's subject, or in calls of it, saved in percent of the whole."""
    if causes.empty:
        return math.nan
    names = {without_number(short(name)) for name in (finding.subject, *finding.names)}
    rows = causes[
        (causes["service"] == finding.service) & (causes["mode"] == finding.mode) & (causes["metric"] == finding.metric)
    ]
    callees = parts.merge(rows[["id"]], on="id")
    touched = set(callees.loc[callees["callee"].map(lambda name: without_number(short(name)) in names), "id"])
    rows = rows[rows["function"].map(lambda name: without_number(short(name)) in names) | rows["id"].isin(touched)]
    return -float(rows["effect_pct"].sum()) if len(rows) else math.nan

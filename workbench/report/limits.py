"""What notebooks show of limits: the knee of a run that stepped the rate, the answer and the trials of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.report.tables import table
from workbench.report.view import Shown, View, nothing, sentence

if TYPE_CHECKING:
    from workbench.runs.read import Run
    from workbench.search.result import FoundLimit


def knee(run: Run) -> Shown:
    """Where throughput stops following the rate, by three models that may disagree: sentence, chart and table."""
    from workbench import charts
    from workbench.analysis.knee import knees

    found = knees(run.steps, run.histograms if len(run.steps) else None)
    if not found.sentence:
        return Shown((nothing("The knee is not known: the run has fewer than three rates in valid steps."),))
    return Shown((sentence(found.sentence), charts.knee(found), table(found.table), table(found.rates)))


def search_spending(found: FoundLimit) -> View:
    """What the search was predicted to spend at most, and what it spent."""
    import pandas as pd

    rows = {"at most": found.search.get("budget") or {}, "spent": found.search.get("spent") or {}}
    columns = ["trials", "receipts", "grt"]
    return table(pd.DataFrame([{"": name, **{key: facts.get(key) for key in columns}} for name, facts in rows.items()]))


def search_trials(found: FoundLimit) -> View:
    """One row per trial, in order."""
    return table(found.trials)

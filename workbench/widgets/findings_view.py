"""Findings in a notebook: a ranked list, and for the chosen finding its evidence and what to do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from workbench.batches.folder import FILE, Batch
from workbench.markup import markup
from workbench.numbers import cell
from workbench.runs.read import Run
from workbench.sweep.opened import open_run
from workbench.widgets.cells import Columns, Rows, table_of
from workbench.widgets.panel import Panel
from workbench.widgets.views import SaidView, TableView, on_change

if TYPE_CHECKING:
    from workbench.analysis.findings import Finding, Findings

_COLUMNS = (
    ("rank", "Rank", True),
    ("kind", "Kind", False),
    ("service", "Service", False),
    ("per_receipt", "Per receipt", True),
    ("unit", "Unit", False),
    ("share", "Share, %", True),
    ("certainty", "How sure", False),
    ("found", "Finding", False),
)


class FindingsView(Panel):
    """The findings of ``source``: a run or a batch, its folder, or ``run.findings``.

    One row per finding, the most important first; the chosen one is shown in full below, with its evidence. Raises
    RunFolderError if a folder is neither a run nor a batch.
    """

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.findings: Findings = findings_in(source)
        self._ranked = {str(rank): one for rank, one in enumerate(self.findings, 1)}
        self._table = TableView(
            columns=[list(column) for column in _COLUMNS],
            rows=[_row(rank, one) for rank, one in self._ranked.items()],
            said=" ".join(["" if self._ranked else "Nothing was found.", *self.findings.notes]).strip(),
        )
        self._more = SaidView(kind="finding")
        self._evidence = TableView(most=0)
        on_change(self._table, "chosen", self._show)
        self.widget = ipywidgets.VBox([self._table, self._more, self._evidence])
        if self._ranked:
            self._table.chosen = ["1"]

    @property
    def chosen(self) -> Finding | None:
        """The finding that is shown in full; None if there is none."""
        return next((self._ranked[rank] for rank in self._table.chosen), None)

    def html(self) -> str:
        """The findings, each with its sentences and what to do."""
        return markup("widgets/findings", findings=list(self.findings), said=self._table.said)

    def __repr__(self) -> str:
        return str(self.findings.text())

    def _show(self, _: Any) -> None:
        one = self.chosen
        lines: list[str] = []
        columns: Columns = []
        rows: Rows = []
        said = ""
        if one is not None:
            folded = [f"Same cause: {symptom.subject} ({symptom.mode})" for symptom in self.findings.symptoms_of(one)]
            lines = [one.sentence, f"{one.todo}.", f"See: {one.shown}.", *folded]
            columns, rows, said = table_of(one.evidence)
        self._more.text = "\n".join(lines)
        with self._evidence.hold_sync():
            self._evidence.columns, self._evidence.rows, self._evidence.said = columns, rows, said


def findings_in(source: Any) -> Findings:
    """The findings of a run, a batch or the folder of one; findings are returned unchanged."""
    if isinstance(source, (str, Path)):
        folder = Path(source)
        source = Batch.open(folder) if (folder / FILE).exists() else open_run(folder)
    if isinstance(source, Run) and not hasattr(source, "findings"):
        source = open_run(source.path)
    found: Findings = source.findings if hasattr(source, "findings") else source
    return found


def _row(rank: str, one: Finding) -> list[Any]:
    found = one.sentence.partition(". ")[0]
    size = None if math.isnan(one.size.per_receipt) else one.size.per_receipt
    share = None if math.isnan(one.share_pct) else one.share_pct
    values = [int(rank), one.kind, one.service, size, one.size.unit, share, one.certainty, found]
    texts = [cell(value, "share_pct" if value is share else "") for value in values]
    return [rank, texts, values]

"""The list of runs in a notebook: filter with SQL, open one, compare two."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from workbench.catalogue.listing import runs, to_frame
from workbench.errors import SettingsError
from workbench.markup import markup, safe
from workbench.report.display import verdict_box
from workbench.settings import Settings
from workbench.sides.read import compare
from workbench.sweep.apart import Apart, resume_apart
from workbench.sweep.opened import SweepRun, open_run
from workbench.widgets.cells import Columns, Rows, table_html, table_of
from workbench.widgets.panel import Panel, button, paragraphs, text_field
from workbench.widgets.views import SaidView, TableView, on_change

if TYPE_CHECKING:
    import pandas as pd

    from workbench.compare.comparison import Comparison

HEADINGS = {
    "run": "Run",
    "started": "Started, UTC",
    "kind": "Kind",
    "state": "State",
    "verdict": "Verdict",
    "profiler": "Profiler",
    "target": "Target",
    "sent": "Sent",
    "accepted": "Accepted",
    "response_p50_ms": "Response p50, ms",
    "response_p95_ms": "p95, ms",
    "limit_receipts": "Limit, receipts",
    "tags": "Tags",
}
STEPS = {
    "step": "Step",
    "kind": "Kind",
    "verdict": "Verdict",
    "receipts": "Receipts",
    "accepted": "Accepted",
    "denied": "Denied",
    "failed": "Other refusals",
    "throughput_per_s": "Accepted, 1/s",
    "response_p50_ms": "Response p50, ms",
    "response_p95_ms": "p95, ms",
    "response_p99_ms": "p99, ms",
    "reason": "Reason",
}


class RunBrowser(Panel):
    """The runs of a folder, the newest first.

    ``where`` is a condition in SQL over the columns of :func:`workbench.runs`, such as ``"verdict = 'FAIL'"``, and can
    be changed in the panel. One chosen run can be opened, and resumed if it was stopped; two can be compared: the first
    chosen is the reference. ``runs_dir`` None: that of the settings. ``run``: the last opened run; ``comparison``: the
    last comparison. A missing folder has no runs. Raises RunFolderError if it is not a folder, SettingsError for an
    invalid condition.
    """

    def __init__(self, where: str | None = None, *, runs_dir: str | Path | None = None) -> None:
        super().__init__()
        self._runs_dir = Path(runs_dir) if runs_dir is not None else Settings.resolve().runs_dir
        self.run: SweepRun | None = None
        self.comparison: Comparison | None = None
        self._apart: Apart | None = None
        self._states: dict[str, str] = {}
        self._table = TableView(most=2)
        self._where = text_field("Where", where or "", "a condition in SQL, such as verdict = 'FAIL'")
        self._where.continuous_update = False
        self._anyway = ipywidgets.Checkbox(value=False, description="even if their settings differ", indent=False)
        self._refresh = button("Refresh", self.refresh, "read the folder again")
        self._open = button("Open", self.open, "show verdict and steps of the chosen run")
        self._compare = button(
            "Compare", self.compare, "compare the two chosen runs; the first chosen is the reference"
        )
        self._resume = button("Go on", self.resume, "resume a run that was stopped, at its first step without samples")
        self._told_view = SaidView(kind="run")
        self._steps = TableView(most=0)
        on_change(self._where, "value", lambda _: self.refresh())
        on_change(self._table, "chosen", lambda _: self._buttons())
        buttons = ipywidgets.HBox([self._refresh, self._open, self._resume, self._compare, self._anyway])
        parts = [self._where, self._table, buttons, self._said, self._told_view, self._steps]
        self.widget = ipywidgets.VBox(parts)
        self._fill(self.table())
        self._buttons()

    @property
    def chosen(self) -> list[Path]:
        """The folders of the chosen runs, in the order of choosing."""
        return [Path(path) for path in self._table.chosen]

    def table(self) -> pd.DataFrame:
        """The shown runs; columns of :func:`workbench.runs`."""
        if not self._runs_dir.exists():  # nothing was measured yet
            return to_frame([])
        return runs(self._where.value.strip() or None, runs_dir=self._runs_dir)

    def refresh(self) -> None:
        """Read the folder again, like the button."""
        self.say("")
        self.begin(self._refreshed())

    def open(self) -> None:
        """Show the chosen run, like the button."""
        self.say("")
        self.begin(self._opened())

    def resume(self) -> None:
        """Resume the chosen run in a separate process, like the button; a LoadPanel shows it."""
        self.say("")
        self.begin(self._resumed())

    def compare(self) -> None:
        """Compare the two chosen runs, like the button."""
        self.say("Comparing.")
        self.begin(self._compared())

    def html(self) -> str:
        """The runs, and what was last opened or compared."""
        runs_there = table_html(self._table.columns, self._table.rows, self._table.said)
        steps = table_html(self._steps.columns, self._steps.rows) if self._steps.rows else ""
        shown = markup("widgets/runs", runs=safe(runs_there), told=self._told_view.text, steps=safe(steps))
        return shown + paragraphs(self.message)

    def __repr__(self) -> str:
        return f"RunBrowser({str(self._runs_dir)!r}, {len(self._table.rows)} runs)"

    async def _refreshed(self) -> None:
        self._fill(await asyncio.to_thread(self.table))
        self.keep()

    async def _opened(self) -> None:
        (path,) = self.chosen
        self.run = run = open_run(path)
        self._show((await asyncio.to_thread(verdict_box, run)).as_text, run.steps)

    async def _resumed(self) -> None:
        (path,) = self.chosen
        self._resume.disabled = True
        try:
            self._apart = await asyncio.to_thread(resume_apart, path)
        finally:
            self._fill(await asyncio.to_thread(self.table))
            self._buttons()
        # last: the user may then choose other runs, which filling the table afterwards could undo
        self.say(f"A separate process has resumed the run. LoadPanel(run={str(path)!r}) shows it and stops it.")

    async def _compared(self) -> None:
        if len(self.chosen) != 2:
            raise SettingsError(f"choose two runs to compare; {len(self.chosen)} chosen", where="Compare")
        before, after = self.chosen
        try:
            found = await asyncio.to_thread(compare, before, after, anyway=bool(self._anyway.value))
        finally:
            self.say("")
        self.comparison = found
        self._show(found.text)

    def _show(self, text: str, steps: pd.DataFrame | None = None) -> None:
        """Show what was opened or compared, replacing the previous content."""
        self._told_view.text = text
        nothing: tuple[Columns, Rows, str] = ([], [], "")
        columns, rows, said = nothing if steps is None else table_of(steps, STEPS)
        with self._steps.hold_sync():
            self._steps.columns, self._steps.rows, self._steps.said = columns, rows, said
        self.keep()

    def _fill(self, table: pd.DataFrame) -> None:
        columns, rows, said = table_of(table, HEADINGS, ids="path")
        there = {one[0] for one in rows}
        self._states = {str(path): str(state) for path, state in zip(table["path"], table["state"], strict=True)}
        self._table.chosen = [path for path in self._table.chosen if path in there]
        with self._table.hold_sync():
            self._table.columns, self._table.rows = columns, rows
            self._table.said = said or ("" if rows else f"No matching run in {self._runs_dir}.")

    def _buttons(self) -> None:
        self._open.disabled = len(self._table.chosen) != 1
        going_on = [path for path in self._table.chosen if self._states.get(path) in ("running", "finished")]
        self._resume.disabled = len(self._table.chosen) != 1 or bool(going_on)
        self._compare.disabled = len(self._table.chosen) != 2

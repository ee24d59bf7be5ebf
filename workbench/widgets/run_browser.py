"""The runs there are, in a notebook: chosen with SQL, opened, and two of them compared."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from workbench.catalogue.listing import runs, to_frame
from workbench.comparing.compared import compare
from workbench.errors import SettingsError
from workbench.report.display import verdict_box
from workbench.report.tables import steps_table
from workbench.settings import Settings
from workbench.sweep.opened import SweepRun, open_run
from workbench.widgets.cells import table_of
from workbench.widgets.panel import Panel, button, paragraph, text_field
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


class RunBrowser(Panel):
    """The runs of a folder, the newest first.

    ``where`` is a condition in SQL over the columns of :func:`workbench.runs`, such as ``"verdict = 'FAIL'"``, and can
    be changed in the panel. One chosen run can be opened, two compared: the one chosen first is the one before.
    ``runs_dir`` None: that of the settings. ``run`` is the run that was opened last, ``comparison`` the last
    comparison. A folder that is not there has no runs. Raises RunFolderError for what is no folder, SettingsError for a
    condition that cannot be used.
    """

    def __init__(self, where: str | None = None, *, runs_dir: str | Path | None = None) -> None:
        super().__init__()
        self._runs_dir = Path(runs_dir) if runs_dir is not None else Settings.resolve().runs_dir
        self.run: SweepRun | None = None
        self.comparison: Comparison | None = None
        self._html = ""
        self._table = TableView(most=2)
        self._where = text_field("Where", where or "", "a condition in SQL, such as verdict = 'FAIL'")
        self._where.continuous_update = False
        self._anyway = ipywidgets.Checkbox(value=False, description="also where they are not alike", indent=False)
        self._refresh = button("Refresh", self.refresh, "look at the folder again")
        self._open = button("Open", self.open, "verdict and steps of the chosen run")
        self._compare = button("Compare", self.compare, "the two chosen runs; the first chosen is the one before")
        self._shown = ipywidgets.Output()
        self._compared_text = SaidView(kind="comparison")
        on_change(self._where, "value", lambda _: self.refresh())
        on_change(self._table, "chosen", lambda _: self._buttons())
        buttons = ipywidgets.HBox([self._refresh, self._open, self._compare, self._anyway])
        parts = [self._where, self._table, buttons, self._said, self._shown, self._compared_text]
        self.widget = ipywidgets.VBox(parts)
        self._fill(self.table())
        self._buttons()

    @property
    def chosen(self) -> list[Path]:
        """The folders of the chosen runs, in the order in which they were chosen."""
        return [Path(path) for path in self._table.chosen]

    def table(self) -> pd.DataFrame:
        """The runs that are shown, columns as :func:`workbench.runs` has them."""
        if not self._runs_dir.exists():  # nothing was measured yet
            return to_frame([])
        return runs(self._where.value.strip() or None, runs_dir=self._runs_dir)

    def refresh(self) -> None:
        """Look at the folder again, as the button does."""
        self.say("")
        self.begin(self._refreshed())

    def open(self) -> None:
        """Show the chosen run, as the button does."""
        self.say("")
        self.begin(self._opened())

    def compare(self) -> None:
        """Compare the two chosen runs, as the button does."""
        self.say("Comparing.")
        self.begin(self._compared())

    def html(self) -> str:
        """The runs, and what was opened or compared last."""
        from html import escape

        columns, rows, said = self._table.columns, self._table.rows, self._table.said
        head = "".join(f'<th scope="col">{escape(heading)}</th>' for _, heading, _ in columns)
        body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in texts) + "</tr>" for _, texts, _ in rows)
        told = f"<pre>{escape(self._compared_text.text)}</pre>" if self._compared_text.text else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{table}{paragraph(said)}{self._html}{told}{paragraph(self.message)}"

    def __repr__(self) -> str:
        return f"RunBrowser({str(self._runs_dir)!r}, {len(self._table.rows)} runs)"

    async def _refreshed(self) -> None:
        self._fill(await asyncio.to_thread(self.table))
        self.keep()

    async def _opened(self) -> None:
        (path,) = self.chosen
        self.run = run = open_run(path)
        box = await asyncio.to_thread(verdict_box, run)
        steps = steps_table(run.steps) if len(run.steps) else None
        self._html = box.as_html + ("" if steps is None else steps.as_html)
        text = box.as_text + ("" if steps is None else f"\n{steps.as_text}")
        self._compared_text.text = ""
        # made by our own code from escaped text; the output area draws it as it draws any cell's
        data = {"text/html": self._html, "text/plain": text}
        self._shown.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        self.keep()

    async def _compared(self) -> None:
        if len(self.chosen) != 2:
            raise SettingsError(f"two runs are compared, {len(self.chosen)} are chosen", where="Compare")
        before, after = self.chosen
        try:
            found = await asyncio.to_thread(compare, before, after, anyway=bool(self._anyway.value))
        finally:
            self.say("")
        self.comparison = found
        self._html, self._shown.outputs = "", ()
        self._compared_text.text = found.text
        self.keep()

    def _fill(self, table: pd.DataFrame) -> None:
        columns, rows, said = table_of(table, HEADINGS, ids="path")
        there = {one[0] for one in rows}
        self._table.chosen = [path for path in self._table.chosen if path in there]
        with self._table.hold_sync():
            self._table.columns, self._table.rows = columns, rows
            self._table.said = said or ("" if rows else f"There is no such run in {self._runs_dir}.")

    def _buttons(self) -> None:
        self._open.disabled = len(self._table.chosen) != 1
        self._compare.disabled = len(self._table.chosen) != 2

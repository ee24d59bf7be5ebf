"""The notebook of panels in JupyterLab: its parts, and what can be done with them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page

from tests.jupyterlab import Shown
from tests.report.conftest import NOTEBOOKS
from workbench.report.quick_nbformat import nbformat

NOTEBOOK = "panels.ipynb"
PROJECT = NOTEBOOKS.parent
CELLS = {"load": 1, "explorer": 2, "findings": 3, "browser": 4, "profiler": 5, "real": 6}
"""Which code cell shows which panel, the parameters being the first."""


@dataclass
class Lab:
    """The notebook of panels, as it is shown."""

    shown: Shown
    folder: Path

    @property
    def page(self) -> Page:
        """The page it is in."""
        return self.shown.page

    def panel(self, name: str) -> Locator:
        """The output of the cell that shows a panel."""
        return self.page.locator(".jp-CodeCell").nth(CELLS[name]).locator(".jp-Cell-outputArea")

    def button(self, name: str, text: str) -> Locator:
        """A button of a panel that can be pressed."""
        return self.panel(name).locator(f"button.jupyter-button:not([disabled]):text-is('{text}')")

    def field(self, name: str, label: str) -> Locator:
        """The input of a panel's field."""
        row = self.panel(name).locator(".widget-inline-hbox").filter(has=self.page.get_by_text(label, exact=True))
        return row.locator("input, select")

    async def fill(self, name: str, label: str, text: str) -> None:
        """Type into a field, and leave it."""
        await self.field(name, label).fill(text)
        await self.field(name, label).press("Tab")

    async def run_first(self) -> None:
        """Run the cells down to the first panel."""
        await self.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 4 }")
        await self.shown.command("notebook:run-all-above")
        await self.button("load", "Start").wait_for()

    async def run_all(self) -> None:
        """Run all cells; the last panel is there then."""
        await self.shown.command("notebook:run-all-cells")
        await self.panel("profiler").get_by_text("No profiler session.").wait_for()

    async def restart(self) -> None:
        """Start the kernel again: all its objects are gone."""
        await self.page.evaluate(
            """async () => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.sessionContext.restartKernel();
                await panel.sessionContext.session.kernel.info;
            }"""
        )
        await self.shown.idle()

    async def saved(self) -> dict[str, Any]:
        """The notebook as it is saved now."""
        await self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        made: dict[str, Any] = json.loads((self.folder / NOTEBOOK).read_text("utf-8"))
        return made


def notebook_with(**parameters: Any) -> nbformat.NotebookNode:
    """The project's notebook of panels with other parameters."""
    made = nbformat.read(NOTEBOOKS / NOTEBOOK, as_version=4)
    cell = next(cell for cell in made.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    return made


async def picture(locator: Locator, name: str) -> None:
    """Write a picture for the documentation, as much as is in sight, where PANEL_PICTURES names a folder for it."""
    if folder := os.environ.get("PANEL_PICTURES"):
        await locator.scroll_into_view_if_needed()
        whole, sight = (
            await locator.bounding_box(),
            await locator.page.locator(".jp-WindowedPanel-outer").bounding_box(),
        )
        assert whole is not None
        assert sight is not None
        top, bottom = max(whole["y"], sight["y"]), min(whole["y"] + whole["height"], sight["y"] + sight["height"])
        clip: Any = {"x": whole["x"], "y": top, "width": whole["width"], "height": bottom - top}
        await locator.page.screenshot(path=Path(folder) / f"{name}.png", clip=clip)

"""One JupyterLab, one browser and one notebook of panels for all tests of a file: starting them is dear."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.async_api import Locator, Page

from tests.profilers.services import free_port
from tests.report.browser import PATIENCE_MS, headless_chromium
from tests.report.conftest import NOTEBOOKS
from tests.test_jupyterlab import jupyter_lab

NOTEBOOK = "panels.ipynb"
PROJECT = NOTEBOOKS.parent
CELLS = {"load": 1, "explorer": 2, "findings": 3, "browser": 4, "profiler": 5}
"""Which code cell shows which panel, the parameters being the first."""


@dataclass
class Lab:
    """The notebook in JupyterLab. ``elsewhere``: requests that left this machine; ``complaints``: page errors."""

    page: Page
    folder: Path
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

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

    async def command(self, name: str) -> None:
        """A command of JupyterLab."""
        await self.page.evaluate("(name) => { window.jupyterapp.commands.execute(name) }", name)

    async def run_first(self) -> None:
        """Run the cells down to the first panel."""
        await self.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 4 }")
        await self.command("notebook:run-all-above")
        await self.button("load", "Start").wait_for()

    async def run_all(self) -> None:
        """Run all cells; the last panel is there then."""
        await self.command("notebook:run-all-cells")
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
        await self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()

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


@asynccontextmanager
async def lab_with(made: nbformat.NotebookNode, folder: Path) -> AsyncIterator[Lab]:
    """A notebook in JupyterLab, of which nothing has run yet."""
    (folder / "work").mkdir()
    nbformat.write(made, folder / "work" / NOTEBOOK)
    (folder / "config" / "labconfig").mkdir(parents=True)
    # else a question about news lies over the panels
    (folder / "config" / "labconfig" / "page_config.json").write_text(
        json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SERVICE", "SERVICE_METRICS", "AGENT_METRICS", "GRAPH"):  # of a stand-in that is profiled by hand
            patch.setenv(f"WORKBENCH_{name}_PORT", str(free_port()))
        patch.setenv("JUPYTER_CONFIG_DIR", str(folder / "config"))
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "data-dir"))
        async with jupyter_lab(folder / "work") as address, headless_chromium() as browser:
            page = await browser.new_page(viewport={"width": 1400, "height": 1250})
            page.set_default_timeout(PATIENCE_MS)
            # anywidget gives a panel two seconds to be made, which a busy machine may take
            await page.add_init_script(
                "const timeout = AbortSignal.timeout; AbortSignal.timeout = (ms) => timeout.call(AbortSignal, 60 * ms)"
            )
            lab = Lab(page, folder / "work")
            page.on(
                "request",
                lambda request: (
                    lab.elsewhere.append(request.url)
                    if request.url.startswith("http") and "127.0.0.1" not in request.url
                    else None
                ),
            )
            page.on("pageerror", lambda error: lab.complaints.append(str(error)))
            await page.goto(f"{address}/lab/tree/{NOTEBOOK}")
            await page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook')")
            await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
            yield lab


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

"""The flame graph in JupyterLab itself: its keys are its own, it outlives a reload, untrusted it is a table."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from playwright.async_api import Page

from tests.charts.profiles import folded
from tests.report.browser import PATIENCE_MS, own_chromium
from tests.test_jupyterlab import jupyter_lab
from workbench.charts.flame import flame_graph

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[2]
STACKS = {"main;work": 5, "main;rest": 2}
SOURCE = f"""import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.charts.profiles import folded
from workbench.charts.flame import flame_graph
flame_graph(folded({STACKS!r}))"""


def notebook(path: Path, *, output: str | None = None) -> None:
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cell = nbformat.v4.new_code_cell(SOURCE)
    if output:
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": output})]
    made.cells = [cell, nbformat.v4.new_code_cell("'the last cell'")]
    nbformat.write(made, path)


async def opened(page: Page, address: str, name: str) -> None:
    await page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb")
    await page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook')")
    await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


@pytest.mark.browser
async def test_in_jupyterlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "work"
    folder.mkdir()
    notebook(folder / "mine.ipynb")
    notebook(folder / "foreign.ipynb", output=flame_graph(folded(STACKS))._repr_html_())
    async with jupyter_lab(folder) as address, own_chromium() as browser:
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        await opened(page, address, "mine")
        await page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        await page.locator('.wb-flame[data-state="drawn"]').wait_for()
        await page.get_by_text("'the last cell'").last.wait_for()
        await page.locator(".wb-flame-view").focus()
        # in a notebook x cuts the cell, Enter edits it, arrows leave it
        for key in ("ArrowDown", "x", "ArrowDown", "Enter", "Escape"):
            await page.keyboard.press(key)
        assert "work · cpu, total: 5 ns" in await page.locator(".wb-flame-said").inner_text()
        await page.locator(".wb-flame").get_by_label("Search").fill("rest")
        assert (await page.locator(".wb-flame-found").inner_text()).startswith("1 function: 28.6 %")
        assert await page.locator(".jp-CodeCell").count() == 2
        await page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        assert "data-workbench-flame" in json.dumps(json.loads((folder / "mine.ipynb").read_text())["cells"][0])
        await page.reload()
        await page.locator('.wb-flame[data-state="drawn"]').wait_for()
        await opened(page, address, "foreign")
        table = page.locator(".wb-flame-static table")
        await table.wait_for()
        assert "work" in await table.inner_text()
        assert await page.locator(".wb-flame-panel").count() == 0

"""The notebooks by hand: cell by cell in one kernel, twice."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.report.browser import PATIENCE_MS, own_chromium
from tests.report.conftest import NOTEBOOKS
from workbench.runs.read import open_run

pytestmark = pytest.mark.slow

SMALL = {
    "load_sweep": {"receipts": '"20,70"', "rate": "300.0", "limit_grt": '"0.05"', "pinpoint": "False"},
    "single_load": {"num_receipts": "40", "rate": "300.0"},
}


def small(name: str) -> nbformat.NotebookNode:
    """A notebook of the project with small values typed into its parameters cell."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    lines = []
    for line in cell.source.splitlines():
        parameter, _, rest = line.partition(":")
        value = SMALL[name].get(parameter)
        lines.append(line if value is None else f"{parameter}:{rest.partition('=')[0]}= {value}")
    cell.source = "\n".join(lines)
    return notebook


@pytest.mark.parametrize("name", ["load_sweep", "single_load"])
async def test_cell_by_cell_twice_in_one_kernel(name, tmp_path):
    notebook = small(name)
    once = len(notebook.cells)
    again = [nbformat.from_dict({**cell, "id": f"again-{number}"}) for number, cell in enumerate(notebook.cells)]
    notebook.cells = [*notebook.cells, *again]
    await NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).async_execute()
    runs = [open_run(path) for path in sorted((tmp_path / "data" / "runs").glob("*-*"))]
    assert len(runs) == 2
    for run in runs:
        assert run.manifest["state"] == "finished"
    assert list(runs[0].steps["accepted"] + runs[0].steps["denied"]) == list(
        runs[1].steps["accepted"] + runs[1].steps["denied"]
    )
    # the second time shows the second run, with as many outputs as the first
    shown = [[len(cell.get("outputs", [])) > 0 for cell in part] for part in (notebook.cells[:once], again)]
    assert shown[0] == [len(cell.get("outputs", [])) > 0 for cell in notebook.cells[once:]]


async def test_the_runs_of_a_notebook_are_those_of_the_project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    await NotebookClient(
        small("single_load"), timeout=120, resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    ).async_execute()
    assert len(list((tmp_path / "data" / "runs").glob("*-load"))) == 1


@asynccontextmanager
async def jupyter_lab(folder: Path) -> AsyncIterator[str]:
    """A JupyterLab server over ``folder``; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
        "--IdentityProvider.token=",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        f"--ServerApp.root_dir={folder}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            async for line in process.stderr:
                text = line.decode()
                if "http://127.0.0.1:" in text:
                    address = "http://127.0.0.1:" + text.split("http://127.0.0.1:")[1].split("/")[0]
                    break
        draining = asyncio.create_task(process.stderr.read())
        yield address
        draining.cancel()
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:  # its kernels do not end
            process.kill()
            await process.wait()


@pytest.mark.browser
async def test_in_jupyterlab_all_cells_run_and_charts_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data-dir"))
    folder = tmp_path / "work"
    folder.mkdir()
    nbformat.write(small("load_sweep"), folder / "load_sweep.ipynb")
    async with jupyter_lab(folder) as address, own_chromium() as browser:
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        elsewhere: list[str] = []
        page.on(
            "request",
            lambda request: (
                elsewhere.append(request.url)
                if request.url.startswith("http") and "127.0.0.1" not in request.url
                else None
            ),
        )
        await page.goto(f"{address}/lab/tree/load_sweep.ipynb")
        await page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook')")
        await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before that Lab would ask for a kernel
        await page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        saved = await wait_for_saved(page, folder / "load_sweep.ipynb")
        charts = await page.locator(".js-plotly-plot").count()
    assert elsewhere == []
    errors = [output for cell in saved for output in cell.get("outputs", []) if output["output_type"] == "error"]
    assert errors == []
    assert charts > 0
    figures = [
        output
        for cell in saved
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(figures) >= 8
    (run,) = [open_run(path) for path in (folder / "data" / "runs").glob("*-sweep")]
    assert run.manifest["limit"]["held"] is True


async def wait_for_saved(page, path: Path) -> list[dict]:
    """The code cells of the notebook once the last of them has run and been saved."""
    for _ in range(240):
        await page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save') }")
        try:
            saved = json.loads(path.read_text())
        except ValueError:  # it is being written just now
            saved = {"cells": []}
        cells = [cell for cell in saved["cells"] if cell["cell_type"] == "code"]
        failed = any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
        if failed or (cells and cells[-1]["execution_count"]):
            return cells
        await asyncio.sleep(0.5)
    raise AssertionError("the last cell did not run")

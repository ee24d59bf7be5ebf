"""What is shown in JupyterLab itself, in one server: every panel (clicks, live update, stop, a kernel that is started
again, exported pages), the flame graph among a notebook's keys, and the notebook of a sweep with its charts."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nbconvert import HTMLExporter
from playwright.async_api import expect

from tests.charts.profiles import folded
from tests.jupyterlab import JupyterLab, Shown, jupyter_lab
from tests.keys.places import new_key
from tests.report.browser import PATIENCE_MS
from tests.report.conftest import finished_run
from tests.sweep.real_runs import example_run
from tests.test_cell_by_cell import small
from tests.widgets.lab import NOTEBOOK, PROJECT, Lab, notebook_with, picture
from tests.widgets.made import EVIL, two_runs
from workbench.charts.flame import flame_graph
from workbench.report import external_addresses
from workbench.report.answers.example import example
from workbench.report.export import export_html
from workbench.report.quick_nbformat import nbformat
from workbench.runs.folder import RunFolder
from workbench.runs.read import Run
from workbench.sweep.apart import running_in, stop_apart
from workbench.sweep.opened import open_run

__all__ = ["finished_run"]

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)
NODES = 120_000
REAL = "before"
DEMO = "demo-callgrind.out"
STACKS = {"main;work": 5, "main;rest": 2}
FLAMES = f"""import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.charts.profiles import folded
from workbench.charts.flame import flame_graph
flame_graph(folded({STACKS!r}))"""
FINDINGS = f"""import sys
sys.path.insert(0, {str(PROJECT)!r})
from tests.widgets.made import EVIL, finding
from workbench.analysis.findings import Findings
found = workbench.FindingsView(Findings((finding(EVIL, 9), finding("parse", 5)), notes=("One file is gone.",)))
found"""


def many_nodes(path: Path) -> Path:
    """A profile of NODES different stacks' ends, one of them named to do harm where names become markup."""
    lines = [f"main;group_{at % 40};part_{at % 4000};leaf_{at} {1 + at % 7}" for at in range(NODES)]
    path.write_text("\n".join([*lines, f"main;rust::{{{{closure}}}}$x$;{EVIL} 900000"]) + "\n")
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def jupyter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JupyterLab]:
    async with jupyter_lab(tmp_path_factory.mktemp("jupyterlab")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(jupyter: JupyterLab, finished_run: Run) -> AsyncIterator[Lab]:
    made = notebook_with(receipts="30,30000", rate=100.0, profile="many.folded")
    cells = {cell.id: cell for cell in made.cells}
    cells["findings"].source = FINDINGS
    cells["explorer"].source = f"explorer = workbench.ProfileExplorer([profile, {DEMO!r}])\nexplorer"
    made.cells.append(nbformat.v4.new_code_cell(f"workbench.FindingsView({REAL!r})"))
    path = jupyter.notebook(NOTEBOOK.removesuffix(".ipynb"), made)
    many_nodes(path.parent / "many.folded")
    shutil.copy(example(DEMO), path.parent)
    two_runs(finished_run, path.parent / "data" / "runs")
    example_run(path.parent, REAL)
    yield Lab(await jupyter.opened(path, height_px=1250), path.parent)
    while (left := running_in(path.parent / "data" / "runs")) is not None:
        stop_apart(left)
        time.sleep(0.1)


def the_run(lab: Lab) -> RunFolder:
    (path,) = (lab.folder / "data" / "runs").glob("*-sweep")
    return RunFolder(path)


async def test_a_load_is_started_watched_found_again_and_stopped(lab: Lab) -> None:
    panel = lab.panel("load")
    await lab.run_first()
    # a key is taken by no field, and a run is not started with it
    key = new_key()
    await lab.fill("load", "Service command", f"service --key {key}")
    await expect(panel.get_by_text("a key or a password cannot be entered here")).to_be_visible()
    await expect(lab.field("load", "Service command")).to_have_value("")
    await lab.button("load", "Start").click()
    first, second = panel.locator(".wb-run tbody tr").nth(0), panel.locator(".wb-run tbody tr").nth(1)
    await expect(first).to_have_attribute("data-state", "done")
    await expect(second).to_have_attribute("data-state", "sending")
    await lab.page.wait_for_function("() => document.querySelectorAll('.wb-run progress')[1].value > 0.002")
    await expect(second.locator("td").nth(3)).to_contain_text("of 30,000")
    await expect(second.locator("td").nth(8)).to_contain_text(" s")  # time left
    await picture(panel, "panel-load")
    # the kernel is started again; who measures goes on, and the panel finds it
    before, holder = await second.locator("td").nth(3).inner_text(), the_run(lab).holder()
    await lab.restart()
    assert the_run(lab).holder() == holder is not None
    await lab.run_all()
    second = panel.locator(".wb-run tbody tr").nth(1)
    await expect(second).to_have_attribute("data-state", "sending")
    answered = await second.locator("td").nth(3).inner_text()
    assert int(answered.split()[0].replace(",", "")) > int(before.split()[0].replace(",", ""))
    await lab.button("load", "Stop").click()
    await expect(panel.locator(".wb-run")).to_have_attribute("data-state", "interrupted")
    await expect(panel.get_by_text("workbench sweep --resume").last).to_be_visible()
    await expect(lab.button("load", "Go on")).to_be_visible()
    run = open_run(the_run(lab).path)
    assert (run.state, len(run.steps)) == ("interrupted", 1)
    assert list((run.path / "interrupted").glob("*.parquet"))
    assert key not in json.dumps(await lab.saved())


async def test_a_page_of_the_notebook_has_the_last_state(lab: Lab, tmp_path: Path) -> None:
    """By nbconvert as it comes, and by our own export, which keeps nothing that a browser would fetch."""
    await lab.saved()
    made = nbformat.read(lab.folder / NOTEBOOK, as_version=4)
    page, _ = HTMLExporter().from_notebook_node(made)
    export_html(lab.folder / NOTEBOOK, tmp_path / "own.html", title="Panels")
    own = (tmp_path / "own.html").read_text("utf-8")
    assert external_addresses(own) == []
    for text in (page, own):
        assert "interrupted, 1 of 2 steps done" in text
        assert "workbench sweep --resume" in text
        assert "data-workbench-flame" in text
        assert EVIL not in text


async def test_a_profile_of_a_hundred_thousand_nodes_is_explored(lab: Lab) -> None:
    panel = lab.panel("explorer")
    graph = panel.locator('.wb-flame[data-state="drawn"]')
    await graph.wait_for()
    assert await graph.evaluate("(e) => e.flameGraph.rows().length") > 90_000
    for way, search in (("total", "leaf_77"), ("total", "closure")):
        await graph.get_by_label("Search").fill(search)
        await expect(graph.locator(".wb-flame-found")).to_contain_text(way)
    await graph.get_by_label("Search").fill("")
    # choosing is told to the kernel; callers and callees are of the chosen one; names are text
    await graph.locator(".wb-flame-rows button").filter(has_text="onerror").click()
    await graph.get_by_role("tab", name="Callers").click()
    await expect(graph.locator(".wb-flame-rows")).to_contain_text("{closure}$x$")
    assert await lab.page.title() != "evil"
    assert await panel.locator("img").count() == 0
    await lab.fill("explorer", "Focus", "group_7$")
    few = "() => [...document.querySelectorAll('.wb-flame')].some((e) => e.flameGraph?.rows().length < 10000)"
    await lab.page.wait_for_function(few)
    names = await graph.evaluate("(e) => [...new Set(e.flameGraph.rows().map((row) => row.name))]")
    assert "group_7" in names
    assert "group_8" not in names
    await lab.fill("explorer", "Focus", "(")
    await expect(panel.locator('.wb-said[data-kind="message"]')).to_contain_text("regular expression")
    await lab.button("explorer", "Whole profile").click()
    await lab.field("explorer", "Profile").select_option(DEMO)
    await expect(graph.locator(".wb-flame-title")).to_have_text(DEMO)
    await expect(graph.get_by_label("Metric")).to_be_visible()
    await graph.locator(".wb-flame-rows button").nth(2).click()
    await picture(panel, "panel-explorer")


async def test_runs_are_listed_opened_and_compared(lab: Lab) -> None:
    panel = lab.panel("browser")
    await lab.button("browser", "Refresh").click()
    row = panel.locator("tbody tr[aria-selected]")
    await expect(row).to_have_count(3)
    stopped, one, two = (row.filter(has_text=name) for name in ("-sweep", "-one", "-two"))
    await expect(panel.locator("button.jupyter-button[disabled]:text-is('Compare')")).to_be_visible()
    await one.click()
    await two.click()
    await lab.button("browser", "Compare").click()
    told = panel.locator('.wb-said[data-kind="run"]')
    await expect(told).to_contain_text("Z-two")
    await one.click()
    await two.click()
    await stopped.click()
    await lab.button("browser", "Open").click()
    await expect(told).to_contain_text("The run is interrupted")
    await picture(panel, "panel-runs")
    # resumed from here, then stopped
    await lab.button("browser", "Go on").click()
    await expect(panel.get_by_text("A separate process has resumed the run")).to_be_visible()
    while (going_on := running_in(lab.folder / "data" / "runs")) is None:
        await asyncio.sleep(0.1)
    assert going_on.path == the_run(lab).path
    while running_in(lab.folder / "data" / "runs") is not None:
        stop_apart(going_on)
        await asyncio.sleep(0.1)
    await one.click()
    await stopped.click()
    await lab.button("browser", "Open").click()
    await expect(told).to_contain_text("FAIL")
    await expect(panel.locator("table").nth(1)).to_contain_text("Accepted, 1/s")
    await lab.fill("browser", "Where", "verdict = 'PASS'")
    await expect(panel.get_by_text("No matching run")).to_be_visible()
    await lab.fill("browser", "Where", "nonsense")
    await expect(panel.locator('.wb-said[data-kind="message"]')).to_contain_text("nonsense")


async def test_findings_are_listed_and_told(lab: Lab) -> None:
    panel = lab.panel("findings")
    told = panel.locator('.wb-said[data-kind="finding"]')
    await expect(told).to_contain_text(f"{EVIL} is called. Twice.")
    await panel.locator("tbody tr[aria-selected]").filter(has_text="parse").click()
    await expect(told).to_contain_text("parse is called. Twice.")
    await expect(panel.locator("table").nth(1)).to_contain_text(EVIL)  # the evidence
    await panel.get_by_role("button", name="Per receipt").click()
    await expect(panel.locator("th[aria-sort]")).to_have_text("Per receipt")
    assert await panel.locator("img").count() == 0
    assert await lab.page.title() != "evil"


async def test_findings_of_a_real_run_are_told_with_their_evidence(lab: Lab) -> None:
    """Of the committed example: its hash is computed twice a receipt, and the callers are the evidence."""
    panel = lab.panel("real")
    told = panel.locator('.wb-said[data-kind="finding"]')
    row = panel.locator("tbody tr[aria-selected]").filter(has_text="hash_receipt is called twice a receipt")
    await expect(row).to_have_attribute("aria-selected", "true")  # the weightiest is chosen at first
    await row.click()
    await expect(told).to_have_text("")
    await row.click()
    await expect(told).to_contain_text("1,010 instructions, 5.7 % of what a receipt costs")
    await expect(panel.locator("table").nth(1).locator("tbody")).to_contain_text("check_receipt")


async def test_a_profiler_session_is_started_cut_stopped_and_restored(lab: Lab) -> None:
    panel = lab.panel("profiler")
    state = panel.locator('.wb-said[data-kind="state"]')
    await lab.field("profiler", "Mode").select_option("flamegraph")
    await lab.button("profiler", "Start").click()
    await expect(state).to_contain_text("running: mode flamegraph")
    await expect(state).to_contain_text("runs and answers")
    await lab.button("profiler", "Begin window").click()
    await expect(state).to_contain_text("window step-001 is open")
    await picture(panel, "panel-profiler")
    await lab.button("profiler", "End window").click()
    await expect(state).to_contain_text("windows: step-001")
    await lab.button("profiler", "Stop").click()
    await expect(state).to_contain_text("stopped: mode flamegraph")
    await lab.button("profiler", "Restore").click()
    await expect(state).to_have_text("No profiler session.")


async def test_nothing_is_fetched_from_elsewhere_and_nothing_fails(lab: Lab) -> None:
    assert lab.shown.elsewhere == []
    assert lab.shown.complaints == []


def flames(output: str | None = None) -> nbformat.NotebookNode:
    """A notebook whose first cell shows a flame graph, run already where ``output`` is given."""
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cell = nbformat.v4.new_code_cell(FLAMES)
    if output:
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": output})]
    made.cells = [cell, nbformat.v4.new_code_cell("'the last cell'")]
    return made


async def test_the_flame_graph_keeps_its_keys_outlives_a_reload_and_is_a_table_where_untrusted(
    jupyter: JupyterLab,
) -> None:
    path = jupyter.notebook("mine", flames())
    shown = await jupyter.opened(path)
    page = shown.page
    await shown.command("notebook:run-all-cells")
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
    assert "data-workbench-flame" in json.dumps(json.loads(path.read_text())["cells"][0])
    await page.reload()
    await page.locator('.wb-flame[data-state="drawn"]').wait_for()
    foreign = jupyter.notebook("foreign", flames(flame_graph(folded(STACKS))._repr_html_()))
    page = (await jupyter.opened(foreign)).page
    table = page.locator(".wb-flame-static table")
    await table.wait_for()
    assert "work" in await table.inner_text()
    assert await page.locator(".wb-flame-panel").count() == 0


async def test_all_cells_of_a_sweep_run_and_its_charts_are_drawn(jupyter: JupyterLab) -> None:
    path = jupyter.notebook("load_sweep", small("load_sweep"))
    shown = await jupyter.opened(path)
    await shown.command("notebook:run-all-cells")
    saved = await wait_for_saved(shown, path)
    outputs = [output for cell in saved for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert len([one for one in outputs if "application/vnd.plotly.v1+json" in one.get("data", {})]) >= 8
    assert await shown.page.locator(".js-plotly-plot").count() > 0
    assert shown.elsewhere == []
    (run,) = [open_run(path) for path in (path.parent / "data" / "runs").glob("*-sweep")]
    assert run.manifest["limit"]["held"] is True


async def wait_for_saved(shown: Shown, path: Path) -> list[dict[str, Any]]:
    """The code cells of the notebook once the last of them has run and been saved."""
    for _ in range(240):
        await shown.command("docmanager:save")
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

"""The project's notebooks: clean as committed, parameters in step with the settings, and drawn in a browser."""

from __future__ import annotations

import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from tests.report.browser import DESKTOP_PX, PHONE_PX, open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.report import external_addresses, read_parameters, run_notebook
from workbench.report.figures import PLOTLY_MIME, nothing_in
from workbench.report.quick_nbformat import nbformat
from workbench.runs.read import Run
from workbench.settings import SECRETS, WITH_PASSWORD, Settings

pytestmark = pytest.mark.slow

EXTRA = {"run_dir", "resume", "runs_dir"}  # empty text stands for "not given"
OTHER_DEFAULTS = {("single_load", "name"): "load", ("find_limit", "name"): "find-limit"}
FOLDED = {"source_hidden": True}
ALL = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def test_both_notebooks_are_there() -> None:
    assert {"load_sweep", "single_load"} <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_notebook_is_committed_clean(name: str) -> None:
    made = read(name)
    nbformat.validate(made)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert made.metadata["kernelspec"]["name"] == "python3"
    assert set(made.metadata) <= {"kernelspec", "language_info"}
    assert set(made.metadata["language_info"]) == {"name"}
    assert len({cell.id for cell in made.cells}) == len(made.cells)
    assert all(set(cell.metadata) <= {"tags", "jupyter"} for cell in made.cells)
    assert all(cell.metadata.get("jupyter", FOLDED) == FOLDED for cell in made.cells)
    assert "parameters" in code[0].metadata["tags"]
    assert not any("def " in cell.source or "class " in cell.source for cell in code)


@pytest.mark.parametrize("name", ["load_sweep", "single_load", "find_limit"])
def test_parameters_are_settings_with_the_same_defaults(name: str) -> None:
    for parameter in read_parameters(NOTEBOOKS / f"{name}.ipynb"):
        assert parameter.help, parameter.name
        assert parameter.name not in SECRETS | WITH_PASSWORD
        if parameter.name in EXTRA:
            assert parameter.default == ""
            continue
        field = Settings.model_fields[parameter.name]
        default: object = OTHER_DEFAULTS.get((name, parameter.name), field.get_default(call_default_factory=True))
        if isinstance(default, Decimal):
            assert Decimal(parameter.default) == default, parameter.name
        else:
            assert parameter.default == (str(default) if isinstance(default, Path) else default), parameter.name


@pytest.mark.parametrize("name", ["load_sweep", "single_load", "find_limit"])
def test_every_parameter_is_used(name: str) -> None:
    run_cell = next(cell.source for cell in read(name).cells if cell.id == "run")
    for parameter in read_parameters(NOTEBOOKS / f"{name}.ipynb"):
        assert f"{parameter.name}={parameter.name}" in run_cell, parameter.name


@pytest.mark.browser
@pytest.mark.parametrize(("name", "widths"), [("load_sweep", [PHONE_PX, DESKTOP_PX]), ("single_load", [PHONE_PX])])
async def test_the_report_of_a_finished_run_opens_offline(
    name: str, widths: list[int], finished_run: Run, made_report: Path, tmp_path: Path
) -> None:
    html = made_report
    if name != "load_sweep":
        html = tmp_path / "report.html"
        record = await run_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            {"run_dir": finished_run.path},
            tmp_path / "notebook.ipynb",
            html,
            title=f"Report {finished_run.path.name}",
            timeout_s=200,
        )
        assert record.ok, f"{record.exception}: {record.message}"
    assert external_addresses(html.read_text(encoding="utf-8")) == []
    output = nbformat.read(html.parent / "notebook.ipynb", as_version=4)
    specs = [
        one.data[PLOTLY_MIME]
        for cell in output.cells
        for one in cell.get("outputs", [])
        if PLOTLY_MIME in one.get("data", {})
    ]
    figures = sum(not nothing_in(spec)[1] for spec in specs)
    assert figures >= 6
    for width in widths:
        opened = await open_offline(html, width_px=width)
        assert opened.requests == []
        assert opened.complaints == []
        assert (opened.charts_wanted, opened.charts_drawn) == (figures, figures)
        assert opened.charts_without_traces == []
        assert opened.page_width_px <= opened.window_width_px
        assert opened.text.index("✗ FAIL") < opened.text.index("Outcomes of the receipts")


def test_the_first_notebook_leads_to_all_others_and_they_are_there() -> None:
    text = "\n".join(cell.source for cell in read("00_start_here").cells if cell.cell_type == "markdown")
    assert set(re.findall(r"\]\((\w+)\.ipynb\)", text)) == {*ALL} - {"00_start_here"}


async def test_the_first_notebook_answers(tmp_path: Path) -> None:
    output, html = tmp_path / "notebook.ipynb", tmp_path / "report.html"
    small = {"num_receipts": 20, "rate": 200.0, "runs_dir": str(tmp_path / "runs")}
    record = await run_notebook(NOTEBOOKS / "00_start_here.ipynb", small, output, html, title="Start here")
    assert record.ok, f"{record.exception}: {record.message}"
    assert "every receipt was accepted" in html.read_text("utf-8") or "20 receipts" in html.read_text("utf-8")


def test_copies_are_opened_and_the_tracked_notebooks_left_alone(tmp_path: Path) -> None:
    """``make lab`` without the JupyterLab."""
    made = subprocess.run(
        ["make", "-C", str(NOTEBOOKS.parent), "lab-copies", f"LAB={tmp_path / 'lab'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert sorted(path.stem for path in (tmp_path / "lab").iterdir()) == ALL
    copy = tmp_path / "lab" / "00_start_here.ipynb"
    assert copy.read_bytes() == (NOTEBOOKS / copy.name).read_bytes()

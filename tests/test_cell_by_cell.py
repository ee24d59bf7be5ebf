"""The notebooks by hand: cell by cell in one kernel, twice."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient

from tests.report.conftest import NOTEBOOKS
from workbench.report.quick_nbformat import nbformat
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

"""A finished run folder made of the frames in ``frames``, so that reports can be tested without sending anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report import frames
from workbench.compare.comparison import compare_sides
from workbench.report import run_notebook
from workbench.report.comparing import asked, write_comparison
from workbench.report.quick_nbformat import nbformat
from workbench.runs.atomic import write_json, write_parquet
from workbench.runs.read import Run, open_run

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "20260101T000000Z-made-up"
    (folder / "samples").mkdir(parents=True)
    samples = frames.samples()
    for step, rows in samples.groupby("step"):
        write_parquet(folder / "samples" / f"step-{step:03d}.parquet", rows)
    write_parquet(folder / "steps.parquet", frames.steps(samples))
    write_parquet(folder / "series.parquet", frames.series(samples))
    write_parquet(folder / "watch.parquet", frames.watch())
    write_json(folder / "manifest.json", frames.manifest())
    return open_run(folder)


@pytest.fixture(scope="session")
def made_report(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``report.html`` of the made-up run, its ``notebook.ipynb`` beside it: made once."""
    folder = tmp_path_factory.mktemp("reports")
    record = asyncio.run(
        run_notebook(
            NOTEBOOKS / "load_sweep.ipynb",
            {"run_dir": finished_run.path},
            folder / "notebook.ipynb",
            folder / "report.html",
            title=f"Report {finished_run.path.name}",
            timeout_s=300,
        )
    )
    assert record.ok, f"{record.exception}: {record.message}"
    return folder / "report.html"


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the two committed profiles."""
    path = tmp_path_factory.mktemp("comparisons") / "comparison.html"
    sides = asked("", "")
    write_comparison(compare_sides(sides), sides, path)
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Makes a notebook: the lines of its parameters cell, then its other code cells."""

    def make(*cells: str, parameters: str = "number: int = 1  # a number") -> Path:
        made = nbformat.v4.new_notebook()
        made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        first = nbformat.v4.new_code_cell(parameters)
        first.metadata["tags"] = ["parameters"]
        made.cells = [first, *(nbformat.v4.new_code_cell(cell) for cell in cells)]
        path = tmp_path / "in.ipynb"
        nbformat.write(made, path)
        return path

    return make

"""The notebook of generator and stand-in under pprofile: exact lines a receipt, and SnakeViz in seconds of a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.conftest import NOTEBOOKS
from workbench.report import run_notebook
from workbench.report.answers.both import per_receipt
from workbench.report.quick_nbformat import nbformat
from workbench.sweep.both_profiled import FEW, BothProfiled, profile_both
from workbench.sweep.opened import open_run

pytestmark = pytest.mark.slow
RECEIPTS = 20


async def test_the_notebook_says_which_of_the_two_does_what(tmp_path: Path) -> None:
    saved, runs = tmp_path / "n.ipynb", tmp_path / "runs"
    given = {"num_receipts": RECEIPTS, "runs_dir": str(runs)}
    record = await run_notebook(
        NOTEBOOKS / "generator_profile.ipynb", given, saved, tmp_path / "report.html", title="Both"
    )
    assert record.ok, f"{record.exception}: {record.message}"
    (folder,) = runs.glob("*-generator-profile")
    both = BothProfiled(open_run(folder))
    assert both.receipts == [FEW, FEW + RECEIPTS]
    assert [len(both.generator), len(both.service)] == [2, 2]
    generator, service = (per_receipt(profiles, both.receipts) for profiles in (both.generator, both.service))
    # a receipt is one row of samples to the one and one check to the other: the same lines for each
    assert _lines(generator, "write", "load/samples.py") == int(_lines(generator, "write", "load/samples.py")) > 0
    assert _lines(service, "first_failure", "standin/checks.py") == int(
        _lines(service, "first_failure", "standin/checks.py")
    )
    shown = [output["data"]["text/html"] for cell in nbformat.read(saved, as_version=4).cells
             for output in cell.get("outputs", []) if "text/html" in output.get("data", {})]  # fmt: skip
    frames = [html for html in shown if html.startswith('<iframe class="snakeviz"')]
    assert len(frames) == 2
    assert all("microseconds" in html and "1 s is" not in html for html in frames)
    assert (await profile_both(run_dir=folder)).run.path == folder


def _lines(found, name: str, file: str) -> float:  # type: ignore[no-untyped-def]  # a DataFrame
    rows = found[found["function"].str.startswith(f"{name}:") & found["file"].str.endswith(file)]
    return float(rows["lines"].sum())

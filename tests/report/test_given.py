"""A parameter that was left as it is does not win over a variable; one that was changed does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench
from tests.report.conftest import NOTEBOOKS
from workbench import report
from workbench.report.execute import run_notebook
from workbench.report.sweep_report import report_sweep
from workbench.settings import Settings


def test_what_was_left_gives_way_to_a_variable_and_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"value_grt": "0.001", "rate": None, "seed": 1, "name": "load", "runs_dir": ""}
    assert report.given({"name": "load"}, **left) == left  # nothing is set elsewhere
    monkeypatch.setenv("WORKBENCH_VALUE_GRT", "0.0005")
    Path("workbench.toml").write_text('rate = 300.0\nname = "mine"\nruns_dir = "there"\n')
    assert report.given({"name": "load"}, **left) == {"seed": 1}
    changed = {"value_grt": "0.002", "rate": 200.0, "seed": 2, "name": "sweep", "runs_dir": "here"}
    assert report.given({"name": "load"}, **changed) == changed


async def test_a_notebook_run_by_hand_takes_the_value_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_VALUE_GRT", "0.0005")
    monkeypatch.setenv("WORKBENCH_LIMIT_GRT", "0.3")
    given = {"num_receipts": 20, "rate": 200.0, "limit_grt": "0.5", "run_dir": str(Path("run").absolute())}
    record = await run_notebook(
        NOTEBOOKS / "single_load.ipynb", given, Path("n.ipynb"), Path("n.html"), title="by hand", timeout_s=200
    )
    assert record.ok, record.message
    settings = workbench.open_run("run").manifest["settings"]
    assert (settings["value_grt"], settings["limit_grt"]) == ("0.0005", "0.5")


async def test_an_option_that_names_a_default_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_VALUE_GRT", "0.0005")
    monkeypatch.setenv("WORKBENCH_SEED", "7")
    settings = Settings.resolve(value_grt="0.001", receipts="20", rate=200.0, pinpoint=False, runs_dir="runs")
    run = await report_sweep(settings, resume=None, config=None, say=lambda line: None)
    assert run.manifest["settings"]["value_grt"] == "0.001"
    assert run.manifest["settings"]["seed"] == 7
    assert json.loads((run.path / "manifest.json").read_text())["notebook"]["status"] == "ok"

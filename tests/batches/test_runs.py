"""A grid as a user runs it: killed in the middle and gone on with, a run that fails beside those that do not, and the
notebook of a batch by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import workbench
from tests.report.conftest import NOTEBOOKS
from workbench.batches.folder import Batch
from workbench.errors import RunFolderError
from workbench.report import run_notebook
from workbench.runs.atomic import write_json

pytestmark = pytest.mark.slow

BATCH = [sys.executable, "-m", "workbench.cli", "batch"]
PLAN = """
name = "grid"

[settings]
receipts = "10"
pinpoint = false

[axes]
rate = [100, 200]

[[include]]
rate = 200
service_command = "sh -c 'echo it is broken >&2; exit 3'"

[[include]]
rate = 400
"""


def until(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_grid_that_was_killed_is_gone_on_with_and_a_failing_run_ends_nothing(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    runs_dir = tmp_path / "runs"
    process = subprocess.Popen([*BATCH, str(plan), "--runs-dir", str(runs_dir)], stderr=subprocess.PIPE, text=True)
    until(process, runs_dir, "*-grid/*Z-2-200/samples/step-*")
    process.kill()
    _, said = process.communicate()
    assert "4 of 4 runs to come: about" in said
    assert "run 2 of 4, rate 200: about" in said
    (path,) = runs_dir.glob("*-grid")
    (first,) = path.glob("*Z-1-100")
    before = (first / "steps.parquet").stat().st_mtime_ns
    (path / "20260101T000000Z-4-400").mkdir()  # killed before the run had a manifest

    done = subprocess.run(
        [*BATCH, "--resume", str(path), "--json"], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode in (4, 5), done.stderr  # 4: a busy machine spoils latencies
    told = json.loads(done.stdout)["runs"]
    assert [run["run"][0] for run in told] == ["1", "2", "3", "4"]
    batch = Batch.open(path)
    table = batch.table
    assert table["state"].tolist() == ["finished", "finished", "failed", "finished"]
    assert table["rate"].tolist() == ["100", "200", "200", "400"]
    assert [bool(error) for error in table["error"]] == [False, False, True, False]
    assert "it is broken" in table["error"][2]
    assert (first / "steps.parquet").stat().st_mtime_ns == before
    assert len([folder for folder in path.iterdir() if folder.is_dir()]) == 4
    runs = batch.runs()
    good = [runs[name].steps["sent"].tolist() for name in table["run"][[0, 1, 3]]]
    assert good == [[10], [10], [10]]
    page = (path / "report.html").read_text()
    for folder in table["folder"]:
        assert f'href="{folder}/report.html"' in page
        assert f'href="{folder}/notebook.ipynb"' in page
    assert "it is broken" in page
    listed = workbench.runs("batch <> '' and state = 'finished'", runs_dir=runs_dir)
    assert set(listed["run"]) == set(table["folder"][[0, 1, 3]])


async def test_the_notebook_of_a_batch_makes_one_when_it_is_run_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_RUNS_DIR", str(tmp_path / "runs"))
    small = {"axes": {"rate": [200]}, "settings": {"receipts": "10", "pinpoint": False}}
    said: list[str] = []
    record = await run_notebook(
        NOTEBOOKS / "batch.ipynb", small, tmp_path / "made.ipynb", None, title="Batch", on_output=said.append
    )
    assert record.ok, record.message
    assert "run 1 of 1, rate 200: about" in "".join(said)
    (path,) = (tmp_path / "runs").glob("*-batch")
    assert Batch.open(path).table["state"].tolist() == ["finished"]
    assert (path / "report.html").is_file()
    assert (await workbench.batch(batch_dir=path)).path == path


def test_a_batch_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    facts = {"schema": 1, "created": "2026-01-01T00:00:00Z", "modes": ["none", "strace"], "skipped": {}, "errors": {}}
    write_json(tmp_path / "batch.json", {**facts, "settings": {"receipts": "10"}, "profiled_receipts": "5"})
    batch = Batch.open(tmp_path)
    assert batch.lines() == ["none: no run", "strace: no run"]
    assert batch.once_a_mode
    assert [dict(run.changes) for run in batch.planned] == [
        {"receipts": "10", "profiler": "none"},
        {"receipts": "5", "profiler": "strace"},
    ]
    write_json(tmp_path / "batch.json", {**facts, "schema": 9})
    with pytest.raises(RunFolderError, match="it reads schema 2 and older"):
        Batch.open(tmp_path)

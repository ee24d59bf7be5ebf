"""A grid as a user runs it: stopped in every way and gone on with, a run that fails beside those that do not, and the
notebook of a batch by itself."""

from __future__ import annotations

import json
import signal
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
receipts = "30"
pinpoint = false
warm_up_receipts = 0
paired = false

[axes]
rate = [20, 40]

[[include]]
rate = 40
service_command = "sh -c 'echo it is broken >&2; exit 3'"

[[include]]
rate = 100
profiler = "flamegraph"
receipts = "10,20,30"
"""


def until(process: subprocess.Popen[str], folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*BATCH, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_grid_goes_on_wherever_it_was_stopped_and_a_failing_run_ends_nothing(tmp_path: Path) -> None:
    """Interrupted in its first run, killed in the second, in the last before that had a manifest, and after a run's end
    before its report's."""
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    runs_dir = tmp_path / "runs"
    process = begun(str(plan), "--runs-dir", str(runs_dir))
    until(process, runs_dir, "*-grid/*Z-1-20/samples/step-001.*")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    (path,) = runs_dir.glob("*-grid")
    assert "4 of 4 runs to come: about" in said
    assert f"go on with `workbench batch --resume {path}`" in said

    process = begun("--resume", str(path))
    until(process, path, "*Z-2-40/samples/step-001.*")
    process.kill()
    _, said = process.communicate()
    assert "run 2 of 4, rate 40: about" in said
    (first,) = path.glob("*Z-1-20")
    before = (first / "steps.parquet").stat().st_mtime_ns
    workbench.open_run(first).folder.update_manifest(notebook=None)
    (first / "report.html").unlink()
    (path / "20260101T000000Z-4-100-flamegraph-10-20-30").mkdir()

    process = begun("--resume", str(path), "--json")
    out, said = process.communicate(timeout=500)
    assert process.returncode in (4, 5), said  # 4: a busy machine spoils latencies
    assert [run["run"][0] for run in json.loads(out)["runs"]] == ["1", "2", "3", "4"]
    batch = Batch.open(path)
    table = batch.table
    assert table["state"].tolist() == ["finished", "finished", "failed", "finished"]
    assert table["rate"].tolist() == ["20", "40", "40", "100"]
    assert [bool(error) for error in table["error"]] == [False, False, True, False]
    assert "it is broken" in table["error"][2]
    assert (first / "report.html").is_file()
    assert (first / "steps.parquet").stat().st_mtime_ns == before
    assert len([folder for folder in path.iterdir() if folder.is_dir()]) == 4
    runs = batch.runs()
    good = [runs[name].steps["sent"].tolist() for name in table["run"][[0, 1, 3]]]
    assert good == [[30], [30], [10, 20, 30]]
    assert runs[table["run"][3]].steps["accepted"].tolist() == [10, 20, 30]
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

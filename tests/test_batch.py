"""The main job as a user runs it: one sweep a profiler mode, one summary that opens without network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.report.browser import PHONE_PX, open_offline
from tests.report.conftest import NOTEBOOKS
from workbench.report import external_addresses, run_notebook
from workbench.runs.read import open_run
from workbench.standin.accounts import payer
from workbench.sweep.batch import Batch

BATCH = [sys.executable, "-m", "workbench.cli", "batch"]
SMALL = ["--limit-grt", "0.05", "--receipts", "20,40,60", "--profiled-receipts", "10,20,30", "--warm-up-receipts", "10"]
MODES = ("none", "callgrind", "strace")

needs_tools = pytest.mark.skipif(
    shutil.which("valgrind") is None or shutil.which("strace") is None, reason="valgrind or strace is not installed"
)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BATCH, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One batch, for all tests of its results."""
    folder = tmp_path_factory.mktemp("batch")
    return run(*SMALL, "--modes", ",".join(MODES), "--runs-dir", str(folder))


def report_of(done: subprocess.CompletedProcess[str]) -> Path:
    return Path(done.stdout.strip().splitlines()[-1])


@needs_tools
def test_each_mode_has_its_run_and_the_last_line_is_the_summary(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode in (0, 4), done.stderr  # 4: a busy machine spoils latencies
    assert report_of(done).is_file()
    batch = Batch.open(report_of(done).parent)
    assert batch.errors == {}
    runs = batch.runs()
    assert tuple(runs) == MODES
    assert all(run.manifest["state"] == "finished" and (run.path / "report.html").is_file() for run in runs.values())
    assert runs["none"].manifest["limit"]["observed_receipts"] == 50
    assert runs["callgrind"].steps.query("kind == 'step'")["receipts"].tolist() == [10, 20, 30]
    assert set(batch.profiles()) == {"callgrind", "strace"}


@needs_tools
async def test_the_summary_answers_the_questions_without_network(done: subprocess.CompletedProcess[str]) -> None:
    opened = await open_offline(report_of(done), width_px=PHONE_PX)
    assert opened.requests == []
    assert opened.complaints == []
    assert opened.charts_drawn == opened.charts_wanted >= 3
    assert opened.page_width_px <= opened.window_width_px
    assert "The limit was observed at receipt 50, as predicted (50)" in opened.text
    assert "By callgrind, a receipt costs" in opened.text
    assert "system calls" in opened.text
    assert "Under callgrind, with 10 receipts" in opened.text
    assert external_addresses(report_of(done).read_text()) == []


@needs_tools
def test_no_key_is_in_the_folder_of_a_batch(done: subprocess.CompletedProcess[str]) -> None:
    keys = [payer(index).key.reveal() for index in range(64)]
    for path in report_of(done).parent.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(key.encode() in data or bytes.fromhex(key) in data for key in keys), path


@needs_tools
@pytest.mark.parametrize("mode", ["none", "callgrind", "strace"])
async def test_the_notebook_of_a_profiled_sweep_shows_any_run(
    done: subprocess.CompletedProcess[str], tmp_path: Path, mode: str
) -> None:
    folder = Batch.open(report_of(done).parent).folder(mode)  # type: ignore[arg-type]
    html = tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "profiled_sweep.ipynb", {"run_dir": str(folder)}, tmp_path / "made.ipynb", html, title=mode
    )
    assert record.ok, record.message
    opened = await open_offline(html)
    assert opened.complaints == []
    assert opened.charts_drawn == opened.charts_wanted
    if mode == "none":
        assert "The service ran without a profiler" in opened.text
    else:
        assert opened.charts_wanted >= 2
        assert "step 2, 30 receipts" in opened.text  # the flame graphs' slider


@needs_tools
def test_a_batch_that_was_killed_goes_on(tmp_path: Path) -> None:
    options = ["--runs-dir", str(tmp_path), "--receipts", "20,40", "--limit-grt", "0.03", "--no-pinpoint"]
    process = subprocess.Popen(
        [*BATCH, *options, "--modes", "none,strace", "--profiled-receipts", "10,20,30"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while True:  # until the second run is at its steps
        found = list(tmp_path.glob("*/*-strace/samples/step-00*.parquet"))
        if found:
            break
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = tmp_path.glob("*-batch")
    first = Batch.open(folder).runs()["none"]
    before = (first.path / "steps.parquet").stat().st_mtime_ns
    resumed = run("--resume", str(folder))
    assert resumed.returncode in (0, 4), resumed.stderr
    batch = Batch.open(folder)
    assert batch.errors == {}
    assert (first.path / "steps.parquet").stat().st_mtime_ns == before
    assert len(list(folder.glob("*-strace"))) == 1
    steps = batch.runs()["strace"].steps
    assert steps[steps["kind"] == "step"]["step"].tolist() == [0, 1, 2]
    assert steps.loc[steps["kind"] == "step", "accepted"].tolist() == [10, 20, 30]


def test_what_is_not_installed_is_left_out_and_said(tmp_path: Path) -> None:
    """Of the default modes; one that was asked for by name is an error before anything is sent."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    options = ["--runs-dir", str(tmp_path / "runs"), "--receipts", "10", "--no-pinpoint", "--warm-up-receipts", "0"]
    done = run(*options, PATH=str(programs))
    assert done.returncode in (0, 4), done.stderr
    for mode in ("massif", "callgrind", "strace"):
        assert f"{mode}: left out" in done.stdout
    assert "apt-get install valgrind" in done.stdout
    assert set(Batch.open(report_of(done).parent).runs()) == {"none", "flamegraph"}
    refused = run(*options, "--modes", "none,strace", PATH=str(programs))
    assert refused.returncode == 5
    assert "strace is not installed" in refused.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modes", "none,gprof"], "there is no profiler mode 'gprof'"),
        (["--modes", ","], "no mode was given"),
        (["--profiled-receipts", "ten"], "cannot read 'ten'"),
        (["--resume", "/nowhere", "--modes", "none"], "--resume takes the batch's own settings"),
        (["--resume", "/nowhere"], "this is not the folder of a batch"),
    ],
)
def test_options_that_make_no_sense_are_named(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = run(*arguments, *([] if "--resume" in arguments else ["--runs-dir", str(tmp_path)]))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_tools
def test_a_run_that_fails_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """callgrind is given a flag that it does not know."""
    script = tmp_path / "bin" / "valgrind"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'valgrind: it is broken' >&2\nexit 7\n")
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    options = ["--runs-dir", str(tmp_path / "runs"), "--receipts", "10,20", "--no-pinpoint", "--warm-up-receipts", "0"]
    done = run(*options, "--modes", "callgrind,strace", PATH=path)
    assert done.returncode == 5, done.stderr
    batch = Batch.open(report_of(done).parent)
    assert "it is broken" in batch.errors["callgrind"]
    assert open_run(batch.folder("strace") or tmp_path).manifest["state"] == "finished"
    text = json.loads((batch.path / "notebook.ipynb").read_text())
    assert "it is broken" in json.dumps(text)

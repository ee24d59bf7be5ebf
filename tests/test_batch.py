"""The main job as a user runs it: one sweep a profiler mode, one summary that opens without network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.browser import PHONE_PX, headless_chromium, open_offline
from tests.report.conftest import NOTEBOOKS
from tests.report.pages import assert_readable
from workbench.batches.folder import Batch
from workbench.batches.modes import runs_of_modes
from workbench.cli import main
from workbench.errors import ToolError
from workbench.report import external_addresses, run_notebook
from workbench.report.batch import exit_code, of_runs, run_batch
from workbench.settings import Settings
from workbench.standin.accounts import payer

pytestmark = pytest.mark.slow

BATCH = [sys.executable, "-m", "workbench.cli", "batch"]
SMALL = ["--limit-grt", "0.05", "--receipts", "20,40,60", "--profiled-receipts", "10,20,30", "--warm-up-receipts", "10"]
MODES = ("none", "callgrind", "strace")

needs_tools = pytest.mark.skipif(
    shutil.which("valgrind") is None or shutil.which("strace") is None, reason="valgrind or strace is not installed"
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One batch, for all tests of its results."""
    folder = tmp_path_factory.mktemp("batch")
    command = [*BATCH, *SMALL, "--modes", ",".join(MODES), "--runs-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=560, check=False)


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


@pytest.mark.browser
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
    assert "The overhead of callgrind is not known: steps of 10 accepted receipts are too short" in opened.text
    assert external_addresses(report_of(done).read_text()) == []


@pytest.mark.browser
@needs_tools
async def test_the_summary_fits_every_screen_and_can_be_read_by_all(done: subprocess.CompletedProcess[str]) -> None:
    async with headless_chromium() as browser:
        await assert_readable(browser, report_of(done))


@needs_tools
def test_no_key_is_in_the_folder_of_a_batch(done: subprocess.CompletedProcess[str]) -> None:
    keys = [payer(index).key.reveal() for index in range(64)]
    for path in report_of(done).parent.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(key.encode() in data or bytes.fromhex(key) in data for key in keys), path


@pytest.mark.browser
@needs_tools
@pytest.mark.parametrize("mode", ["none", "strace"])
async def test_the_notebook_of_a_profiled_sweep_shows_any_run(
    done: subprocess.CompletedProcess[str], tmp_path: Path, mode: str
) -> None:
    folder = Batch.open(report_of(done).parent).folder(mode)
    html = tmp_path / "report.html"
    record = await run_notebook(
        NOTEBOOKS / "profiled_sweep.ipynb", {"run_dir": str(folder)}, tmp_path / "made.ipynb", html, title=mode
    )
    assert record.ok, record.message
    if mode == "none":
        assert "The service ran without a profiler" in html.read_text()
        return
    opened = await open_offline(html)
    assert opened.complaints == []
    assert opened.charts_drawn == opened.charts_wanted >= 2
    assert "step 3, 30 receipts" in opened.text  # the flame graphs' slider


async def test_what_is_missing_or_broken_is_said_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """strace is not installed, valgrind is and does not run."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    script = programs / "valgrind"
    script.write_text(f"#!{shutil.which('sh')}\necho 'valgrind: it is broken' >&2\nexit 7\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    settings = Settings.resolve(
        receipts="10", pinpoint=False, warm_up_receipts=0, paired=False, runs_dir=str(tmp_path / "runs"), name="batch"
    )
    said: list[str] = []

    async def batch_of(keep_going: bool) -> Batch:
        runs = runs_of_modes(("callgrind", "strace"))
        own = {run.name: settings.model_copy(update={**run.changes, "name": run.name}) for run in runs}
        planned = of_runs("batch", settings.runs_dir, runs, own)
        return await run_batch(planned, keep_going=keep_going, config=None, say=said.append)

    with pytest.raises(ToolError, match="strace is not installed"):
        await batch_of(False)
    assert not (tmp_path / "runs").exists()
    batch = await batch_of(True)
    assert "strace: left out, strace is not installed. Install strace: apt-get install strace" in said
    assert "valgrind: it is broken" in batch.errors["callgrind"]
    assert set(batch.runs()) == {"callgrind"}
    assert exit_code(batch) == 5
    broken, missing = batch.lines()
    assert "valgrind: it is broken" in broken
    assert missing == said[0]
    summary = json.dumps(json.loads((batch.path / "notebook.ipynb").read_text()))
    assert "it is broken" in summary
    assert "apt-get install strace" in summary


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
def test_options_that_make_no_sense_are_named(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", *arguments, *([] if "--resume" in arguments else ["--runs-dir", str(tmp_path)])]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []

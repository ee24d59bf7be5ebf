"""The main job as a user runs it: command, notebook, report in a browser without network; killed and resumed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.report.browser import PHONE_PX, open_offline
from tests.sweep.test_sweep import wait_for_progress
from workbench.report import external_addresses
from workbench.runs.read import open_run
from workbench.standin.accounts import payer

pytestmark = pytest.mark.slow

SWEEP = [sys.executable, "-m", "workbench.cli", "sweep", "--limit-grt", "0.1", "--rate", "300"]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One sweep by the command line, for all tests of its results."""
    folder = tmp_path_factory.mktemp("swept")
    return subprocess.run(
        [*SWEEP, "--receipts", "40,90,240", "--runs-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=folder,
    )


def report_of(swept: subprocess.CompletedProcess[str]) -> Path:
    return Path(swept.stdout.strip().splitlines()[-1])


def test_the_last_line_is_the_report_and_the_limit_is_named(swept):
    # 4: on a busy machine every step may be an invalid measurement; the limit stands all the same
    assert swept.returncode in (0, 4), swept.stderr
    assert report_of(swept).is_file()
    assert "Receipt 100 of 0.001 GRT is predicted to trigger denial" in swept.stdout
    assert "The limit was observed at receipt 100, as predicted (100)" in swept.stdout
    assert re.search(r"First refusal in step 3: receipt \d+ of 240, ", swept.stdout)
    assert re.search(r"Denial came \d+ receipts and \d+ ms after the limit was crossed", swept.stdout)
    assert "step 3: sending 240 receipts" in swept.stderr  # progress, while it ran
    assert "Traceback" not in swept.stderr


def test_the_manifest_keeps_the_notebooks_own_record(swept):
    run = open_run(report_of(swept).parent)
    assert run.manifest["state"] == "finished"
    record = run.manifest["notebook"]
    assert record["status"] == "ok"
    assert record["cells_executed"] == record["cells"]
    assert run.manifest["command"].startswith("workbench sweep --limit-grt 0.1")
    notebook = json.loads((run.path / "notebook.ipynb").read_text())
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code")


@pytest.mark.browser
@pytest.mark.parametrize("width_px", [1200, PHONE_PX])
async def test_the_report_opens_without_network(swept, width_px):
    opened = await open_offline(report_of(swept), width_px=width_px)
    assert opened.requests == []
    assert opened.complaints == []
    assert opened.charts_drawn == opened.charts_wanted >= 8
    assert opened.charts_without_traces == []
    assert opened.page_width_px <= opened.window_width_px
    assert "as predicted (100)" in opened.text
    assert "stand-in" in opened.text  # a report says what it measured


def test_the_report_has_no_external_address_and_no_key(swept):
    folder = report_of(swept).parent
    assert external_addresses(report_of(swept).read_text()) == []
    keys = [payer(index).key.reveal() for index in range(64)]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(key.encode() in data or bytes.fromhex(key) in data for key in keys), path


def test_a_report_can_be_made_again(swept):
    folder = report_of(swept).parent
    samples = {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()}
    (folder / "report.html").unlink()
    again = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "report", str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert again.returncode == swept.returncode, again.stderr
    assert (folder / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in (folder / "samples").iterdir()} == samples


def test_options_and_the_settings_file_reach_the_notebooks_kernel(tmp_path):
    """An option wins over a variable also where it is the default; keys come from the file that was named. No file of
    the run has a key or a password."""
    database = "postgresql://indexer:s3cret-word@127.0.0.1:1/indexer"
    account = payer(3)
    (tmp_path / "keys.toml").write_text(
        f'payers = ["0x{account.address.hex()}"]\nsigner_keys = ["{account.key.reveal()}"]\n'
    )
    done = subprocess.run(
        [
            *(*SWEEP, "--receipts", "20,30", "--mode", "cumulative", "--no-pinpoint", "--standin-payers", "64"),
            *("--config", str(tmp_path / "keys.toml"), "--runs-dir", str(tmp_path)),
            *("--database-url", f"{database}?password=s3cret-word", f"--postgres={database}"),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"WORKBENCH_STANDIN_PAYERS": "1"},
    )
    assert done.returncode in (0, 4), done.stderr
    run = open_run(report_of(done).parent)
    assert run.manifest["settings"]["standin_payers"] == 64
    assert set(run.steps["payer"].str.lower()) == {"0x" + account.address.hex()}
    for path in run.path.rglob("*"):
        assert not path.is_file() or account.key.reveal().encode() not in path.read_bytes(), path
        assert not path.is_file() or b"s3cret-word" not in path.read_bytes(), path
    assert run.manifest["settings"]["postgres"] == "postgresql://indexer:***@127.0.0.1:1/indexer"
    assert "--postgres=postgresql://indexer:***@127.0.0.1:1/indexer" in run.manifest["command"]


def test_a_second_sweep_at_the_same_time_is_exit_code_2(tmp_path):
    first = subprocess.Popen(
        [*SWEEP, "--receipts", "10000", "--rate", "100", "--runs-dir", str(tmp_path / "a"), "--no-pinpoint"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_progress(asyncio.run(folder_in(tmp_path / "a")), step=1)
        second = subprocess.run(
            [*SWEEP, "--receipts", "20", "--runs-dir", str(tmp_path / "a")],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert second.returncode == 2
    assert "another run is measuring in" in second.stderr.splitlines()[-1]


def test_a_stopped_sweep_is_resumed_with_the_same_steps(tmp_path):
    process = subprocess.Popen(
        [*SWEEP, "--receipts", "40,240,60", "--rate", "60", "--runs-dir", str(tmp_path), "--no-pinpoint"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        folder = asyncio.run(folder_in(tmp_path))
        wait_for_progress(folder, step=2)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == [], "a process of a stopped sweep went on"
    assert "Traceback" not in error
    assert f"--resume {folder}" in error
    resumed = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "sweep", "--resume", str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"WORKBENCH_RATE": "1"},  # the run's own settings count
    )
    assert resumed.returncode in (0, 4), resumed.stderr
    assert resumed.stdout.strip().splitlines()[-1] == str(folder / "report.html")
    run = open_run(folder)
    assert run.samples.groupby("step").size().to_dict() == {1: 40, 2: 240, 3: 60}
    assert not run.samples.duplicated(["step", "index"]).any()
    assert not run.samples["nonce"].duplicated().any()
    assert set(run.steps["rate_per_s"]) == {60.0}
    assert list((folder / "interrupted").glob("step-002-*.parquet"))


async def folder_in(runs_dir: Path) -> Path:
    """The run folder that appears in ``runs_dir``."""
    for _ in range(600):
        found = list(runs_dir.glob("*/events.jsonl"))
        if found:
            return found[0].parent
        await asyncio.sleep(0.1)
    raise AssertionError("no run folder was made")

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
from workbench.runs.alone import measuring
from workbench.runs.read import open_run
from workbench.standin.accounts import payer

pytestmark = pytest.mark.slow

SWEEP = [sys.executable, "-m", "workbench.cli", "sweep", "--limit-grt", "0.1"]
DATABASE = "postgresql://indexer:s3cret-word@127.0.0.1:1/indexer"
PAYERS = [payer(index) for index in range(3, 7)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One sweep by the command line, for all tests of its results: with keys from a file that is named, an option at
    its default and a variable that says otherwise, and addresses with a password."""
    folder = tmp_path_factory.mktemp("swept")
    addresses = [f"0x{account.address.hex()}" for account in PAYERS]
    keys = [account.key.reveal() for account in PAYERS]
    (folder / "keys.toml").write_text(f"payers = {json.dumps(addresses)}\nsigner_keys = {json.dumps(keys)}\n")
    return subprocess.run(
        [
            *(*SWEEP, "--rate", "300", "--receipts", "40,90,240", "--runs-dir", str(folder), "--standin-payers", "64"),
            *("--config", str(folder / "keys.toml")),
            *("--database-url", f"{DATABASE}?password=s3cret-word", f"--postgres={DATABASE}"),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=folder,
        env=os.environ | {"WORKBENCH_STANDIN_PAYERS": "1"},
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


def test_options_and_the_settings_file_reach_the_notebooks_kernel(swept):
    """An option wins over a variable also where it is the default; keys come from the file that was named."""
    run = open_run(report_of(swept).parent)
    assert run.manifest["settings"]["standin_payers"] == 64
    assert set(run.steps["payer"].str.lower()) == {f"0x{account.address.hex()}" for account in PAYERS}
    assert run.manifest["settings"]["postgres"] == "postgresql://indexer:***@127.0.0.1:1/indexer"
    assert "--postgres=postgresql://indexer:***@127.0.0.1:1/indexer" in run.manifest["command"]


def test_the_report_has_no_external_address_and_no_file_a_key_or_a_password(swept):
    folder = report_of(swept).parent
    assert external_addresses(report_of(swept).read_text()) == []
    keys = [payer(index).key.reveal() for index in range(64)]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(key.encode() in data or bytes.fromhex(key) in data for key in keys), path
            assert b"s3cret-word" not in data, path


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


async def test_a_sweep_beside_another_is_exit_code_2(tmp_path):
    async with measuring(tmp_path / "20260101T000000Z-first"):
        second = await asyncio.to_thread(
            subprocess.run,
            [*SWEEP, "--receipts", "20", "--runs-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert second.returncode == 2
    assert "another run is measuring in" in second.stderr.splitlines()[-1]


def test_a_stopped_sweep_is_resumed_with_the_same_steps(tmp_path):
    process = subprocess.Popen(
        [*SWEEP, "--receipts", "20,120,30", "--rate", "30", "--runs-dir", str(tmp_path), "--no-pinpoint"],
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
    assert run.samples.groupby("step").size().to_dict() == {1: 20, 2: 120, 3: 30}
    assert not run.samples.duplicated(["step", "index"]).any()
    assert not run.samples["nonce"].duplicated().any()
    assert set(run.steps["rate_per_s"]) == {30.0}
    assert list((folder / "interrupted").glob("step-002-*.parquet"))


async def folder_in(runs_dir: Path) -> Path:
    """The run folder that appears in ``runs_dir``."""
    for _ in range(600):
        found = list(runs_dir.glob("*/events.jsonl"))
        if found:
            return found[0].parent
        await asyncio.sleep(0.1)
    raise AssertionError("no run folder was made")

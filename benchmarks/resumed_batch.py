"""A grid of 12 sweeps of the stand-in, killed twice with kill -9 during a run and resumed.

Checks: every planned run exists once and has finished, with notebook and report; no run that had finished before a kill
was changed; each step has its receipts once; the summary links all runs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import WORKBENCH
from workbench.batches.folder import Batch
from workbench.runs.folder import RunFolder
from workbench.runs.read import open_run

PLAN = """
name = "grid"
repeats = 2

[settings]
limit_grt = "0.05"
pinpoint = false

[axes]
rate = [100, 200, 400]
receipts = ["20,40", "30,60"]
"""
RUNS = 12
RECEIPTS = {"20,40": [20, 40], "30,60": [30, 60]}
_POLL_S = 0.05
_LONGEST_S = 3600.0


def killed(command: Sequence[str | Path], runs_dir: Path, number: int) -> None:
    """Start the batch and kill it as soon as run ``number`` is in one of its steps."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + _LONGEST_S
    while not list(runs_dir.glob(f"*-grid/*Z-{number:02d}-*/samples/step-*")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the batch ended with {process.poll()} before run {number}")
        time.sleep(_POLL_S)
    process.kill()
    process.wait()


def finished(batch: Batch) -> dict[str, int]:
    """The runs that have finished with their reports, and when their steps were last written."""
    return {
        name: (run.path / "steps.parquet").stat().st_mtime_ns
        for name, run in batch.runs().items()
        if run.manifest["state"] == "finished" and (run.path / "report.html").is_file()
    }


def wrong(batch: Batch) -> list[str]:
    """What is wrong at the end."""
    found = []
    if len(batch.planned) != RUNS or batch.errors:
        found.append(f"{len(batch.planned)} runs are planned, and these ended in an error: {batch.errors}")
    page = (batch.path / "report.html").read_text(encoding="utf-8")
    folders = [path for path in batch.path.iterdir() if path.is_dir()]
    if len(folders) != RUNS:
        found.append(f"there are {len(folders)} folders of runs")
    for planned in batch.planned:
        folder = batch.folder(planned.name)
        if folder is None or not RunFolder(folder).exists() or open_run(folder).manifest["state"] != "finished":
            found.append(f"{planned.name} has not finished")
            continue
        run = open_run(folder)
        sent = run.steps.sort_values("step")["sent"].tolist()
        rows = [len(run.samples_of(step)) for step in range(len(sent))]
        wanted = RECEIPTS[planned.axes["receipts"]]
        if not sent == rows == wanted:
            found.append(f"{planned.name} sent {sent} and has samples of {rows}, {wanted} were planned")
        if f'href="{folder.name}/report.html"' not in page or f'href="{folder.name}/notebook.ipynb"' not in page:
            found.append(f"{planned.name} is not linked")
    return found


def main() -> int:
    """Run, kill, resume, check; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kill", type=int, nargs="*", default=[4, 9], help="in these runs, from 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workbench-grid-") as folder:
        plan, runs_dir = Path(folder) / "plan.toml", Path(folder) / "runs"
        plan.write_text(PLAN)
        command: list[str | Path] = [WORKBENCH, "batch", plan, "--runs-dir", runs_dir]
        before: dict[str, int] = {}
        began = time.monotonic()
        for number in options.kill:
            killed(command, runs_dir, number)
            batch = Batch.open(next(runs_dir.glob("*-grid")))
            touched = [name for name, when in before.items() if finished(batch).get(name) != when]
            before = finished(batch)
            print(f"killed in run {number}: {len(before)} of {RUNS} finished, touched again: {touched or 'none'}")
            command = [WORKBENCH, "batch", "--resume", batch.path]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        after = finished(batch)
        problems = wrong(batch) + [f"{name} was touched again" for name in before if after[name] != before[name]]
        print(batch.table.drop(columns=["error", "folder"]).to_string(index=False))
        print(f"exit code {done.returncode}, {time.monotonic() - began:.0f} s")
        print(*problems or ["every run exists once and is linked"], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs that are gone on with after worse than a kill: killed while rows are put aside, or with a clock that was set."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import workbench
from workbench import keyring
from workbench.load.samples import COLUMNS, SampleBuffer
from workbench.runs.read import Run


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep, of which each test takes a copy."""
    folder = tmp_path_factory.mktemp("swept") / "20260101T000000Z-sweep"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        keyring.hold(None)  # those of a test before
        asyncio.run(
            workbench.sweep(receipts="20,30", rate=2000.0, limit_grt="0.1", pinpoint=False, run_dir=str(folder))
        )
    return folder


@pytest.fixture
def run(swept: Path, tmp_path: Path) -> Run:
    """A copy of it, to be damaged and gone on with."""
    return workbench.open_run(shutil.copytree(swept, tmp_path / swept.name))


class Killed(BaseException):
    """What stands for a kill: nothing of ours answers it."""


def cut_off_last_step(run: Path) -> tuple[int, int]:
    """Make a finished run one that was killed in its last step, with its rows live; the step and its rows."""
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"state": "running"}))
    steps = pd.read_parquet(run / "steps.parquet")
    last = int(steps["step"].max())
    steps[steps["step"] < last].to_parquet(run / "steps.parquet", index=False)
    path = run / "samples" / f"step-{last:03d}.parquet"
    rows = pq.read_table(path).to_pandas()
    live = SampleBuffer.create(path.with_suffix(".live"), len(rows) + 7)
    for name in COLUMNS:
        values = rows["outcome"].cat.codes if name == "outcome" else rows[name]
        live.rows[: len(rows), COLUMNS.index(name)] = values.to_numpy()
    path.unlink()
    return last, len(rows)


async def test_killed_while_rows_are_put_aside_they_are_there_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    step, rows = cut_off_last_step(run.path)
    unlink: Callable[..., None] = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".live":
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            await workbench.sweep(resume=run.path)
    done = await workbench.sweep(resume=run.path)
    assert done.samples.groupby("step").size().tolist() == [20, 30]
    kept = [pd.read_parquet(path) for path in (run.path / "interrupted").iterdir()]
    assert [(int(part["step"].iloc[0]), len(part)) for part in kept] == [(step, rows)]


@pytest.mark.parametrize("set_by_s", [-7200, 7200])
async def test_time_goes_on_though_the_clock_was_set(run: Run, set_by_s: int) -> None:
    cut_off_last_step(run.path)
    before = run.series["t_s"].min(), run.series["t_s"].max()
    manifest = json.loads((run.path / "manifest.json").read_text())
    manifest["clock"]["sessions"][0]["wall_ns"] -= set_by_s * 10**9  # what it showed before it was set
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    done = await workbench.sweep(resume=run.path)
    times = done.series.sort_values("step")["t_s"]
    assert times.is_monotonic_increasing
    assert times.iloc[0] == before[0]
    assert times.max() > before[1]
    watched = done.watch["t_s"]
    assert watched.is_monotonic_increasing


async def test_the_network_of_a_run_that_was_killed_after_its_last_step_leaves_no_data(
    run: Run, tmp_path: Path
) -> None:
    """Nothing is to be measured any more, so the network is not started again: its data are deleted all the same."""
    networks = tmp_path / "networks"
    data = networks / run.path.name / "postgres"
    data.mkdir(parents=True)
    path = run.path / "manifest.json"
    manifest = json.loads(path.read_text())
    network = {"network": True, "network_folder": str(networks), "service_command": "true"}
    path.write_text(json.dumps(manifest | {"state": "failed", "settings": manifest["settings"] | network}))
    done = await workbench.sweep(resume=run.path)
    assert done.state == "finished"
    assert list(networks.glob("2*")) == []

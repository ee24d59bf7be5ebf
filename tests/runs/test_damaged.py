"""Run folders that were damaged: what can be shown of them is, and what cannot is refused by file and fault."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

import workbench
from tests.runs.damage import came_of, damages
from workbench.cli import main
from workbench.errors import RunFolderError
from workbench.report.display import verdict_box

pytestmark = pytest.mark.slow

SAMPLE = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep past the limit."""
    folder = tmp_path_factory.mktemp("damaged") / "run"
    asyncio.run(workbench.sweep(receipts="20,60", limit_grt="0.04", rate=2000.0, run_dir=folder))
    return folder


def test_any_damage_is_shown_or_named(run: Path, tmp_path: Path) -> None:
    every = list(damages(run))
    assert len(every) > 300
    for name, damage in random.Random(1).sample(every, SAMPLE):
        try:
            came_of(run, tmp_path / "run", damage)
        except Exception as error:
            raise AssertionError(f"{name}: {error!r}") from error


def test_what_is_missing_stands_beside_the_verdict(run: Path, tmp_path: Path) -> None:
    assert workbench.open_run(run).missing == ()
    came_of(run, tmp_path / "run", lambda copy: (copy / "samples" / "step-001.parquet").unlink())
    damaged = workbench.open_run(tmp_path / "run")
    assert damaged.missing == ("samples/step-001.parquet",)
    assert "Missing from the run's folder, so not shown: samples/step-001.parquet." in repr(verdict_box(damaged))


def test_a_run_that_was_killed_is_not_running(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def kill(copy: Path) -> None:
        path = copy / "manifest.json"
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({**manifest, "state": "running", "verdict": None}))

    came_of(run, tmp_path / "run", kill)
    assert workbench.open_run(tmp_path / "run").state == "interrupted"
    assert main(["report", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "the run is interrupted" in said
    assert f"`workbench sweep --resume {tmp_path / 'run'}`" in said


@pytest.mark.parametrize("key", ["state", "settings"])
async def test_a_run_without_what_going_on_needs_says_so(run: Path, tmp_path: Path, key: str) -> None:
    def drop(copy: Path) -> None:
        path = copy / "manifest.json"
        manifest = json.loads(path.read_text()) | {"state": "interrupted"}
        path.write_text(json.dumps({name: value for name, value in manifest.items() if name != key}))

    came_of(run, tmp_path / "run", drop)
    with pytest.raises(RunFolderError, match=rf"manifest\.json: lacks '{key}'"):
        await workbench.sweep(resume=tmp_path / "run")

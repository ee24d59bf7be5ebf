"""``workbench calibrate --aa`` against the stand-in: equal loads, a floor that is kept and used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from workbench.cli import main
from workbench.runs.read import open_run
from workbench.sweep.noise_known import noise_floors_of

ARGUMENTS = ("calibrate", "--aa", "-n", "60", "--concurrency", "2", "--runs-dir", "runs")


def test_pairs_of_equal_loads_give_a_floor_that_later_runs_know(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([*ARGUMENTS, "--pairs", "3", "--json"])
    found = json.loads(capsys.readouterr().out)
    run = open_run(Path(found["run"]))
    assert run.steps["repeat"].tolist() == list(range(1, 7))
    assert set(run.steps["receipts"]) == {60}
    if code == 4:  # a busy machine: no pair was valid, and nothing is kept
        assert not Path("runs/noise.json").exists()
        return
    assert code == 0
    floors = noise_floors_of(run)
    throughput = floors["throughput_per_s"]
    assert len(throughput.differences_pct) == throughput.pairs <= 3
    assert math.isnan(floors["response_p99_ms"].floor_pct)  # 60 receipts carry no p99
    assert throughput.floor_pct > 0
    Path("runs/noise.json").write_text("not JSON")
    assert noise_floors_of(run) == {}


@pytest.mark.parametrize(("extra", "words"), [(("--pairs", "2"), "must be from 3 to 50"), (("--fail-if", "a > 1"), "")])
def test_bad_options_are_one_line(extra: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, *extra]) == 2
    assert words in capsys.readouterr().err

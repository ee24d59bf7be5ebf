"""A/A: the noise floor holds what equal loads show, no matter which is called A, and says where it is not known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.thresholds.made import row
from workbench.analysis.noise import Floor, noise_floors, sentence
from workbench.calibration.noise_stored import FILE, keep_noise, noise_of
from workbench.errors import RunFolderError
from workbench.runs.atomic import to_json
from workbench.thresholds.figures import Figure
from workbench.thresholds.judge import judge
from workbench.thresholds.parse import parse_threshold

MACHINE = {"system": "Linux", "processor": "x", "cores": 2, "usable_cores": 2, "hypervisor": ""}
LOAD = {"receipts": "500", "rate": 200.0}


def p95(values: list[float], **changes: object) -> Floor:
    rows = [row(number, response_p95_ms=value, **changes) for number, value in enumerate(values)]
    return next(floor for floor in noise_floors(rows) if floor.figure == "response_p95_ms")


def test_the_floor_holds_19_of_20_differences_of_equal_loads() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        floor = p95(list(40 * np.exp(rng.normal(0, 0.05, 20)))).floor_pct
        one, other = 40 * np.exp(rng.normal(0, 0.05, 2))
        held.append(abs(200 * (one - other) / (one + other)) <= floor)
    assert np.mean(held) >= 0.93


def test_pairs_alternate_so_that_a_drift_is_no_bias() -> None:
    drifting = p95([40.0 + number for number in range(20)])
    assert abs(drifting.bias_pct) < 0.5
    assert drifting.pairs == 10
    assert drifting.differences_pct[0] > 0 > drifting.differences_pct[1]


def test_what_is_not_known_is_said() -> None:
    few = p95([40.0] * 4)
    assert math.isnan(few.floor_pct)
    assert sentence(few) == "response_p95_ms: not known: 2 valid pairs, at least 3 are needed"
    assert p95([40.0] * 20, verdict="INVALID").pairs == 0
    assert p95([math.nan] * 20).pairs == 0
    assert sentence(p95([40.0] * 20)) == "response_p95_ms: differences below 0.0 % are noise (10 pairs)"
    again = Floor.from_json(json.loads(to_json(few.to_json())))
    assert (again.pairs, math.isnan(again.floor_pct)) == (2, True)


def facts(**changes: object) -> dict[str, object]:
    return {"identity": MACHINE, "target": "stand-in", "load": LOAD, "floors": [{"figure": "a"}], **changes}


def test_floors_are_kept_by_machine_target_and_load(tmp_path: Path) -> None:
    keep_noise(tmp_path, facts())
    keep_noise(tmp_path, facts(target="other", floors=[{"figure": "b"}]))
    keep_noise(tmp_path, facts(load={"receipts": "9"}, floors=[{"figure": "c"}]))
    keep_noise(tmp_path, facts(floors=[{"figure": "d"}]))  # in place of the first
    assert len(json.loads((tmp_path / FILE).read_text())["noise"]) == 3
    assert noise_of(tmp_path, MACHINE, "stand-in", LOAD) == [{"figure": "d"}]
    assert noise_of(tmp_path / "batch", MACHINE, "other", LOAD) == [{"figure": "b"}]
    assert noise_of(tmp_path, MACHINE, "stand-in", {"receipts": "77"}) == [{"figure": "d"}]
    assert noise_of(tmp_path, {**MACHINE, "cores": 64}, "stand-in", LOAD) == []
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(RunFolderError, match="calibrate --aa"):
        keep_noise(tmp_path, facts())


def test_a_bound_within_the_noise_is_said() -> None:
    threshold = parse_threshold("response_p95_ms > 41")
    near = judge(threshold, [Figure(40.0, step=0)], 5.0)
    assert near.verdict == "PASS"
    assert near.line.endswith("equal loads differ by up to 5.0 %, so the bound is within the noise")
    for judged in (judge(threshold, [Figure(30.0, step=0)], 5.0), judge(threshold, [Figure(40.0, step=0)])):
        assert "noise" not in judged.line

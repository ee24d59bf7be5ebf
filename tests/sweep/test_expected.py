"""Steps beyond what the machine was calibrated for are warned of before they run; the warning stays with the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import workbench
from tests.calibration.made import calibration, offer
from workbench.calibration.calibration import Calibration
from workbench.calibration.identity import identity
from workbench.calibration.stored import keep
from workbench.cli import main
from workbench.report import provenance, verdict_box
from workbench.runs.folder import utc_now
from workbench.runs.machine import machine, versions
from workbench.runs.read import open_run

WORDS = "100/s asked; this machine sends up to 50/s in time with 1 process"


def of_this_machine(**changes) -> Calibration:
    facts = {**identity(machine(), versions()), **changes}
    return calibration(offer(1, 50.0, made=utc_now()), offer(2, 150.0, made=utc_now()), identity=facts)


def kinds(run: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in (run / "events.jsonl").read_text().splitlines()]


def test_a_load_beyond_the_calibration_is_warned_of_before_it_runs(tmp_path, capsys):
    keep(tmp_path, of_this_machine())
    main(["load", "-n", "30", "--rate", "100", "--runs-dir", str(tmp_path)])
    (path,) = tmp_path.glob("*-load")
    errors = capsys.readouterr().err
    assert f"warning: {WORDS}" in errors
    assert "use --processes 2 or lower the rate" in errors
    assert errors.index("warning:") < errors.index("sending")
    assert kinds(path).index("beyond_calibration") < kinds(path).index("step_started")
    run = open_run(path)
    assert run.manifest["calibration"]["offers"][0]["rate_per_s"] == 50
    assert WORDS in repr(verdict_box(run))
    assert "Calibration" in provenance(run)._repr_html_()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"rate": 40.0}, "known"),
        ({"concurrency": 2}, "known"),
        ({"rate": 100.0, "processes": 2}, "known"),
        ({"arrivals": "ramp:20:100:1s"}, "beyond_calibration"),
    ],
)
async def test_the_highest_rate_of_the_plan_counts(tmp_path, parameters, expected):
    keep(tmp_path / "runs", of_this_machine())
    result = await workbench.load(num_receipts=20, runs_dir=tmp_path / "runs", **parameters)
    said = [kind for kind in kinds(result.run.path) if "calibration" in kind]
    assert said == ([] if expected == "known" else [expected])
    assert len(result.run.manifest["calibration"]["offers"]) == 2


async def test_a_sweep_is_warned_and_one_of_another_machine_is_not_used(tmp_path):
    said: list[tuple[str, str]] = []

    def note(kind: str, facts: dict[str, object]) -> None:
        if "calibration" in kind:
            said.append((kind, str(facts["why"])))

    for name, changes in (("one", {}), ("two", {"processor": "another"})):
        keep(tmp_path / name, of_this_machine(**changes))
        await workbench.sweep(receipts="20", rate=100, pinpoint=False, runs_dir=tmp_path / name, on_event=note)
    assert [kind for kind, _ in said] == ["beyond_calibration", "calibration_not_used"]
    assert said[0][1].startswith(WORDS)
    assert said[1][1].startswith("it was made on another machine (another")

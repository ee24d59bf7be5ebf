"""The course of a profiled sweep: what ends it, what is done again, what is said of its windows and its pair."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench
from workbench.analysis import step_row as steps_table
from workbench.profilers.windows.record import windows_in
from workbench.runs.folder import RunFolder
from workbench.runs.read import open_run
from workbench.settings import Settings
from workbench.sweep.record import Record
from workbench.sweep.run_profiles import RunProfiles
from workbench.sweep.steps import parse_steps


def row(step: int, kind: str = "step", **values: object) -> steps_table.StepRow:
    base = dict.fromkeys(steps_table.StepRow.__dataclass_fields__, math.nan)
    texts = {"loop": "closed", "payer": "", "denied_after_settle": "no", "verdict": "PASS", "reason": "", "failure": ""}
    counts = {"receipts": 200, "sent": 200, "accepted": 200, "denied": 0, "failed": 0, "paid": 200}
    return steps_table.StepRow(**{**base, **texts, **counts, "step": step, "kind": kind, "profiler": "none", **values})  # type: ignore[arg-type]


def pair(folder: Path, profiled: dict[str, object], plain: dict[str, object]) -> RunProfiles:
    """A run of one profiled step and the one paired with it."""
    rows = [
        row(2, "paired", throughput_per_s=400.0, **plain),
        row(0, profiler="strace", throughput_per_s=40.0, **profiled),
    ]
    run = RunFolder.at(folder)
    run.update_manifest(profiler={"mode": "strace"}, state="finished")
    steps_table.to_frame(rows).to_parquet(folder / "steps.parquet", index=False)
    return RunProfiles(open_run(folder))


def test_what_the_profiler_costs_is_told_by_cpu_time_and_throughput(tmp_path: Path) -> None:
    found = pair(tmp_path, {"service_cpu_s": 5.0}, {"service_cpu_s": 0.2}).overhead()
    assert found is not None
    assert (found.cpu, found.throughput) == (25.0, 0.1)
    assert "25 times the CPU per receipt" in found.sentence


@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_with_denials_is_refused(tmp_path: Path, side: int) -> None:
    sides: list[dict[str, object]] = [{"service_cpu_s": 5.0}, {"service_cpu_s": 0.2}]
    sides[side] |= {"accepted": 150, "denied": 50}
    found = pair(tmp_path, *sides).overhead()
    assert found is not None
    assert math.isnan(found.cpu)
    assert math.isnan(found.throughput)
    assert found.sentence.startswith("The overhead of strace is not known: receipts were denied")


def test_a_pair_that_is_too_short_says_so_and_nothing_else(tmp_path: Path) -> None:
    few = {"receipts": 20, "accepted": 20}
    for number, cpu_s in enumerate(([2.0, 0.05], [0.05, 2.0], [math.nan, 2.0], [2.0, math.nan])):
        profiled, plain = ({**few, "service_cpu_s": seconds} for seconds in cpu_s)
        found = pair(tmp_path / str(number), profiled, plain).overhead()
        assert found is not None
        assert math.isnan(found.throughput)
        assert "20 accepted receipts are too short" in found.sentence
    # what takes long is told for all that
    long = pair(tmp_path / "long", {**few, "service_cpu_s": 6.0}, {**few, "service_cpu_s": 0.6}).overhead()
    assert long is not None
    assert long.cpu == pytest.approx(10)


def test_all_that_the_service_was_sent_before_a_step_counts(tmp_path: Path) -> None:
    """Also what a killed session cut off, and a warm-up that was done again: the database keeps them."""
    folder = RunFolder.at(tmp_path / "run")
    settings = Settings.resolve(receipts="20,30")

    def begun() -> Record:
        record = Record(settings, folder, None)
        record.begin(parse_steps(settings.receipts), [1.0, 1.0], None)
        return record

    def rows(count: int) -> pd.DataFrame:
        times = dict.fromkeys(("intended_ns", "sent_ns", "first_byte_ns", "done_ns"), 1)
        return pd.DataFrame({"index": range(count), **times, "payer": "0x1", "status": 200, "outcome": "ok"})

    first = begun()
    assert (first.session, first.sent_before()) == (0, 0)
    for number, kind, sent in ((5, "warm_up", 10), (1, "step", 20)):
        first.rows.append(row(number, kind, sent=sent))
        rows(sent).to_parquet(folder.samples(number))
    rows(7).to_parquet(folder.interrupted_samples(2))
    assert first.sent_before() == 10 + 20 + 7
    steps_table.to_frame(first.rows).to_parquet(folder.path / "steps.parquet", index=False)
    again = begun()
    assert (again.session, again.sent_before()) == (1, 37)
    again.drop(5)
    again.rows.append(row(5, "warm_up", sent=10))
    assert again.sent_before() == 47


def events(run: workbench.Run) -> list[str]:
    return [json.loads(line)["kind"] for line in (run.path / "events.jsonl").read_text().splitlines()]


async def test_only_steps_end_a_sweep_and_a_run_that_has_them_all_is_only_concluded() -> None:
    run = await workbench.sweep(
        profiler="flamegraph",
        receipts="30,5",
        limit_grt="0.02",
        stop_after_denial=True,
        warm_up_receipts=0,
        runs_dir="runs",
    )
    # the paired step was denied first, and ended nothing; the second one is left out
    assert run.steps["kind"].tolist() == ["paired", "step"]
    assert run.steps["denied_after_settle"].tolist() == ["yes", "yes"]
    window, idle = windows_in(run.path / "profiles")
    assert (window.notes, window.facts["session"]) == ((), 0)
    assert (window.name, idle.name) == ("step-001", "idle")
    # as long as the shortest step, in which a receipt was sent
    step_s, idle_s = ((cut.ended_ns - cut.started_ns) / 1e9 for cut in (window, idle))
    assert 0.9 * step_s < idle_s < 1.1 * step_s + 1
    manifest = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps(manifest | {"state": "running"}))
    before = len(events(run))
    done = await workbench.sweep(resume=run.path)
    assert done.manifest["state"] == "finished"
    assert events(done)[before:] == ["run_resumed", "run_finished"]
    assert len(done.steps) == 2


async def test_a_window_that_was_cut_while_the_service_worked_says_so() -> None:
    """Quiet takes half a second to be seen, which it is not given here."""
    run = await workbench.sweep(
        profiler="flamegraph", receipts="5", paired=False, warm_up_receipts=0, settle_timeout_s=0.01, runs_dir="runs"
    )
    assert RunProfiles(run).notes() == [
        "The window of step 1 ended while the service was still working: some of its cost may be missing"
    ]


async def test_a_run_that_was_cut_off_in_its_idle_window_gets_it_when_it_is_gone_on_with() -> None:
    def stop(kind: str, facts: dict[str, Any]) -> None:
        if kind == "idle_window":
            raise asyncio.CancelledError

    given: dict[str, Any] = {"profiler": "flamegraph", "receipts": "20", "paired": False, "warm_up_receipts": 0}
    with pytest.raises(asyncio.CancelledError):
        await workbench.sweep(run_dir="cut", on_event=stop, **given)
    assert {window.name for window in windows_in(Path("cut/profiles"))} == {"step-001"}
    run = await workbench.sweep(resume="cut")
    assert {window.name for window in windows_in(run.path / "profiles")} == {"step-001", "idle"}
    assert run.steps["kind"].tolist() == ["step"]
    before = len(events(run))
    assert len(events(await workbench.sweep(resume="cut"))) == before

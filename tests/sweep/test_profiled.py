"""Sweeps under each profiler, with real tools and a planted stand-in: windows, costs, growth, leaks, calls."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from pathlib import Path

import psutil
import pytest

import workbench
from tests.sweep.plants import Plants
from workbench.analysis.answers import answers
from workbench.analysis.costs import cost_by_step, cost_per_receipt
from workbench.errors import SettingsError
from workbench.profilers.windows.read import window_profiles
from workbench.profiles.read import read_profile
from workbench.profiles.views.syscalls import call_table
from workbench.runs.read import Run, read_parquet
from workbench.sweep.cost_table import COSTS
from workbench.sweep.run_profiles import RunProfiles

pytestmark = pytest.mark.slow

LEAK_BYTES = 4096
EQUAL_WITHIN = 0.03


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiled")


def sweep(folder: Path, plants: Plants, mode: str, receipts: str, **parameters: object) -> Run:
    """A sweep of a planted stand-in, one receipt in flight: batches are then alike in all steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in plants.environment(folder).items():
            patch.setenv(name, value)
        settings = {"concurrency": 1, "timeout_s": 60.0, "warm_up_receipts": 60, **parameters}
        return asyncio.run(
            workbench.sweep(profiler=mode, receipts=receipts, runs_dir=str(folder), name=mode, **settings)
        )


def nothing_runs(run: Run) -> bool:
    """Whether no process works in the run's folder any more."""
    mine = str(run.path.resolve())
    return not [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(mine in part for part in process.info["cmdline"] or [])
    ]


@pytest.fixture(scope="module")
def counted(folder: Path) -> RunProfiles:
    return RunProfiles(sweep(folder, Plants(scan=200), "callgrind", "40,40,80,160"))


@needs("valgrind")
def test_every_step_has_its_window_and_its_costs(counted: RunProfiles) -> None:
    run = counted.run
    assert run.verdict == "PASS", run.manifest["verdict"]
    assert [window.name for window in counted.windows] == ["step-001", "step-002", "step-003", "step-004"]
    assert run.steps["kind"].tolist() == ["paired", "warm_up", "step", "step", "step", "step"]
    assert run.steps["profiler"].tolist() == ["none", *["callgrind"] * 5]
    assert counted.services == ["standin"]
    for window, profile in zip(counted.windows, window_profiles(counted.windows), strict=True):
        assert window.ended_ns > window.started_ns
        step = int(window.name[-3:])
        rows = counted.costs[(counted.costs["step"] == step) & (counted.costs["metric"] == "Ir")]
        for by in ("function", "file", "crate", "whole"):
            assert rows.loc[rows["by"] == by, "self"].sum() == profile.total("Ir")
    assert nothing_runs(run)


@needs("valgrind")
def test_what_is_outside_windows_is_not_counted(counted: RunProfiles) -> None:
    """Counting is off at the start and between windows: what callgrind writes at the end holds next to nothing."""
    (rest,) = (counted.run.path / "profiles").glob("standin/callgrind/callgrind.out")
    inside = sum(profile.total("Ir") for profile in window_profiles(counted.windows))
    assert read_profile(rest).total("Ir") < 0.001 * inside


@needs("valgrind")
def test_equal_steps_cost_the_same(counted: RunProfiles) -> None:
    whole = cost_by_step(counted.costs, "Ir", "whole").set_index("step")["cost_per_receipt"]
    assert whole[1] == pytest.approx(whole[2], rel=EQUAL_WITHIN)
    # code that only depends on the receipts costs the same to the instruction
    scan = cost_by_step(counted.costs, "Ir")
    scan = scan[scan["name"] == "planted_scan"].set_index("step")["cost"]
    assert scan[1] == scan[2] > 0


@needs("valgrind")
def test_the_planted_quadratic_function_is_found_and_named(counted: RunProfiles) -> None:
    growth = counted.growth("standin", "Ir")
    assert growth.flagged()["name"].tolist() == ["planted_scan"]
    row = growth.flagged().iloc[0]
    # 200 turns a receipt for each of its payer's so far: n (n + 1) / 2 of them in a step of n
    scan = cost_by_step(counted.costs, "Ir")
    cost = scan[scan["name"] == "planted_scan"].set_index("step")["cost"]
    assert cost[4] / cost[3] == pytest.approx((160 * 161) / (80 * 81), rel=0.01)
    assert row["rise_pct"] > 100
    said = answers(counted.of_service("standin"))
    assert any("planted_scan grows faster than the load" in text for texts in said.values() for text in texts)


@needs("valgrind")
def test_the_profiler_s_cost_is_told_from_the_pair(counted: RunProfiles) -> None:
    overhead = counted.overhead()
    assert overhead is not None
    # of 40 receipts each: too short a step to say more than that
    assert "The overhead of callgrind is not known: steps of 40 accepted receipts" in overhead.sentence
    cpu_s = counted.run.steps.set_index("step")["service_cpu_s"]
    paired = counted.run.steps.query("kind == 'paired'")["step"].item()
    assert cpu_s[1] > 2 * cpu_s[paired] > 0
    assert cpu_s[4] > cpu_s[1]


@pytest.fixture(scope="module")
def traced(folder: Path) -> RunProfiles:
    thresholds = ["system_calls_per_receipt > 2", "system_calls_per_receipt[receipts=30] < 2", "failed > 0"]
    return RunProfiles(sweep(folder, Plants(calls=2), "strace", "30,60,90", fail_if=thresholds))


@needs("strace")
def test_the_planted_system_calls_are_counted_exactly(traced: RunProfiles) -> None:
    calls = cost_by_step(traced.costs, "calls")
    planted = calls[calls["name"] == "getppid"].set_index("step")
    assert planted["cost"].tolist() == [60, 120, 180]
    assert planted["cost_per_receipt"].tolist() == [2, 2, 2]


@needs("strace")
def test_thresholds_are_held_against_what_the_profiler_counted(traced: RunProfiles) -> None:
    dear, cheap, failed = traced.run.manifest["thresholds"]
    assert [one["verdict"] for one in (dear, cheap, failed)] == ["FAIL", "PASS", "PASS"]
    assert traced.run.exit_code == 1
    calls = cost_by_step(traced.costs, "calls", "whole").set_index("step")["cost_per_receipt"]
    assert dear["value"] == pytest.approx(calls.max())
    assert cheap["value"] == pytest.approx(calls.iloc[0])


@needs("strace")
def test_strace_windows_are_parts_of_one_log(traced: RunProfiles) -> None:
    windows = window_profiles(traced.windows)
    (log,) = (traced.run.path / "profiles" / "standin" / "strace").glob("strace.log")
    whole = call_table(read_profile(log)).set_index("syscall")
    parts = [call_table(profile).set_index("syscall") for profile in windows]
    for name in ("getppid", "write", "sendto"):
        inside = sum(int(part["calls"].get(name, 0)) for part in parts)
        assert inside <= whole["calls"].get(name, 0)
    # the warm-up's receipts are in the log and in no window
    assert whole.at["getppid", "calls"] - sum(part.at["getppid", "calls"] for part in parts) == 2 * 60
    starts = [profile.tables["calls"]["start_ns"] for profile in windows]
    for before, after in itertools.pairwise(starts):
        assert before.max() < after.min()


@needs("strace")
def test_strace_comes_and_goes_with_each_step(folder: Path) -> None:
    found = RunProfiles(sweep(folder, Plants(calls=1), "strace", "20,30,40", profiler_attach=True, paired=False))
    calls = cost_by_step(found.costs, "calls")
    assert calls[calls["name"] == "getppid"].set_index("step")["cost"].tolist() == [20, 30, 40]
    assert all(window.path("log").is_file() for window in found.windows)


def test_the_sampler_s_windows_add_up_to_its_reports(folder: Path) -> None:
    run = sweep(folder, Plants(scan=60_000), "flamegraph", "100,200,300", warm_up_receipts=20)
    found = RunProfiles(run)
    first = read_profile(found.windows[0].path("begin"))
    last = read_profile(found.windows[-1].path("end"))
    inside = sum(profile.total("samples") for profile in window_profiles(found.windows))
    # reports at the edges, and what little happens between two steps
    assert 0 < inside <= last.total("samples") - first.total("samples")
    costs = cost_per_receipt(found.costs, "cpu")
    # the loop in C counts to the line of Python that calls it
    assert costs.iloc[0]["name"].endswith("store")
    assert costs.iloc[0]["share_pct"] > 50


def test_pprofile_counts_lines_and_keeps_start_up_apart(folder: Path) -> None:
    found = RunProfiles(sweep(folder, Plants(), "pprofile", "20,40,60", paired=False, warm_up_receipts=0))
    growth = found.growth("standin", "hits", by="whole").table.iloc[0]
    # importing the stand-in is a million lines, a receipt some thousands
    assert growth["fixed"] > 20 * growth["marginal_per_receipt"] > 0
    hits = cost_by_step(read_parquet(found.run.path / COSTS), "hits")
    store = hits[hits["name"].str.startswith("store:") & hits["file"].str.endswith("sitecustomize.py")]
    each = store.sort_values("step")["cost_per_receipt"].tolist()
    # the same lines run for every receipt
    assert each[0] == each[1] == each[2] > 0
    # the agent is started again at the end of each window, and all it has counted is known for all that
    assert found.run.steps["counted"].tolist() == [20, 40, 60]
    assert found.run.steps["denied_after_settle"].tolist() == ["no", "no", "no"]


def test_a_service_that_is_not_ours_to_restart_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be put under callgrind"):
        asyncio.run(
            workbench.sweep(profiler="callgrind", target="http://127.0.0.1:9", runs_dir=str(tmp_path), receipts="10")
        )
    assert list(tmp_path.iterdir()) == []

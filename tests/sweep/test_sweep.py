"""Sweeps against the real stand-in: the limit found, the folder complete, faults said, nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from aiohttp import web

import workbench
from tests.load.servers import GOOD, http_server
from tests.ports import free_port
from workbench import keyring
from workbench.errors import RunFolderError, SettingsError, TargetError
from workbench.settings import Settings
from workbench.standin.accounts import payer
from workbench.standin.child import child
from workbench.sweep import reachable

FAST = {"rate": 2000.0, "limit_grt": "0.1", "runs_dir": "runs"}  # the limit is receipt 100


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """The folder of a finished sweep, for tests that look at it or take a copy."""
    folder = tmp_path_factory.mktemp("swept") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        keyring.hold(None)  # those of a test before
        asyncio.run(workbench.sweep(receipts="20,30,40", pinpoint=False, rate=40.0, limit_grt="0.1", run_dir=folder))
    return folder


@pytest.fixture
def copied(swept, tmp_path) -> Path:
    """A copy of it, to be damaged and gone on with."""
    return Path(shutil.copytree(swept, tmp_path / "run"))


async def test_the_limit_is_predicted_found_exactly_and_the_lag_measured():
    events: list[tuple[str, dict]] = []
    run = await workbench.sweep(
        receipts="40,90,240", rate=400.0, limit_grt="0.1", runs_dir="runs", on_event=lambda *event: events.append(event)
    )
    prediction, limit = run.manifest["prediction"], run.manifest["limit"]
    assert prediction["receipts"] == 100
    assert prediction["rule"].startswith("B")
    assert (limit["observed_receipts"], limit["exact"], limit["held"]) == (100, True, True)
    steps = run.steps
    assert list(steps["kind"]) == ["step", "step", "step", "pinpoint"]
    assert list(steps["denied_after_settle"]) == ["no", "no", "yes", "yes"]
    assert steps["payer"].nunique() == 4
    last = steps.iloc[2]
    assert last["crossing_index"] >= 0
    assert last["denial_lag_receipts"] >= 0
    assert last["denial_lag_s"] > 0
    assert last["accepted"] + last["denied"] == 240
    assert last["accepted"] >= 100
    # every receipt that was answered as paid for is in the database
    assert (steps["stored"] == steps["paid"]).all()
    assert limit["first_refusal"]["step"] == 3
    assert limit["first_refusal"]["fees_grt"] == pytest.approx((100 + last["denial_lag_receipts"]) * 0.001)
    # the prediction was made and shown before anything was sent
    kinds = [kind for kind, _ in events]
    assert kinds.index("predicted") < kinds.index("step_started")
    assert kinds[-1] == "run_finished"


def test_the_folder_holds_everything_and_no_key(swept):
    again = workbench.open_run(swept)
    samples = again.samples
    assert len(samples) == 90
    assert not samples.duplicated(["step", "index"]).any()
    assert not samples["nonce"].duplicated().any()
    assert set(samples["outcome"].astype(str)) == {"ok"}
    series = again.series
    assert series.groupby("step")["sent"].sum().to_dict() == {1: 20, 2: 30, 3: 40}
    assert series.groupby("step")["done_ok"].sum().to_dict() == {1: 20, 2: 30, 3: 40}
    watch = again.watch
    assert {"service", "generator"} <= set(watch["source"])
    assert {"cpu_percent", "rss_bytes", "threads"} <= set(watch["metric"])
    assert (watch.loc[watch["metric"] == "rss_bytes", "value"] > 1e6).all()
    assert list(pd.read_parquet(swept / "plan.parquet")["receipts"]) == [20, 30, 40]
    assert not list((swept / "samples").glob("*.live"))
    assert again.manifest["state"] == "finished"
    keys = [payer(index).key.reveal() for index in range(64)]
    for path in swept.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for key in keys:
                assert key.encode() not in data
                assert bytes.fromhex(key) not in data


async def test_the_cumulative_mode_spends_one_payers_budget():
    run = await workbench.sweep(receipts="40,40,40,40", mode="cumulative", **FAST)
    steps = run.steps[run.steps["kind"] == "step"]
    assert steps["payer"].nunique() == 1
    assert list(steps["budget_receipts"]) == [100, 60, 20, 0]
    assert list(steps["fees_before_grt"])[:3] == pytest.approx([0, 0.04, 0.08])
    assert list(steps["denied_after_settle"]) == ["no", "no", "yes", "yes"]
    assert steps.iloc[3]["accepted"] == 0
    assert run.manifest["limit"]["observed_receipts"] == 100


@asynccontextmanager
async def given_standin(**settings) -> AsyncIterator[dict[str, str]]:
    """A stand-in that is given to sweeps by its addresses, as a real service is."""
    ports = dict.fromkeys(("service_port", "service_metrics_port", "agent_metrics_port", "graph_port"), 0)
    async with child(Settings.resolve(**ports, **settings), Path("given.log").absolute()) as endpoints:
        yield {
            "target": endpoints.service_url,
            "graph_url": endpoints.graph_url,
            "agent_metrics_url": endpoints.agent_metrics_url,
            "runs_dir": "runs",
        }


async def test_a_wrong_prediction_is_a_failure_and_said():
    """The agent cannot be asked and the hint is wrong: denial comes at 30, not at 90."""
    async with given_standin(limit_grt="0.03", agent_delay_ms=0) as target:
        del target["agent_metrics_url"]
        run = await workbench.sweep(
            **target, limit_hint_grt="0.09", receipts="20,20,20,40", mode="cumulative", rate=200.0
        )
    assert run.manifest["prediction"]["receipts"] == 90
    assert run.manifest["limit"]["held"] is False
    assert run.verdict == "FAIL"
    assert "the limit was not where it was predicted" in run.manifest["verdict"]["reasons"]


async def test_without_the_agent_the_runs_own_receipts_are_counted():
    async with given_standin(limit_grt="0.05", agent_delay_ms=0) as target:
        del target["agent_metrics_url"]
        run = await workbench.sweep(**target, limit_hint_grt="0.05", receipts="30,30,10", mode="cumulative", rate=200.0)
    assert list(run.steps["budget_receipts"])[:2] == [50, 20]
    assert run.manifest["limit"]["held"] is True
    assert list(run.steps["denied_after_settle"])[:2] == ["unknown", "yes"]
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
    (left_out,) = [event for event in events if event["kind"] == "pinpoint_left_out"]
    assert "--agent-metrics-url" in left_out["why"]


async def test_a_payer_that_has_spent_before_is_used_by_loads_and_cumulative_sweeps():
    async with given_standin(limit_grt="0.1") as target:
        for budget in (100, 80):
            result = await workbench.load(**target, num_receipts=20, rate=400.0)
            assert result.summary["budget_receipts"] == budget
            assert result.exit_code in (0, 4)
        run = await workbench.sweep(**target, mode="cumulative", receipts="30,60", rate=400.0)
        assert run.manifest["prediction"]["receipts"] == 60
        assert run.manifest["limit"]["held"] is True
        with pytest.raises(SettingsError, match="--mode fresh needs 2 payers, one for each step, and has 1"):
            await workbench.sweep(**target, receipts="5,5")


async def test_a_slow_graph_node_does_not_make_denial_look_early():
    run = await workbench.sweep(
        receipts="60", limit_grt="0.03", rate=300.0, backend_latency="constant:200", agent_delay_ms=0, runs_dir="runs"
    )
    step = run.steps.iloc[0]
    assert step["failure"] == ""
    assert step["crossing_index"] == 29
    assert step["denial_lag_receipts"] >= 0
    assert run.manifest["limit"]["observed_receipts"] == 30


async def test_receipts_that_were_stored_but_not_answered_in_time_count():
    run = await workbench.sweep(
        receipts="20,80", limit_grt="0.05", rate=300.0, backend_latency="uniform:1:200", timeout_s=0.1, runs_dir="runs"
    )
    assert (run.steps["failed"][:2] > 0).all()
    assert run.manifest["limit"]["held"] is True
    assert run.manifest["limit"]["observed_low"] >= 20
    assert run.verdict == "FAIL"  # for the timeouts


async def test_an_agent_that_is_behind_is_unknown_and_not_undenied():
    run = await workbench.sweep(
        receipts="10", limit_grt="0.005", agent_delay_ms=6000, settle_timeout_s=1.0, rate=400.0, runs_dir="runs"
    )
    assert run.steps.iloc[0]["denied_after_settle"] == "unknown"
    assert "is not known" in run.manifest["limit"]["sentence"]


@pytest.mark.parametrize("store", ["gone", "failing"])
async def test_a_store_that_fails_charges_nobody(store):
    run = await workbench.sweep(receipts="10", store=store, pinpoint=False, **FAST)
    step = run.steps.iloc[0]
    assert (step["paid"], step["stored"], step["failed"]) == (0, 0, 10)
    assert step["settle_s"] < 5


async def test_payers_the_standin_does_not_know_are_refused(monkeypatch):
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + "11" * 20]))
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps(["22" * 32]))
    with pytest.raises(SettingsError, match="the stand-in has no payer"):
        await workbench.load(num_receipts=5, runs_dir="runs")


async def test_lost_receipts_are_found_by_the_audit():
    run = await workbench.sweep(receipts="30", store="lost", pinpoint=False, **FAST)
    step = run.steps.iloc[0]
    assert step["accepted"] == 30
    assert step["stored"] == 0
    assert "0 are in the database" in step["failure"]
    assert run.verdict == "FAIL"
    assert run.exit_code == 1


async def test_failed_queries_are_paid_for_and_counted_towards_the_limit():
    run = await workbench.sweep(receipts="120", backend_down=True, pinpoint=False, **FAST)
    step = run.steps.iloc[0]
    assert step["accepted"] == 0
    assert step["paid"] >= 100
    assert step["denied_after_settle"] == "yes"
    assert "backend_error" in step["failure"]
    assert run.exit_code == 1


async def test_a_finished_run_is_opened_and_not_run_again(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    assert (await workbench.sweep(run_dir=copied, receipts="20")).path == copied
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before
    assert (await workbench.sweep(resume=copied)).path == copied


@pytest.mark.parametrize(("how", "outcome"), [("reset", "reset"), ("garbage", "http_error"), ("silence", "timeout")])
async def test_a_target_that_goes_away_leaves_what_was_measured(how, outcome):
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls > 51 and request.transport is not None:  # the first one is the preflight's probe
            if how == "silence":
                await asyncio.Event().wait()
            elif how == "garbage":
                request.transport.write(b"garbage\r\n\r\n")
            (request.transport.close if how == "garbage" else request.transport.abort)()
        return web.Response(body=GOOD)

    settings = {"receipts": "70", "pinpoint": False, "concurrency": 2, "timeout_s": 0.5, "runs_dir": "runs"}
    async with http_server(handler) as url:
        run = await workbench.sweep(target=url, allocation="0x" + "11" * 20, **settings)
    assert run.exit_code == 1
    assert run.steps.iloc[0]["accepted"] == 50
    assert run.samples["outcome"].astype(str).value_counts().to_dict() == {"ok": 50, outcome: 20}
    assert outcome in run.steps.iloc[0]["reason"]


async def test_a_target_that_is_gone_ends_the_step_which_is_measured_again(monkeypatch):
    monkeypatch.setattr(reachable, "LOOK_S", 0.2)
    monkeypatch.setattr(reachable, "GONE_S", 0.5)
    port = free_port()
    target = f"http://127.0.0.1:{port}"
    gone, serving, calls = asyncio.Event(), asyncio.Event(), 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 52:  # in the second step; the first call is the preflight's probe
            gone.set()
        return web.Response(body=GOOD)

    async def serve(until: asyncio.Event) -> None:
        async with http_server(handler, port):
            serving.set()
            await until.wait()

    server = asyncio.create_task(serve(gone))
    await serving.wait()
    with pytest.raises(TargetError, match="the service no longer accepts connections") as caught:
        await workbench.sweep(
            target=target,
            allocation="0x" + "11" * 20,
            receipts="40,120",
            mode="cumulative",
            rate=40.0,
            pinpoint=False,
            run_dir="runs/gone",
        )
    await server
    assert "in step 2" in str(caught.value)
    assert "--resume" in str(caught.value)
    run = workbench.open_run("runs/gone")
    assert (run.manifest["state"], run.exit_code, list(run.steps["step"])) == ("failed", 3, [1])
    kept = pd.concat(pd.read_parquet(path) for path in Path("runs/gone/interrupted").glob("step-002-*.parquet"))
    assert 10 <= len(kept) < 120  # it was not sent to its end
    again, serving = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(serve(again))
    await serving.wait()
    done = await workbench.sweep(resume="runs/gone")
    again.set()
    await server
    assert done.manifest["state"] == "finished"
    assert done.samples.groupby("step").size().to_dict() == {1: 40, 2: 120}
    assert done.steps["failure"].eq("").all()


async def test_fresh_steps_need_fresh_payers_and_that_is_said_before_anything_is_sent():
    with pytest.raises(SettingsError, match="--mode fresh needs 3 payers, one for each step, and has 2") as caught:
        await workbench.sweep(receipts="10,20,30", standin_payers=2, pinpoint=False, **FAST)
    assert "--mode cumulative" in str(caught.value)
    run = workbench.open_run(next(Path("runs").glob("*-sweep")))
    assert run.steps.empty
    assert run.manifest["state"] == "failed"
    assert run.exit_code == 2


async def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match=r"--runs-dir"):
        await workbench.sweep(receipts="20", runs_dir=str(tmp_path / "file" / "runs"))


async def test_resuming_with_other_settings_is_refused(copied):
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(manifest | {"state": "interrupted"}))
    with pytest.raises(SettingsError, match="value_grt: the run was made with"):
        await workbench.sweep(resume=copied, value_grt="0.0005")


@pytest.mark.slow
async def test_cancelling_keeps_the_rows_and_resuming_finishes():
    enough = asyncio.Event()

    def on_event(kind: str, facts: dict) -> None:
        if kind == "progress" and facts["step"] == 2 and facts["done"] > 5:
            enough.set()

    task = asyncio.create_task(
        workbench.sweep(receipts="20,90", rate=45.0, limit_grt="0.2", runs_dir="runs", on_event=on_event)
    )
    await asyncio.wait_for(enough.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    run = workbench.open_run(next(Path("runs").glob("*-sweep")))
    assert run.manifest["state"] == "interrupted"
    assert run.exit_code == 130
    assert list(run.steps["step"]) == [1]
    cut_off = pd.concat(pd.read_parquet(path) for path in (run.path / "interrupted").glob("*.parquet"))
    assert len(cut_off) > 5
    done = await workbench.sweep(resume=run.path)
    assert done.samples.groupby("step").size().to_dict() == {1: 20, 2: 90}


SCRIPT = """
import asyncio, sys, workbench
asyncio.run(workbench.sweep(receipts="40,90,60", rate=60.0, runs_dir="runs", run_dir=sys.argv[1], limit_grt="0.08"))
"""


@pytest.mark.parametrize("victim", ["workbench", "generator"])
async def test_kill_9_in_mid_step_loses_and_doubles_no_sample(victim):
    """Killed with -9 in step 2 and resumed: the same steps, each index once, the cut-off rows kept apart."""
    folder = Path("runs/killed").absolute()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stderr=subprocess.PIPE)
    try:
        facts = wait_for_progress(folder, step=2)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid if victim == "workbench" else facts["pids"][0], signal.SIGKILL)
        assert process.wait(60) != 0
    finally:
        process.kill()
        assert process.stderr is not None
        process.stderr.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == [], "a process of a killed run went on"
    first = workbench.open_run(folder)
    assert list(first.steps["step"]) == [1]
    run = await workbench.sweep(resume=folder)
    assert list(run.steps["receipts"])[:3] == [40, 90, 60]
    samples = run.samples
    steps = samples[samples["step"] <= 3]
    assert steps.groupby("step").size().to_dict() == {1: 40, 2: 90, 3: 60}
    assert not samples.duplicated(["step", "index"]).any()
    assert not samples["nonce"].duplicated().any()
    assert run.manifest["state"] == "finished"
    assert run.manifest["limit"]["observed_receipts"] == 80
    assert run.steps["failure"].eq("").all()
    kept = pd.concat(pd.read_parquet(path) for path in (folder / "interrupted").glob("step-002-*.parquet"))
    assert facts["done"] <= len(kept) <= 90
    # time goes on over the interruption
    assert run.series.sort_values("step")["t_s"].is_monotonic_increasing


def wait_for_progress(folder: Path, step: int, process: subprocess.Popen | None = None) -> dict:
    """The first progress event of ``step`` with answers in it, as long as ``process`` runs."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the sweep ended by itself: {process.communicate()[1]!r}")
        events = folder / "events.jsonl"
        for line in events.read_text().splitlines() if events.exists() else []:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event["kind"] == "progress" and event["step"] == step and event["done"] > 0:
                return event
        time.sleep(0.05)
    raise AssertionError("the sweep made no progress")


def unfinish(path: Path, **manifest) -> None:
    """Make a finished run look as if it had been killed."""
    text = json.loads((path / "manifest.json").read_text())
    for key in ("limit", "verdict", "finished", "exit_code"):
        text.pop(key, None)
    (path / "manifest.json").write_text(json.dumps(text | {"state": "running"} | manifest))


async def test_killed_between_the_samples_and_the_row_the_step_is_run_again(copied):
    run = workbench.open_run(copied)
    unfinish(run.path)
    run.steps[run.steps["step"] < 2].to_parquet(run.path / "steps.parquet", index=False)
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00Z", "kin')  # a line cut off
    done = await workbench.sweep(resume=run.path)
    assert done.samples.groupby("step").size().to_dict() == {1: 20, 2: 30, 3: 40}
    assert done.series.groupby("step")["sent"].sum().to_dict() == {1: 20, 2: 30, 3: 40}
    assert len(list((run.path / "interrupted").glob("*.parquet"))) == 2
    assert done.steps["payer"].nunique() == 3
    # the payers of the steps that were run again are spent, and not given out another time
    assert len(set(done.manifest["payers_given"])) == len(done.manifest["payers_given"]) == 5
    assert json.loads((run.path / "events.jsonl").read_text().splitlines()[-1])["kind"] == "run_finished"


async def test_a_run_whose_steps_count_from_0_goes_on_so(copied):
    """As releases before steps were counted from 1 wrote it: killed in its third step."""
    run = workbench.open_run(copied)
    planned = [step | {"number": step["number"] - 1} for step in run.manifest["steps_planned"]]
    payers = {str(int(step) - 1): payer for step, payer in run.manifest["payers"].items()}
    unfinish(run.path, steps_planned=planned, payers=payers)
    run.steps.assign(step=run.steps["step"] - 1).head(2).to_parquet(run.path / "steps.parquet", index=False)
    (run.path / "series.parquet").unlink()
    for kept in (run.folder.samples, run.folder.histograms):
        for number in (1, 2, 3):
            pd.read_parquet(kept(number)).assign(step=np.int32(number - 1)).to_parquet(kept(number - 1), index=False)
        kept(3).unlink()
    done = await workbench.sweep(resume=run.path)
    assert done.steps["step"].tolist() == [0, 1, 2]
    assert done.steps["receipts"].tolist() == [20, 30, 40]
    assert done.samples.groupby("step").size().to_dict() == {0: 20, 1: 30, 2: 40}


async def test_a_cumulative_run_is_resumed_with_its_payer_and_its_budget():
    run = await workbench.sweep(receipts="40,40,40", mode="cumulative", **FAST)
    unfinish(run.path)
    run.steps[run.steps["step"] < 2].to_parquet(run.path / "steps.parquet", index=False)
    done = await workbench.sweep(resume=run.path)
    steps = done.steps[done.steps["kind"] == "step"]
    assert steps["payer"].nunique() == 1
    assert steps.iloc[0]["budget_receipts"] == 100
    assert steps.iloc[1]["budget_receipts"] == 0  # what the killed steps had spent is spent
    assert done.manifest["limit"]["held"] is True


async def test_two_sweeps_in_one_loop_are_alike_and_one_killed_in_its_walk_finds_the_limit_when_resumed():
    first = await workbench.sweep(receipts="60,140", **FAST)
    run = await workbench.sweep(receipts="60,140", **FAST)
    assert first.path != run.path
    for name in ("observed_receipts", "held"):
        assert first.manifest["limit"][name] == run.manifest["limit"][name]
    assert list(first.steps["payer"]) == list(run.steps["payer"])
    assert list(run.steps["kind"]) == ["step", "step", "pinpoint"]
    unfinish(run.path)
    run.steps[run.steps["step"] < 3].to_parquet(run.path / "steps.parquet", index=False)
    done = await workbench.sweep(resume=run.path)
    assert done.manifest["limit"]["observed_receipts"] == 100
    assert done.steps["payer"].nunique() == 3


async def test_it_stops_after_denial_if_asked_and_holds_to_it_over_a_resume(monkeypatch):
    run = await workbench.sweep(receipts="40,160,320,640", stop_after_denial=True, pinpoint=False, **FAST)
    assert list(run.steps["receipts"]) == [40, 160]
    limit = run.manifest["limit"]
    assert 40 <= limit["observed_low"] < 99  # more where the agent was seen to hold more without denying
    assert (limit["exact"], limit["held"]) == (False, True)
    unfinish(run.path)
    # keys that were set since then are another run's
    monkeypatch.setenv("WORKBENCH_PAYERS", json.dumps(["0x" + "11" * 20]))
    monkeypatch.setenv("WORKBENCH_SIGNER_KEYS", json.dumps(["22" * 32]))
    done = await workbench.sweep(resume=run.path)
    assert list(done.steps["receipts"]) == [40, 160]

"""Limits that were planted in running services are found; what cannot be found is refused in plain words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import workbench
from benchmarks.limits import one_at_a_time
from tests.report.conftest import NOTEBOOKS
from tests.sweep.test_limit_statements import row
from tests.sweep.test_sweep import given_standin
from workbench import cli
from workbench.errors import RunFolderError, SettingsError, TargetError
from workbench.report import run_notebook
from workbench.search.capacity import Tried, conclude_capacity
from workbench.search.condition import all_of, keeps_up, p95_within, share_refused
from workbench.settings import Settings

pytestmark = pytest.mark.slow

NO_TARGET = {"allocation": "0x" + "11" * 20, "runs_dir": "runs"}


@pytest.mark.parametrize(("limit_grt", "predict", "limit", "trials"), [("0.001", False, 1, 7), ("0.077", True, 77, 2)])
async def test_a_planted_limit_is_found_to_the_receipt(limit_grt: str, predict: bool, limit: int, trials: int) -> None:
    said: list[str] = []
    found = await workbench.find_limit(
        limit_grt=limit_grt,
        predict=predict,
        rate=800.0,
        runs_dir="runs",
        on_event=lambda kind, facts: said.append(kind),
    )
    assert found.receipts == limit
    assert found.exit_code == 0
    assert len(found.run.steps) <= trials
    assert found.run.steps["payer"].nunique() == len(found.run.steps)  # each trial with its own payer
    assert found.search["spent"]["receipts"] == found.run.steps["sent"].sum() <= found.search["budget"]["receipts"]
    assert said.index("search_budget") < said.index("step_started")  # said before anything is spent
    assert f"at receipt {limit}, as predicted" in found.sentence
    assert len(found.trials) == len(found.run.steps)


async def test_a_wrong_prediction_is_corrected_and_said() -> None:
    """The limit is 30; the agent's limit is not in its metrics, and the hint is wrong."""
    async with given_standin(limit_grt="0.03", standin_payers=1) as target:
        with pytest.raises(TargetError, match="at least 2 trials need an unused payer each, there are 1"):
            await workbench.find_limit(**target)
        del target["agent_metrics_url"]
        with pytest.raises(TargetError, match="the agent must say after each trial") as caught:
            await workbench.find_limit(**target)
    assert "--agent-metrics-url" in str(caught.value)
    run = workbench.open_run(next(Path("runs").glob("*-find-limit")))
    assert run.steps.empty
    assert run.exit_code == 3


async def test_a_budget_that_is_too_small_is_refused_or_ends_the_search_with_what_is_known() -> None:
    with pytest.raises(SettingsError, match="takes 199 receipts if nothing goes wrong, 150 are allowed"):
        await workbench.find_limit(limit_grt="0.1", search_receipts=150, runs_dir="runs")
    with pytest.raises(SettingsError, match="receipts of value 0"):
        await workbench.find_limit(value_grt="0", runs_dir="runs")
    with pytest.raises(SettingsError, match="cannot run under a profiler"):
        await workbench.find_limit(profiler="strace", runs_dir="runs")


@asynccontextmanager
async def cut_off_after(trials: int, **settings: Any) -> AsyncIterator[Path]:
    """A search that is stopped when so many trials have ended."""
    enough, done = asyncio.Event(), 0

    def on_event(kind: str, facts: dict[str, Any]) -> None:
        nonlocal done
        done += kind == "step_finished"
        if done >= trials and kind == "step_started":
            enough.set()

    work = asyncio.create_task(workbench.find_limit(run_dir="cut", on_event=on_event, **settings))
    await enough.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    yield Path("cut")


async def test_a_search_that_was_cut_off_can_be_read_and_goes_on() -> None:
    async with cut_off_after(3, limit_grt="0.15", predict=False, rate=800.0) as folder:
        run = workbench.open_run(folder)
        assert run.manifest["state"] == "interrupted"
        assert run.manifest["search"]["ended"] == "the search was cut short"
        assert run.manifest["search"]["spent"]["trials"] == 3
        with pytest.raises(RunFolderError, match="holds a search") as caught:
            await workbench.sweep(resume=folder)
        assert f"`workbench find-limit --resume {folder}`" in str(caught.value)
        found = await workbench.find_limit(resume=folder)
    assert found.receipts == 150
    assert not found.run.steps["step"].duplicated().any()
    assert found.search["ended"] == ""
    assert found.search["spent"]["receipts"] >= found.run.steps["sent"].sum()  # those of the trial that was cut off
    assert (await workbench.find_limit(run_dir=folder)).receipts == 150  # finished: opened


async def test_the_capacity_of_a_service_of_known_speed_is_bracketed_and_a_cut_off_search_goes_on() -> None:
    """5 ms a request, one at a time: 200 a second. A busy machine may not offer every rate; the bracket holds all the
    same."""
    async with one_at_a_time(5) as url:
        settings = {**NO_TARGET, "target": url, "capacity": True, "trial_s": 0.5, "max_trials": 9, "max_p95_ms": 200}
        async with cut_off_after(2, **settings, start_rate=40.0) as folder:
            before = workbench.open_run(folder).manifest["search"]["trials"]
            found = await workbench.find_limit(resume=folder)
    assert found.rates is not None
    low, high = found.rates
    assert low <= 200
    assert high is None or high >= 200
    assert found.search["trials"][: len(before)] == before
    assert 2 <= len(found.trials) <= 9
    assert set(found.trials["outcome"]) <= {"pass", "fail", "invalid"}
    assert found.run.manifest["settings"]["value_grt"] == "0.000001"
    assert found.search["budget"]["sentence"].startswith("The search for the capacity takes at most 9 trials")


async def test_the_condition_can_be_given_from_outside() -> None:
    found = await workbench.find_limit(
        capacity=True,
        trial_s=0.2,
        max_trials=3,
        start_rate=100.0,
        runs_dir="runs",
        passes=lambda row: "" if row.rate_per_s < 150 else "it is Monday",
        condition="it is not Monday",
    )
    assert "A trial passes when it is not Monday." in found.sentence
    told = found.trials[found.trials["outcome"] != "invalid"]
    assert ((told["outcome"] == "pass") == (told["rate_per_s"] < 150)).all()


async def test_a_trial_that_no_payer_can_bear_is_refused_with_what_helps() -> None:
    with pytest.raises(TargetError, match="needs a payer with that budget") as caught:
        await workbench.find_limit(capacity=True, value_grt="0.001", limit_grt="0.01", start_rate=50.0, runs_dir="runs")
    assert "--value-grt" in str(caught.value)
    with pytest.raises(SettingsError, match="sets the rates of its trials itself"):
        await workbench.find_limit(capacity=True, concurrency=4, runs_dir="runs")
    with pytest.raises(SettingsError, match="the first trial takes 100 receipts, 20 are allowed"):
        await workbench.find_limit(capacity=True, search_receipts=20, runs_dir="runs")


def test_conditions_say_what_is_wrong() -> None:
    times = {"rate_per_s": 100.0, "duration_s": 2.02, "drain_s": 0.03}
    good = row(0, 200, sent=200, accepted=200, response_p50_ms=30.0, **times)
    every = all_of(keeps_up, share_refused(0.01), p95_within(50))
    assert every(replace(good, response_p95_ms=10.0)) == ""
    assert keeps_up(replace(good, duration_s=2.2, drain_s=0.21)) == "91.71/s were answered, 91.7 % of the rate"
    at_random = replace(good, duration_s=2.2)  # sending took longer than the rate says, nothing was left over
    assert keeps_up(at_random) == ""
    bad = row(0, 200, sent=200, accepted=150, response_p95_ms=80.0, **times | {"duration_s": 2.99, "drain_s": 1.0})
    assert every(bad) == (
        "66.56/s were answered, 66.6 % of the rate; 50 of 200 receipts were not accepted, the limit is 1 %; "
        "response p95 was 80.00 ms, the limit is 50 ms"
    )
    assert "too few" in p95_within(50)(row(0, 20, response_p95_ms=float("nan")))


def test_a_search_without_an_answer_is_invalid_and_says_why() -> None:
    search = {"condition": "x", "trials": [vars(Tried(0, 50.0, "fail", "slow"))]}
    nothing = {"low": 0.0, "high": 50.0, "confidence": 0.95, "limited_by": "the lowest rate to be tried"}
    found = conclude_capacity({**search, "bracket": nothing}, [row(0, 50)])
    assert (found["verdict"], found["exit_code"]) == ("INVALID", 4)
    assert found["reasons"] == ["limited by the lowest rate to be tried"]
    open_ended = conclude_capacity({**search, "bracket": {**nothing, "low": 50.0, "high": None}}, [row(0, 50)])
    assert "at least 50/s" in open_ended["sentence"]


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["find-limit", "--limit-grt", "0.02", "--rate", "800", "--runs-dir", "runs", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert printed["limit_receipts"] == 20
    assert printed["spent"] == {"trials": 2, "receipts": 39, "grt": pytest.approx(0.039)}
    assert cli.main(["find-limit", "--resume", "x", "--rate", "3"]) == 2


async def test_the_notebook_searches_and_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"limit_grt": "0.02", "rate": 800.0, "run_dir": str(Path("run").absolute())}
    record = await run_notebook(
        NOTEBOOKS / "find_limit.ipynb", given, Path("n.ipynb"), Path("n.html"), title="a limit", timeout_s=200
    )
    assert record.ok, record.message
    page = Path("n.html").read_text()
    assert "at receipt 20, as predicted" in page
    assert Settings.model_fields["search_receipts"].default == 200_000

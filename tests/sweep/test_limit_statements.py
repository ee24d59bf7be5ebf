"""What is said of the limit: nothing that is known is called unknown, nobody is counted twice or forgotten, and people
count from 1."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench
from tests.sweep.test_sweep import given_standin
from workbench.analysis.conclude import conclude_limit
from workbench.analysis.learnt import CutOff, Learnt, learnt_from
from workbench.analysis.limit import Bracket, find_denial
from workbench.analysis.step_row import StepRow
from workbench.charts.limit import limit as limit_chart
from workbench.errors import TargetError
from workbench.load.chunks import chunk_of
from workbench.report.tables import steps_table

MS = 1_000_000


def row(number: int, paid: int, denied: str = "no", **changes: Any) -> StepRow:
    values: dict[str, Any] = dict.fromkeys(StepRow.__dataclass_fields__, math.nan)
    values |= {"step": number, "kind": "step", "receipts": paid, "paid": paid, "payer": f"0x{number}"}
    return StepRow(**(values | {"denied_after_settle": denied, "value_grt": 0.001} | changes))


def test_a_limit_without_a_survived_number_is_at_what_was_sent_or_before() -> None:
    found = conclude_limit(Bracket(None, 1000), 1000, [row(0, 1000, "yes")])
    assert found["sentence"] == (
        "The limit was observed at receipt 1,000 or earlier; no smaller number was accepted, "
        "which agrees with the prediction (1,000)."
    )


def test_what_the_agent_had_counted_without_denying_is_survived() -> None:
    learnt = learnt_from([row(0, 1000, "yes", counted=1000.0, survived=950.0)], predicted=1000, approached=0)
    assert learnt.bracket == Bracket(950, 1000)
    assert "between 950 (survived) and 1,000 (denied)" in conclude_limit(learnt.bracket, 1000, [])["sentence"]


async def test_a_load_that_ends_at_the_limit_says_between_what_it_lies() -> None:
    result = await workbench.load(
        num_receipts=100, rate=200.0, limit_grt="0.1", agent_delay_ms=250, settle_timeout_s=20, runs_dir="runs"
    )
    limit = result.run.manifest["limit"]
    assert result.summary["accepted"] == 100
    assert limit["observed_high"] == 100
    assert limit["held"] is True
    assert "unknown" not in limit["sentence"]
    assert limit["observed_low"] is None or 0 < limit["observed_low"] < 100


def test_warm_up_and_pair_are_no_steps_that_were_survived() -> None:
    rows = [row(2, 40, kind="paired"), row(3, 50, kind="warm_up"), row(0, 40, counted=40.0)]
    learnt = learnt_from(rows, predicted=1000, approached=0)
    assert learnt.bracket == Bracket(40, None)
    assert "not reached up to 40 receipts" in conclude_limit(learnt.bracket, 1000, rows)["sentence"]
    assert learnt_from([row(3, 50, "yes", kind="warm_up")], predicted=None, approached=0).bracket.high == 50


def test_receipts_of_steps_that_were_cut_off_are_the_payers_too() -> None:
    cut_off = (CutOff(1, "0x0", 128), CutOff(0, "0x9", 7))
    rows = [row(0, 300), row(1, 200, payer="0x0")]
    assert learnt_from(rows[:1], predicted=None, approached=0, cut_off=cut_off).bracket.low == 300
    assert learnt_from(rows, predicted=None, approached=0, cut_off=cut_off).bracket.low == 628
    assert Learnt().cut_off == ()


@pytest.mark.parametrize("agent", [True, False])
async def test_a_cumulative_sweep_that_was_cut_off_counts_what_its_payer_had_paid(agent: bool) -> None:
    sent = asyncio.Event()

    def on_event(kind: str, facts: dict[str, Any]) -> None:
        if kind == "progress" and facts["done"] >= 10:
            sent.set()

    async with given_standin(limit_grt="0.1", agent_delay_ms=0) as target:
        if not agent:
            del target["agent_metrics_url"]
            target["limit_hint_grt"] = "0.1"
        work = asyncio.create_task(
            workbench.sweep(
                **target, receipts="130", mode="cumulative", rate=60.0, pinpoint=False, run_dir="cut", on_event=on_event
            )
        )
        await sent.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        run = await workbench.sweep(resume="cut")
    (step,) = run.steps.to_dict("records")
    limit = run.manifest["limit"]
    assert step["budget_receipts"] <= 90
    assert limit["held"] is True, limit["sentence"]
    assert limit["observed_high"] >= 100
    assert limit["first_refusal"]["paid_before"] >= 100
    assert f"after {limit['first_refusal']['paid_before']} receipts of its payer" in limit["sentence"]


def test_a_refusal_that_was_answered_before_the_crossing_was_sent_has_no_lag() -> None:
    """872 accepted, one refused, then others accepted past 1,000: the budget was not what it was thought to be."""
    outcomes = ["ok"] * 872 + ["denied"] + ["ok"] * 200
    sent = np.arange(len(outcomes)) * 10 * MS
    frame = pd.DataFrame(
        {"index": range(len(outcomes)), "intended_ns": sent, "sent_ns": sent, "done_ns": sent + MS}
    ).assign(status=[400 if name == "denied" else 200 for name in outcomes], outcome=pd.Categorical(outcomes))
    denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=10**15, budget=1000)
    assert (denial.refusal_index, denial.paid_before_refusal) == (872, 872)
    assert math.isnan(denial.lag_receipts)
    assert math.isnan(denial.lag_s)


def test_people_count_from_1() -> None:
    first = row(3, 1021, "yes", receipts=1250, first_refusal_index=1020.0, first_refusal_s=2.5)
    first = StepRow(**{**vars(first), "fees_at_first_refusal_grt": 1.02, "denial_lag_receipts": 20.0})
    found = conclude_limit(Bracket(999, 1000), 1000, [first])
    assert "First refusal in step 3: receipt 1,021 of 1,250," in found["sentence"]
    assert "after 1,020 receipts of its payer (1.02 GRT of fees)" in found["sentence"]
    assert "index" not in found["sentence"]
    assert (found["first_refusal"]["receipt"], found["first_refusal"]["index"]) == (1021, 1020)
    frame = pd.DataFrame([vars(first)]).assign(offered=1250, accepted=1020, denied=230, failed=0, verdict="PASS")
    assert "1,021" in steps_table(frame).as_text
    assert "1,020" not in steps_table(frame[["step", "first_refusal_index"]]).as_text
    chart = limit_chart(frame, {"receipts": 1000}, found)
    (note,) = [note.text for note in chart.layout.annotations if "first refusal" in str(note.text)]
    assert re.search(r"receipt 1,021<br>", note)


async def test_only_what_is_started_here_is_given_more_payers_by_an_option() -> None:
    spent = {"receipts": "30", "mode": "cumulative", "pinpoint": False, "rate": 400.0}
    async with given_standin(limit_grt="0.02") as target:
        await workbench.sweep(**target, **spent)
        with pytest.raises(TargetError) as caught:
            await workbench.sweep(**target, **spent, preflight=True)
    assert "--standin-payers" not in str(caught.value)

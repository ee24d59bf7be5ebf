"""Verdicts: what is a failure, what is an invalid measurement, and what is said when nothing is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from workbench.analysis.conclude import (
    conclude_limit,
    conclude_run,
    judge_step,
    judge_walk,
    predict,
)
from workbench.analysis.limit import Bracket, Denial
from workbench.analysis.step_row import StepRow
from workbench.load.summary import Latency, StepSummary
from workbench.service.budget import Budget, Fees
from workbench.service.stored import StoredSince

NONE = Latency.of(np.array([], dtype=np.int64))
NAN = math.nan
CALM = Denial(NAN, NAN, NAN, NAN, NAN, NAN, paid=100, paid_before_refusal=NAN)
REFUSED = Denial(60, 0.6, 0.06, 49, 10, 0.1, paid=60, paid_before_refusal=60)


def summary(**changes) -> StepSummary:
    good = StepSummary(100, 100, 100, 0, 0, {"ok": 100}, 1.0, 100.0, NONE, NONE, NONE, 10.0, "", "")
    return replace(good, **changes)


def found(receipts: int, **changes) -> StoredSince:
    return replace(StoredSince(receipts, 0, (), 0, denied=False), **changes)


def test_all_accepted_passes():
    assert judge_step(summary(), CALM, 100, 500, found(100), toward_limit=True).verdict == "PASS"
    assert judge_step(summary(), CALM, 100, None, None, toward_limit=False).verdict == "PASS"


def test_denial_past_the_limit_passes_in_a_sweep_and_fails_in_a_load():
    seen = summary(accepted=60, denied=40)
    assert judge_step(seen, REFUSED, 60, 50, found(60), toward_limit=True).verdict == "PASS"
    load = judge_step(seen, REFUSED, 60, 50, found(60), toward_limit=False)
    assert (load.verdict, load.failure) == ("FAIL", "40 receipts were denied")


def test_denial_before_the_predicted_limit_fails():
    judgement = judge_step(summary(accepted=60, denied=40), REFUSED, 60, 61, found(60), toward_limit=True)
    assert judgement.verdict == "FAIL"
    assert "denied after 60 receipts, before the predicted limit of 61" in judgement.failure


def test_lost_receipts_and_other_failures_are_both_said():
    judgement = judge_step(
        summary(failed=5, failures="receipts were not accepted: 5 reset"), CALM, 100, None, found(90), toward_limit=True
    )
    assert "90 are in the database" in judgement.failure
    assert "5 reset" in judgement.failure


def test_receipts_that_the_agent_finds_invalid_are_a_failure_with_the_reason():
    judgement = judge_step(
        summary(), CALM, 100, 500, found(100, invalid=2, invalid_reasons=(("no allocation", 2),)), toward_limit=True
    )
    assert judgement.verdict == "FAIL"
    assert "the tap-agent found 2 receipts invalid (2 no allocation)" in judgement.failure


def test_a_payer_that_was_denied_before_the_step_is_no_early_limit():
    nothing = replace(REFUSED, refusal_index=0, paid=0, paid_before_refusal=0)
    judgement = judge_step(summary(accepted=0, denied=100), nothing, 0, 1000, found(0), toward_limit=True)
    assert judgement.verdict == "FAIL"
    assert "denied before the first of them" in judgement.failure
    assert "predicted limit" not in judgement.failure


def test_a_late_generator_is_invalid_and_a_failure_beside_it_is_kept():
    late = judge_step(summary(invalid="late"), CALM, 100, None, None, toward_limit=True)
    assert (late.verdict, late.failure) == ("INVALID", "")
    both = judge_step(summary(invalid="late"), CALM, 100, None, found(90), toward_limit=True)
    assert both.verdict == "INVALID"
    assert "90 are in the database" in both.failure
    assert both.reason.startswith("late; ")


def test_lateness_does_not_spoil_what_a_profiled_step_costs():
    late, cut = summary(invalid="late"), summary(invalid="only 9 of 100", cut_short="only 9 of 100")
    assert judge_step(late, CALM, 100, None, found(100), toward_limit=True, distorted=True).verdict == "PASS"
    assert judge_step(late, CALM, 100, None, found(90), toward_limit=True, distorted=True).verdict == "FAIL"
    assert judge_step(cut, CALM, 9, None, None, toward_limit=True, distorted=True).verdict == "INVALID"


def test_the_walk_says_what_failed_in_it():
    assert judge_walk(summary(), CALM, True, found(100)).reason == "the agent denied the payer after receipt 100"
    assert "not found" in judge_walk(summary(), CALM, False, found(100)).reason
    assert judge_walk(summary(failures="17 timeout"), CALM, False, found(100)).verdict == "FAIL"


def row(number: int, verdict: str = "PASS", **changes) -> StepRow:
    values = dict.fromkeys(StepRow.__dataclass_fields__, NAN)
    values |= {"step": number, "kind": "step", "receipts": 100, "reason": verdict.lower(), "failure": ""}
    values |= {"denied_after_settle": "no", "verdict": verdict}
    return StepRow(**(values | changes))


HELD = {"held": True, "sentence": "The limit."}


@pytest.mark.parametrize(
    ("rows", "limit", "verdict", "code"),
    [
        ([row(0), row(1)], HELD, "PASS", 0),
        ([row(0), row(1, "INVALID")], HELD, "PASS", 0),
        ([row(0, "INVALID"), row(1, "INVALID")], HELD, "INVALID", 4),
        ([], HELD, "INVALID", 4),
        ([row(5, kind="warm_up")], HELD, "INVALID", 4),
        ([row(0), row(1, "FAIL", failure="x")], HELD, "FAIL", 1),
        ([row(0, "INVALID", failure="x")], HELD, "FAIL", 1),
        ([row(0)], HELD | {"held": False}, "FAIL", 1),
        ([row(0)], HELD | {"held": None}, "PASS", 0),
    ],
)
def test_the_verdict_of_a_run(rows, limit, verdict, code):
    concluded = conclude_run(rows, limit)
    assert (concluded["verdict"], concluded["exit_code"]) == (verdict, code)
    assert len(concluded["reasons"]) == sum(r.verdict != "PASS" for r in rows) + (limit["held"] is False)


@pytest.mark.parametrize(
    ("bracket", "predicted", "rows", "words", "held"),
    [
        (Bracket(999, 1000), 1000, [row(0)], "at receipt 1,000, as predicted (1,000)", True),
        (Bracket(998, 999), 1000, [row(0)], "at receipt 999, not as predicted (1,000)", False),
        (Bracket(750, 1000), 900, [row(0)], "between 750 (survived) and 1,000 (denied)", True),
        (Bracket(None, 40), 900, [row(0)], "not as predicted", False),
        (Bracket(500, None), 900, [row(0)], "was not reached up to 500 receipts, consistent", None),
        (Bracket(950, None), 900, [row(0)], "not as predicted (900)", False),
        (Bracket(None, None), 900, [row(0, denied_after_settle="unknown")], "is not known", None),
        (
            Bracket(None, None),
            None,
            [row(0, first_refusal_index=3.0, first_refusal_s=0.1, fees_at_first_refusal_grt=0.0)],
            "The payer was denied after an unknown number of receipts.",
            None,
        ),
    ],
)
def test_what_is_said_of_the_limit(bracket, predicted, rows, words, held):
    limit = conclude_limit(bracket, predicted, rows)
    assert limit["held"] is held
    assert words in limit["sentence"]
    assert "nan" not in limit["sentence"]


def test_the_lag_is_that_of_the_steps_and_not_of_the_walk():
    walk = row(2, kind="pinpoint", first_refusal_index=99.0, first_refusal_s=9.0, denial_lag_receipts=0.0)
    seen = row(1, first_refusal_index=21.0, first_refusal_s=0.2, denial_lag_receipts=7.0, denial_lag_s=0.05)
    limit = conclude_limit(Bracket(9, 10), 10, [walk, seen])
    assert (limit["first_refusal"]["step"], limit["denial_lag_receipts"]) == (1, 7.0)
    assert "Denial came 7 receipts and 50 ms after the limit was crossed." in limit["sentence"]


def test_predictions_in_words():
    fees = Fees(limit=10**18, balance=None)
    assert "limit 1 GRT, escrow unknown" in predict(fees, Budget(1000, "B"), 10**15).sentence
    assert "there is no limit to predict" in predict(fees, None, 0).sentence
    assert "cannot be predicted" in predict(None, None, 10**15).sentence

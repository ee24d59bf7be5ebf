"""First refusal, crossing, lag and bracket from samples whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.limit import Bracket, find_denial, heard_denial
from workbench.load.chunks import chunk_of
from workbench.sweep.pinpoint import APPROACH, MAX_WALK, approach

MS = 1_000_000
GRT = 10**18


def samples(outcomes: list[str], *, sent_ms: list[float] | None = None, service_ms: float = 5) -> pd.DataFrame:
    n = len(outcomes)
    sent = np.asarray(sent_ms if sent_ms is not None else [10.0 * i for i in range(n)]) * MS
    status = {"ok": 200, "backend_error": 200, "graphql_error": 200, "reset": 0, "timeout": 0}
    return pd.DataFrame(
        {
            "index": range(n),
            "intended_ns": (np.arange(n) * 10 * MS).astype(int),
            "sent_ns": sent.astype(int),
            "done_ns": (sent + service_ms * MS).astype(int),
            "status": [status.get(name, 400) for name in outcomes],
            "outcome": pd.Categorical(outcomes),
        }
    )


def test_the_guides_limit():
    frame = samples(["ok"] * 1021 + ["denied"] * 229)
    denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=GRT // 1000, budget=1000)
    assert denial.crossing_index == 999
    assert denial.refusal_index == 1021
    assert denial.paid_before_refusal == 1021
    assert denial.fees_grt == pytest.approx(1.021)
    assert denial.lag_receipts == 21
    assert denial.lag_s == pytest.approx((1021 - 999) * 0.010)
    assert denial.refusal_s == pytest.approx(10.215)


def test_a_refusal_does_not_overtake_receipts_that_wait_for_graph_node():
    """Accepted receipts take 200 ms and refusals none: by the order of the answers nothing was accepted before."""
    frame = samples(["ok"] * 30 + ["denied"] * 30, service_ms=200)
    refused = frame["outcome"] == "denied"
    frame.loc[refused, "done_ns"] = frame.loc[refused, "sent_ns"] + MS
    denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=GRT // 1000, budget=30)
    assert denial.paid_before_refusal == 30
    assert denial.lag_receipts == 0
    assert denial.lag_s == pytest.approx(0.010)
    assert denial.fees_grt == pytest.approx(0.03)


def test_the_databases_moment_of_denial_is_told_from_the_receipt_that_crossed_the_limit():
    frame = samples(["ok"] * 25 + ["denied"] * 5)
    denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=GRT // 1000, budget=20)
    heard = heard_denial(
        [chunk_of(frame)], denial, 213 * MS
    )  # between receipts 21 and 22, of which three more were taken
    assert heard.denied_s == pytest.approx(0.213)
    assert heard.lag_s == pytest.approx(0.213 - 0.190)
    assert heard.paid_after == 3
    early = heard_denial(
        [chunk_of(frame)], find_denial([chunk_of(frame)], spent_wei=0, value_wei=GRT // 1000, budget=None), 213 * MS
    )
    assert math.isnan(early.lag_s)
    for unheard in (heard_denial([chunk_of(frame)], denial, None), heard_denial([chunk_of(frame.iloc[:0])], denial, 5)):
        assert math.isnan(unheard.denied_s)


def test_order_is_that_of_the_sending_and_not_of_the_plan():
    frame = samples(["ok", "ok", "denied", "ok"], sent_ms=[0, 10, 40, 20])
    denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=1, budget=3)
    assert denial.crossing_index == 3
    assert denial.refusal_index == 2
    assert denial.paid_before_refusal == 3


def test_receipts_whose_query_failed_are_paid_for_and_others_are_not():
    frame = samples(["ok", "backend_error", "reset", "graphql_error", "bad_value", "denied"])
    denial = find_denial([chunk_of(frame)], spent_wei=5, value_wei=10, budget=None)
    assert denial.paid == 3
    assert denial.fees_grt == pytest.approx(35 / GRT)
    assert math.isnan(denial.lag_receipts)
    frame["status"] = 500  # the store failed: nothing was taken
    assert find_denial([chunk_of(frame)], spent_wei=5, value_wei=10, budget=None).paid == 0


def test_no_lag_is_claimed_where_the_budget_was_used_up_before():
    denial = find_denial([chunk_of(samples(["denied"] * 3))], spent_wei=50, value_wei=10, budget=0)
    assert denial.refused
    assert math.isnan(denial.lag_receipts)
    assert math.isnan(denial.lag_s)


def test_no_denial_and_no_samples():
    for frame in (samples(["ok"] * 3), samples([])):
        denial = find_denial([chunk_of(frame)], spent_wei=0, value_wei=1, budget=10)
        assert not denial.refused
        assert math.isnan(denial.crossing_index)


@given(st.integers(1, 2000), st.lists(st.integers(1, 3000), max_size=20))
def test_a_bracket_closes_in_on_the_truth(limit, counts):
    bracket = Bracket(None, None)
    for count in counts:
        bracket = bracket.with_step(count, count >= limit)
    assert bracket.low is None or bracket.low < limit
    assert bracket.high is None or bracket.high >= limit
    assert bracket.holds(limit) in (True, None)
    if bracket.exact:
        assert bracket.high == limit
        assert bracket.holds(limit + 1) is False


def test_an_unknown_step_teaches_nothing():
    assert Bracket(5, 10).with_step(7, None) == Bracket(5, 10)
    assert Bracket(5, 10).with_step(0, True) == Bracket(5, 10)


@given(st.integers(0, 5000), st.integers(1, 5000), st.none() | st.integers(1, 12_000))
def test_the_walk_starts_at_what_was_survived_and_covers_the_prediction(low, gap, predicted):
    bracket = Bracket(low or None, low + gap)
    way = approach(bracket, predicted)
    if bracket.exact:
        assert way is None
        return
    assert way is not None
    start, end = way
    assert low <= start < end <= low + gap
    assert end - start <= MAX_WALK
    if predicted is not None and low < predicted <= low + gap:
        assert start < predicted <= end
        assert predicted - start <= APPROACH


def test_without_a_denial_there_is_nothing_to_walk_to():
    assert approach(Bracket(100, None), 1000) is None

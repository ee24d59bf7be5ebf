"""What samples say: denied and failed apart, percentiles only where they are carried, late generators INVALID."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.report.frames import steps
from workbench.analysis.step_row import LATER
from workbench.load.chunks import chunk_of
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.spec import StepReport
from workbench.load.summary import Latency, summarise
from workbench.sweep.single import summary_text

MS = 1_000_000


def report(**changes) -> StepReport:
    values = {
        "started_ns": 0,
        "ended_ns": 10**9,
        "cpu_s": 0.2,
        "connections": 1,
        "sent": 100,
        "in_flight_max": 1,
        "cap_hits": 0,
        "signed_late": 0,
        "interrupted": False,
        "pid": 1,
    }
    return StepReport(**(values | changes))


def samples(outcomes: list[str], *, lag_ms: float = 0.0, service_ms: float = 5.0) -> pd.DataFrame:
    n = len(outcomes)
    intended = np.arange(n) * 10 * MS
    sent = intended + int(lag_ms * MS)
    return pd.DataFrame(
        {
            "index": np.arange(n),
            "intended_ns": intended,
            "sent_ns": sent,
            "done_ns": sent + int(service_ms * MS),
            "status": 200,
            "outcome": pd.Categorical(outcomes),
        }
    )


def late(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first ``count`` requests 6 ms late."""
    frame.loc[: count - 1, ["sent_ns", "done_ns"]] += 6 * MS
    return frame


def test_refusals_do_not_flatter_the_latency():
    frame = samples(["ok"] * 100 + ["denied"] * 100)
    frame.loc[100:, "done_ns"] = frame.loc[100:, "sent_ns"] + MS  # refusals are fast
    summary = summarise([chunk_of(frame)], OpenPlan(200, 100), report())
    assert summary.service.p50_ms == summary.service.max_ms == 5.0
    assert (summary.accepted, summary.denied, summary.failed) == (100, 100, 0)
    assert summary.failures == ""  # whether denial is one is for the experiment to say


def test_percentiles_need_ten_values_beyond_them():
    assert not math.isnan(Latency.of(np.arange(1000)).p99_ms)
    assert math.isnan(Latency.of(np.arange(999)).p99_ms)
    assert not math.isnan(Latency.of(np.arange(20)).p50_ms)
    assert math.isnan(Latency.of(np.arange(19)).p50_ms)
    assert math.isnan(Latency.of(np.array([], dtype=np.int64)).max_ms)
    assert Latency.of(np.arange(1, 1001) * MS).p99_ms == 990.0


@pytest.mark.parametrize(
    ("frame", "plan", "changes", "word"),
    [
        (samples(["ok"] * 100, lag_ms=1.5), OpenPlan(100, 100), {}, "half of the requests were sent 1.5 ms"),
        (late(samples(["ok"] * 100), 2), OpenPlan(100, 100), {}, "2 of 100 requests were sent more than 5.0 ms"),
        (samples(["ok"] * 98), OpenPlan(100, 100), {}, "only 98 of 100"),
        (samples(["ok"] * 100), OpenPlan(100, 100), {"cap_hits": 3}, "in flight"),
        (samples(["ok"] * 100), OpenPlan(100, 100), {"cpu_s": 0.95}, "95 % of a core"),
        (samples(["ok"] * 100), ClosedPlan(100, 2), {"signed_late": 2}, "2 receipts were signed only when due"),
        (samples(["ok"] * 100), ClosedPlan(100, 2), {"interrupted": True}, "interrupted"),
    ],
)
def test_a_generator_that_measured_itself_is_invalid_and_not_slow(frame, plan, changes, word):
    summary = summarise([chunk_of(frame)], plan, report(**changes))
    assert word in summary.invalid
    assert not summary.failures


def test_lag_of_a_tenth_of_the_service_time_is_allowed():
    assert (
        summarise([chunk_of(samples(["ok"] * 100, lag_ms=3, service_ms=40))], OpenPlan(100, 100), report()).invalid
        == ""
    )


def test_one_hiccup_in_a_short_step_decides_nothing():
    frame = samples(["ok"] * 50)
    frame.loc[7, ["sent_ns", "done_ns"]] += 50 * MS
    assert summarise([chunk_of(frame)], OpenPlan(50, 100), report(signed_late=1)).invalid == ""


@pytest.mark.parametrize(
    ("sent", "changes", "cut_short"),
    [
        (98, {}, "only 98 of 100 receipts were sent"),
        (100, {"interrupted": True}, "interrupted after 100 of 100 receipts"),
        (100, {"signed_late": 50, "cap_hits": 3, "cpu_s": 0.95}, ""),
    ],
)
def test_what_is_late_is_whole_and_what_is_cut_short_is_not(sent, changes, cut_short):
    summary = summarise([chunk_of(samples(["ok"] * sent))], OpenPlan(100, 100), report(**changes, signed_anew=7))
    assert summary.cut_short == cut_short
    assert summary.invalid
    assert summary.invalid == cut_short or not cut_short
    assert (summary.signed_late, summary.signed_anew) == (changes.get("signed_late", 0), 7)


def test_what_was_odd_in_the_connections_is_said():
    """From the generator's report to the text of a load; nothing is said where nothing was odd."""
    plan = OpenPlan(100, None, "ramp:10:30:5s")
    chunks = [chunk_of(samples(["ok"] * 97 + ["reset"] * 3))]
    for changes, said in (({"closed_idle": 3, "surplus": 2}, True), ({}, False)):
        summary = summarise(chunks, plan, report(**changes))
        assert (summary.closed_idle, summary.surplus) == ((3, 2) if said else (0, 0))
        row = {**LATER, **steps().iloc[0].to_dict(), "closed_idle": summary.closed_idle, "surplus": summary.surplus}
        row |= {"rate_per_s": plan.mean_rate, "outcomes": summary.outcomes}
        text = summary_text(row, version=2, arrivals=plan.arrivals)
        assert "open loop, 20 receipts/s on average, ramp:10:30:5s" in text
        assert ("3 of the resets on kept connections" in text) == said
        assert ("2 connections brought unexpected bytes" in text) == said


def test_time_that_was_spun_away_is_there_to_spare():
    chunks = [chunk_of(samples(["ok"] * 100))]
    assert "core" in summarise(chunks, OpenPlan(100, 100), report(cpu_s=0.98)).invalid
    spun = report(cpu_s=0.98, spun_s=0.8)
    assert summarise(chunks, OpenPlan(100, 100), spun).invalid == ""
    assert spun.cpu_percent == pytest.approx(18)

"""Knees that were planted are found, by each model by its own lights, and what cannot be told is not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import charts
from workbench.analysis import kneedle, operational, usl
from workbench.analysis.knee import Estimate, Knees, by_rate, knees
from workbench.search.condition import LEAST_SHARE, SLACK_S, unseen


def test_operational_is_the_last_rate_that_was_kept_up_with() -> None:
    assert operational.last_kept_up([100, 200, 400], [100, 199, 300]) == (200, 400)
    assert operational.last_kept_up([100, 200], [100, 200]) == (200, None)
    assert operational.last_kept_up([100, 200], [50, 200]) == (0.0, 100)


def test_kneedle_finds_the_corner_of_a_curve_that_levels_off_and_of_one_that_takes_off() -> None:
    rates = np.arange(100.0, 1100.0, 100.0)
    assert kneedle.knee(rates, np.minimum(rates, 600), "down") == 600
    assert kneedle.knee(rates, 5 + np.maximum(0, rates - 700), "up") == 700
    assert math.isnan(kneedle.knee(rates, rates, "down"))
    assert math.isnan(kneedle.knee(rates[:4], np.minimum(rates, 200)[:4], "down"))
    assert math.isnan(kneedle.knee(rates, np.full(10, 5.0), "up"))


def law(n: np.ndarray, gamma: float, alpha: float, beta: float) -> np.ndarray:
    return gamma * n / (1 + alpha * (n - 1) + beta * n * (n - 1))


@pytest.mark.slow
def test_the_scalability_law_finds_its_own_parameters_and_its_interval_holds_the_peak() -> None:
    n = np.array([1, 2, 4, 8, 16, 32, 64.0])
    exact = usl.fit(n, law(n, 100, 0.05, 0.0005))
    assert exact is not None
    assert (exact.gamma, exact.alpha, exact.beta) == pytest.approx((100, 0.05, 0.0005), rel=1e-6)
    assert exact.peak_in_flight == pytest.approx(math.sqrt(0.95 / 0.0005))
    generator, held = np.random.default_rng(3), 0
    for _ in range(20):
        beta = 0.0005 * generator.uniform(0.5, 2)
        found = usl.fit(n, law(n, 100, 0.05, beta) * np.exp(0.02 * generator.standard_normal(7)))
        assert found is not None
        peak = float(law(np.array([math.sqrt(0.95 / beta)]), 100, 0.05, beta)[0])
        held += found.low_per_s <= peak <= found.high_per_s
    assert held >= 16
    assert usl.fit(n[:5], n[:5]) is None


def steps(rates: list[float], throughput: list[float], p50_ms: list[float], **changes: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": range(len(rates)),
            "kind": "step",
            "verdict": "PASS",
            "profiler": "none",
            "rate_per_s": rates,
            "throughput_per_s": throughput,
            "response_p50_ms": p50_ms,
            "response_p95_ms": [2 * value for value in p50_ms],
        }
    ).assign(**changes)


def planted() -> pd.DataFrame:
    rates = [100.0, 200, 300, 400, 500, 600, 700, 800]
    return steps(rates, [min(rate, 500.0) for rate in rates], [5, 5, 6, 7, 9, 60, 120, 200])


def test_the_models_stand_beside_each_other() -> None:
    found = knees(planted())
    by_model = found.table.set_index("model")["rate_per_s"]
    assert by_model["operational"] == 500
    assert by_model["Kneedle, throughput"] == 500
    assert by_model["Kneedle, response"] in (500, 600)
    assert by_model["universal scalability law"] == pytest.approx(500, rel=0.25)  # approached
    assert "they agree" in found.sentence
    assert sum("/s" in str(note.text) for note in charts.knee(found).layout.annotations) == 4


def test_what_sending_and_answering_take_by_chance_is_no_lack_of_capacity() -> None:
    """20 receipts at 100/s that take 50 ms each are 83 a second from first to last; none was left over."""
    slow = {"sent": 20, "accepted": 20, "duration_s": [0.24, 0.24, 0.44], "drain_s": [0.05, 0.05, 0.25]}
    table = by_rate(steps([100.0, 200.0, 300.0], [83.0, 83.0, 45.0], [50.0] * 3, **slow))
    assert table["kept_per_s"].tolist() == pytest.approx([100, 200, 300 * 0.19 / 0.39])


@given(st.floats(0.2, 10), st.floats(0.001, 0.5), st.floats(1.0001, 2.0))
def test_a_queue_that_is_left_at_the_end_shows(sending_s: float, usual_s: float, over: float) -> None:
    """At ``over`` times the capacity the last answer comes so much later. Half of that is in the median, too."""
    queue_s = sending_s * (over - 1)
    share = operational.kept_share(sending_s + usual_s + queue_s, usual_s + queue_s, usual_s + queue_s / 2)
    assert share == pytest.approx(1 / (1 + (over - 1) / 2))
    passes = share >= LEAST_SHARE or queue_s / 2 <= SLACK_S
    assert abs(over - unseen(sending_s)) < 1e-6 or passes == (over <= unseen(sending_s))
    assert operational.kept_share(sending_s + usual_s, usual_s, usual_s) == pytest.approx(1)
    assert math.isnan(operational.kept_share(usual_s, usual_s, usual_s))  # one receipt


def test_models_that_disagree_say_so() -> None:
    parts = tuple(Estimate(name, rate, math.nan, math.nan, "") for name, rate in (("a", 100.0), ("b", 300.0)))
    assert "The models disagree, from 100 to 300/s (a 100/s, b 300/s)" in Knees(by_rate(planted()), parts).sentence


def test_what_does_not_count_is_left_out() -> None:
    every = planted()
    every.loc[7, "verdict"] = "INVALID"
    every.loc[6, "profiler"] = "callgrind"
    assert list(by_rate(every)["rate_per_s"]) == [100, 200, 300, 400, 500, 600]
    one_rate = knees(steps([400.0] * 5, [400.0] * 5, [5.0] * 5))
    assert (one_rate.sentence, one_rate.estimates) == ("", ())
    assert knees(every.iloc[:0]).sentence == ""
    unbent = knees(steps([100.0, 200, 300], [100.0, 200, 300], [5.0, 5, 5]))
    assert "No model finds a knee" in unbent.sentence


def test_requests_in_flight_are_of_the_mean_where_histograms_tell_it() -> None:
    table = steps([100.0], [100.0], [5.0])
    histogram = pd.DataFrame(
        {
            "step": 0,
            "clock": "response",
            "lower_ns": [10**7, 3 * 10**7],
            "upper_ns": [10**7, 3 * 10**7],
            "count": [1, 1],
        }
    )
    assert by_rate(table)["in_flight"].tolist() == pytest.approx([0.5])
    assert by_rate(table, histogram)["in_flight"].tolist() == pytest.approx([2.0])

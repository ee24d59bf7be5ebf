"""Repeats are the unit of claims: t over their figures, invalid ones left out, thresholds held against the mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.thresholds.made import row
from workbench.analysis.measured_figures import step_figures
from workbench.analysis.repeats import repeats_table, sentences, together
from workbench.analysis.step_row import to_frame
from workbench.thresholds.judge import judge
from workbench.thresholds.parse import parse_threshold

P95 = (40.0, 44.0, 42.0, 47.0, 41.0)


def rows(invalid: int | None = None):
    return [
        row(
            turn * 2 + size,
            receipts=500 * (size + 1),
            repeat=turn + 1,
            response_p50_ms=10.0 + turn,
            response_p95_ms=value + 10 * size,
            verdict="INVALID" if turn == invalid else "PASS",
        )
        for turn, value in enumerate(P95)
        for size in (0, 1)
    ]


def test_the_interval_is_student_s_over_the_repeats() -> None:
    found = together(P95)
    low, high = stats.t.interval(0.95, 4, np.mean(P95), stats.sem(P95))
    assert (found.repeats, found.mean) == (5, pytest.approx(np.mean(P95)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(together([3.0, math.nan]).low)
    assert together([]).repeats == 0


def test_its_coverage_holds_for_repeats_that_differ_more_than_their_rows() -> None:
    rng = np.random.default_rng(1)
    held = [found.low <= 40 <= found.high for found in (together(list(rng.normal(40, 3, 5))) for _ in range(500))]
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_row_a_size_and_figure_and_invalid_ones_are_left_out() -> None:
    table = repeats_table(to_frame(rows(invalid=3)))
    p95 = table[table["figure"] == "response_p95_ms"].set_index("receipts")
    assert p95["repeats"].tolist() == [4, 4]
    assert p95["highest"].tolist() == [44.0, 54.0]
    assert p95.loc[500, "mean"] == pytest.approx(np.mean([40.0, 44.0, 42.0, 41.0]))
    first, second = sentences(table)
    assert first.startswith("500 receipts, 4 valid repeats: throughput 200 (200 to 200) /s, response p50 ")
    assert "p95 51.75 (" in second


def test_steps_measured_once_have_no_table() -> None:
    assert repeats_table(to_frame([row(0), row(1, receipts=50)])).empty
    assert repeats_table(to_frame([])).empty


def test_a_threshold_of_a_time_is_held_against_the_mean_of_the_repeats() -> None:
    threshold = parse_threshold("response_p95_ms[receipts=500] > 45")
    found = judge(threshold, step_figures(threshold.name, rows()))
    assert found.verdict == "PASS"  # one repeat of 47 is no ground
    assert found.value == pytest.approx(np.mean(P95))
    assert "in 5 repeats of 500 receipts, n = 5,000" in found.line
    assert not found.sure
    some = judge(threshold, step_figures(threshold.name, rows(invalid=3)))
    assert "in 4 of 5 repeats of 500 receipts" in some.line
    above = parse_threshold("response_p95_ms > 45")
    assert judge(above, step_figures(above.name, rows())).place == "5 repeats of 1,000 receipts"
    count = parse_threshold("accepted < 5")
    assert len(step_figures(count.name, rows())) == 10

"""Percentiles: intervals that cover the truth in autocorrelated samples, and refusals where they could not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from benchmarks.coverage import cells, latencies
from workbench.stats.bootstrap import dependence, ranks
from workbench.stats.quantiles import Quantile, grouped, of_ranks, quantiles, rank_intervals


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "strength"), [(200, 0.0), (1_000, 0.0), (1_000, 0.5), (1_000, 0.9), (5_000, 0.8)])
def test_95_percent_intervals_cover_92_to_98_percent(rows: int, strength: float) -> None:
    # the table of 500 runs a line is benchmarks/coverage.py; 150 are off by 4 points at most
    line = cells(rows, strength, runs=150)
    assert {name: str(cell) for name, cell in line.items() if not cell.good(slack=4.0)} == {}
    assert line["p50"].carried


def test_rows_that_hang_together_have_wider_intervals() -> None:
    rng = np.random.default_rng(1)
    alone, together = quantiles(latencies(2_000, 0.0, rng))[0], quantiles(latencies(2_000, 0.9, rng))[0]
    assert alone.effective_n > 1_500
    assert together.effective_n < 400
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_independent_rows_have_the_interval_of_the_binomial() -> None:
    values = np.random.default_rng(2).exponential(size=1_000)
    exact = stats.quantile_test(values, p=0.95).confidence_interval(0.95)
    found = quantiles(values)[2]
    assert found.low == pytest.approx(exact.low, rel=0.06)
    assert found.high == pytest.approx(exact.high, rel=0.06)


@pytest.mark.parametrize(
    ("rows", "shown"), [(19, []), (20, ["p50"]), (100, ["p50", "p90"]), (200, ["p50", "p90", "p95"])]
)
def test_a_percentile_needs_ten_rows_beyond_it(rows: int, shown: list[str]) -> None:
    found = quantiles(np.random.default_rng(rows).permutation(rows) + 1.0)
    assert [one.name for one in found if not math.isnan(one.value)] == shown
    assert found[-1].refused == f"p99 needs 1,000 rows, found {rows}"
    assert math.isnan(found[-1].low)


def test_a_thousand_rows_that_say_as_much_as_a_few_carry_no_interval() -> None:
    p50, *_, p99 = quantiles(latencies(1_000, 0.995, np.random.default_rng(5)))
    assert not math.isnan(p99.value)
    for one in (p50, p99):
        assert math.isnan(one.low)
        assert math.isnan(one.high)
        assert "neighbouring rows are correlated: 1,000 of them tell as much as" in one.refused
    assert "needs 700" in p99.refused


@given(arrays(float, st.integers(0, 400), elements=st.floats(0, 1e6, width=32)))
def test_the_value_lies_in_its_interval_and_is_one_of_the_rows(values: np.ndarray) -> None:
    for one in quantiles(values):
        assert math.isnan(one.low) == bool(one.refused)
        assert math.isnan(one.value) or one.value in values
        assert one.refused or one.low <= one.value <= one.high


def test_groups_of_neighbours_give_about_the_interval_of_the_rows() -> None:
    values = latencies(60_000, 0.8, np.random.default_rng(3))
    size, shares = 20, (0.5, 0.95)
    ordered = np.sort(values)
    together = dependence(np.concatenate(list(grouped(np.array_split(ranks(values), 7), size))))

    def below(share: float) -> np.ndarray:
        return np.concatenate(list(grouped([values <= np.quantile(values, share, method="inverted_cdf")], size)))

    found = rank_intervals(len(values), shares, below, together)
    for share, one, rows in zip(shares, found, quantiles(values, shares), strict=True):
        by_group = of_ranks(share, one, len(values), together.effective_n, lambda rank: float(ordered[rank]))
        assert by_group.value == rows.value
        assert by_group.high - by_group.low == pytest.approx(rows.high - rows.low, rel=0.3)


@given(st.lists(arrays(float, st.integers(0, 30), elements=st.floats(-9, 9)), max_size=6), st.integers(1, 9))
def test_groups_do_not_depend_on_how_the_rows_come(parts: list[np.ndarray], size: int) -> None:
    whole = np.concatenate([np.empty(0), *parts])
    found = np.concatenate([np.empty(0), *grouped(parts, size)])
    assert found == pytest.approx(whole[: len(whole) // size * size].reshape(-1, size).mean(axis=1))


def test_names_are_those_that_people_use() -> None:
    assert [Quantile(share, 1, 1, 1, 9, 9).name for share in (0.5, 0.999)] == ["p50", "p99.9"]

"""Blocks drawn again: lengths and spreads where theory knows them, repeatable, quick for many rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.coverage import latencies
from workbench.stats.bootstrap import (
    MOST_BLOCKS,
    block_length,
    dependence,
    interval_of,
    long_run_variance,
    mean_interval,
    mean_replicates,
    quantile_replicates,
    ranks,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def process(rows: int, strength: float, seed: int = 0) -> np.ndarray:
    """A stationary AR(1) process of variance 1."""
    return np.log(latencies(rows, strength, np.random.default_rng(seed))) / 0.5


@pytest.mark.parametrize("strength", [0.5, 0.8, 0.9])
def test_a_block_is_as_long_as_theory_has_it(strength: float) -> None:
    rows = 20_000
    ideal = (1.5 * (2 * strength / (1 - strength**2)) ** 2 * rows) ** (1 / 3)
    assert block_length(process(rows, strength)) == pytest.approx(ideal, rel=0.3)


def test_independent_rows_need_no_blocks() -> None:
    assert np.mean([block_length(process(2_000, 0.0, seed)) for seed in range(20)]) < 4
    assert block_length(np.ones(500)) == 1.0


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9])
def test_the_spread_is_that_of_the_process(strength: float) -> None:
    expected = (1 + strength) / (1 - strength)
    found = [
        long_run_variance(values := process(20_000, strength, seed), max(1, round(block_length(values))))
        for seed in range(10)
    ]
    assert np.mean(found) == pytest.approx(expected, rel=0.12)
    effective = dependence(process(20_000, strength)).effective_n
    assert effective == pytest.approx(20_000 / expected, rel=0.25)


def test_replicates_are_repeatable_and_spread_like_the_mean() -> None:
    values = process(5_000, 0.8)
    first = mean_replicates(values, seed=3)
    assert np.array_equal(first, mean_replicates(values, seed=3))
    assert not np.array_equal(first, mean_replicates(values, seed=4))
    assert first.mean() == pytest.approx(values.mean(), abs=0.01)
    assert first.std() == pytest.approx(math.sqrt(9 / 5_000), rel=0.25)


def test_of_many_rows_a_replicate_draws_a_bounded_number_of_blocks() -> None:
    values = process(MOST_BLOCKS * 50, 0.0)
    replicates = mean_replicates(values, replicates=400)
    assert replicates.std() == pytest.approx(1 / math.sqrt(len(values)), rel=0.15)


def test_quantiles_of_replicates_lie_around_the_quantiles() -> None:
    values = process(4_000, 0.5)
    found = quantile_replicates(values, (0.1, 0.5, 0.9))
    assert found.shape == (1000, 3)
    assert np.abs(np.median(found, axis=0) - np.quantile(values, (0.1, 0.5, 0.9))).max() < 0.05
    assert set(np.unique(found)) <= set(values)


def test_a_shift_between_two_samples_is_in_the_interval_of_its_differences() -> None:
    one, other = process(4_000, 0.5, 1), process(4_000, 0.5, 2) + 0.5
    shift = quantile_replicates(other, (0.5,), seed=2) - quantile_replicates(one, (0.5,), seed=1)
    interval = interval_of(shift[:, 0])
    assert 0.5 in interval
    assert 0.0 not in interval


@given(arrays(float, st.integers(0, 60), elements=FINITE))
def test_any_values_have_replicates_within_their_range(values: np.ndarray) -> None:
    found = quantile_replicates(values, (0.5, 0.9), replicates=50)
    if len(values):
        assert found.min() >= values.min()
        assert found.max() <= values.max()
    else:
        assert np.isnan(found).all()
    interval = mean_interval(values)
    assert math.isnan(interval.low) or interval.low <= interval.high


@given(arrays(float, st.integers(1, 40), elements=FINITE))
def test_ranks_add_up_and_keep_the_order(values: np.ndarray) -> None:
    found = ranks(values)
    assert found.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
    assert np.array_equal(np.argsort(found, kind="stable"), np.argsort(values, kind="stable"))


def test_one_value_or_none_says_nothing() -> None:
    assert math.isnan(mean_interval([1.0]).low)
    assert math.isnan(mean_interval([]).high)
    assert math.isnan(interval_of([]).low)
    assert mean_interval([2.0] * 50) == interval_of([2.0])

"""Changes in a figure over runs: those that are there, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.change_points import change_points


def test_two_changes_are_found_where_they_are() -> None:
    noise = np.random.default_rng(1).normal(0, 1, 60)
    values = np.concatenate([np.full(20, 100.0), np.full(25, 112.0), np.full(15, 90.0)]) + noise
    first, second = change_points(values)
    assert (first.first, second.first) == (20, 45)
    assert first.percent == pytest.approx(12, abs=1)
    assert second.after == pytest.approx(90, abs=1)


def test_nothing_is_found_where_nothing_changed() -> None:
    series = [np.random.default_rng(seed).normal(100, 5, 30) for seed in range(100)]
    assert sum(bool(change_points(values)) for values in series) <= 3


def test_one_slow_run_is_no_change() -> None:
    values = np.random.default_rng(3).normal(100, 2, 20)
    values[9] = 400.0
    assert change_points(values) == []


def test_exact_counts_change_with_any_difference_and_two_runs_tell() -> None:
    (change,) = change_points([6_636_000, 6_636_000, 6_636_000, 4_304_000, 4_304_000])
    assert (change.first, change.p) == (3, 0.0)
    assert change.percent == pytest.approx(-35.1, abs=0.1)
    assert change_points([6_636_000, 6_636_000, 6_636_000, 4_304_000]) == []


@given(st.lists(st.floats(-1e9, 1e9), max_size=30))
def test_whatever_the_figures_are_changes_are_in_order_and_inside(values: list[float]) -> None:
    firsts = [change.first for change in change_points(values)]
    assert firsts == sorted(set(firsts))
    assert all(2 <= first <= len(values) - 2 for first in firsts)

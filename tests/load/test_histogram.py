"""Percentiles of a stream are those of the whole, to the last digit; what a histogram's table gives is near them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from workbench.load.histogram import (
    RESOLUTION,
    Histogram,
    order_statistics,
    quantiles_ms,
    rank_of,
    to_frame,
)
from workbench.load.summary import Latency

# small ones collide, large ones are beyond where a double is exact
TIMES = st.one_of(st.integers(-5, 20), st.integers(-(10**9), 10**12), st.integers(-(1 << 60), 1 << 60))


def parts(values: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(cut % (len(values) + 1) for cut in cuts))


@given(
    st.lists(TIMES, min_size=1, max_size=200),
    st.lists(st.integers(0, 200), max_size=5),
    st.lists(st.integers(0, 199), min_size=1, max_size=6),
    st.sampled_from((1, 3, 50, 1000)),
)
def test_ranks_are_exact_however_the_values_are_cut_and_however_few_are_gathered(values, cuts, ranks, gathered):
    array = np.array(values, dtype=np.int64)
    ranks = [rank % len(values) for rank in ranks]
    expected = np.sort(array)[ranks].tolist()
    assert order_statistics(lambda: parts(array, cuts), ranks, gathered=gathered) == expected


def test_many_equal_values_are_found_without_holding_them():
    calls = []

    def values():
        calls.append(1)
        return [np.full(1000, 5_000_000, dtype=np.int64)] * 20

    assert order_statistics(values, [0, 9_999, 19_999], gathered=100) == [5_000_000] * 3
    assert len(calls) == 2  # one look for the counts, one for the parts of the only bucket


@given(st.integers(1, 100_000), st.sampled_from((50, 90, 95, 99)))
def test_a_rank_is_that_of_numpys_inverted_cdf(n, percent):
    assert rank_of(n, percent) == np.percentile(np.arange(n), percent, method="inverted_cdf")


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=1500), st.lists(st.integers(0, 1500), max_size=4))
def test_percentiles_are_those_of_the_whole_column(values, cuts):
    array = np.array(values, dtype=np.int64)
    found = Latency.of_many(lambda: parts(array, cuts))
    milliseconds = array / 1e6
    assert found.max_ms == milliseconds.max()
    for percent in (50, 90, 95, 99):
        if len(values) * (100 - percent) >= 1000:
            expected = float(np.percentile(milliseconds, percent, method="inverted_cdf"))
            assert getattr(found, f"p{percent}_ms") == expected
        else:
            assert math.isnan(getattr(found, f"p{percent}_ms"))


def table_of(values: np.ndarray, exact: int) -> pd.DataFrame:
    return to_frame(Histogram.of([values]), lambda: [values], step=3, clock="lag", exact=exact)


@given(st.lists(st.integers(-10, 10**11), min_size=1, max_size=300), st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_quantiles_of_few_values_are_numpys_and_of_many_within_a_bucket(values, shares):
    array, shares = np.array(values, dtype=np.int64), np.array(shares)
    expected = np.quantile(array / 1e6, shares)
    exact = table_of(array, exact=300)
    assert exact["count"].sum() == len(values)
    np.testing.assert_allclose(quantiles_ms(exact, shares), expected, rtol=1e-9, atol=1e-9)
    coarse = table_of(array, exact=0)
    assert coarse["count"].sum() == len(values)
    assert (coarse["lower_ns"] <= coarse["upper_ns"]).all()
    assert (coarse["upper_ns"].to_numpy()[:-1] < coarse["lower_ns"].to_numpy()[1:]).all()
    assert (coarse["lower_ns"].min(), coarse["upper_ns"].max()) == (array.min(), array.max())
    above = coarse[coarse["lower_ns"] > 0]
    assert (above["upper_ns"] - above["lower_ns"] <= RESOLUTION * above["lower_ns"]).all()
    if (array > 0).all():
        lower = np.quantile(array, shares, method="lower") / 1e6
        higher = np.quantile(array, shares, method="higher") / 1e6
        found = quantiles_ms(coarse, shares)
        assert (found >= lower * (1 - RESOLUTION) - 1e-9).all()
        assert (found <= higher * (1 + RESOLUTION) + 1e-9).all()


def test_a_table_of_nothing_has_its_columns():
    nothing = to_frame(Histogram(), list, step=0, clock="lag")
    assert list(nothing) == ["step", "clock", "lower_ns", "upper_ns", "count"]
    assert nothing.empty

"""Exact tests of counts, what repeats tell, and the shift of response times."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.compare.comparison import compare_sides
from workbench.compare.gate import gate
from workbench.compare.loaded import DECILES, UNTOLD, load_table, outcome_table
from workbench.compare.repeats import differ
from workbench.compare.side import Side
from workbench.compare.significance import CALLS_COME_IN, corrected, joint_dispersion, rates, shares


def test_two_rates_against_the_exact_test_by_hand() -> None:
    """10 of 10 on one side, by a fair coin: 2 * 2^-10, and Clopper and Pearson's ends."""
    found = rates((0, 100), (10, 100))
    assert found.p == pytest.approx(2 / 1024)
    assert found.change_pct == math.inf
    assert found.low_pct == pytest.approx(100 * (0.025 ** (1 / 10) / (1 - 0.025 ** (1 / 10)) - 1))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.5, 2), st.floats(1, 20))
@example(1, 60, 1.0, 1.5)
def test_an_interval_holds_the_change_and_scatter_widens_it(one: int, other: int, ratio: float, scatter: float) -> None:
    narrow, wide = rates((one, 100), (other, 100 * ratio)), rates((one, 100), (other, 100 * ratio), scatter)
    assert narrow.low_pct <= narrow.change_pct <= narrow.high_pct
    assert wide.change_pct == narrow.change_pct
    if not math.isnan(wide.low_pct):  # fewer than half a call is nothing to tell from
        assert wide.low_pct <= wide.change_pct <= wide.high_pct
    if one + other > 40 * scatter:
        assert wide.high_pct - wide.low_pct >= 0.9 * (narrow.high_pct - narrow.low_pct)


def test_scatter_is_taken_from_the_steps_of_both_sides() -> None:
    assert joint_dispersion([([100], [10]), ([120], [10])]) == CALLS_COME_IN
    assert joint_dispersion([([100, 100, 100], [10, 10, 10]), ([120, 120], [10, 10])]) == 1
    assert joint_dispersion([([50, 150], [10, 10]), ([100], [10])]) == pytest.approx(50)


def test_correction_leaves_the_unknown_out() -> None:
    found = corrected([0.01, math.nan, 0.02])
    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert corrected([math.nan]).shape == (1,)


def test_shares_are_told_apart_by_fishers_test() -> None:
    assert shares((0, 1000), (12, 1000)) < 0.001
    assert shares((5, 1000), (6, 1000)) > 0.5


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ([5.0, 5.0, 5.0], [5.0, 5.0, 5.0], False),
        ([5.0, 5.0, 5.0], [5.5, 5.5, 5.5], True),
        ([5.0, 5.4, 5.2], [5.3, 5.1, 5.5], False),
        ([5.0], [5.5], True),  # nothing tells what repeating changes
        ([], [1.0, 2.0], True),
    ],
)
def test_what_is_within_the_repeats_is_no_change(one: list[float], other: list[float], told: bool) -> None:
    assert differ(one, other) is told


def times(seed: int, steps: int, shift: float = 1.0, tail: float = 1.0, rows: int = 400) -> Side:
    """Steps of one load with autocorrelated response times."""
    random = np.random.default_rng(seed)
    parts = []
    for step in range(steps):
        noise = random.standard_normal(rows + 20)
        smooth = np.convolve(noise, np.ones(5) / 5**0.5, mode="valid")[:rows]
        values = 5 * shift * np.exp(0.3 * smooth * tail) * (1 + 0.01 * random.standard_normal())
        parts.append(pd.DataFrame({"load": "400 receipts, 200 a second", "step": step, "response_ms": values}))
    outcomes = pd.DataFrame({"outcome": ["ok"], "receipts": [rows * steps]})
    return Side(name=str(seed), responses=pd.concat(parts), outcomes=outcomes)


@pytest.mark.parametrize("steps", [1, 4])
def test_response_times_of_one_load_do_not_differ(steps: int) -> None:
    wrong = 0
    for seed in range(0, 20, 2):
        table = load_table(times(seed, steps), times(seed + 1, steps))
        assert table["decile"].tolist() == list(DECILES)
        wrong += int(table["verdict"].isin(("slower", "faster")).any())
    assert wrong <= 1


def test_a_shift_is_found_and_its_interval_holds_it() -> None:
    before, after = times(1, 6), times(2, 6, shift=1.3)
    table = load_table(before, after)
    assert (table["verdict"] == "slower").all()
    assert ((table["low_pct"] < 30) & (table["high_pct"] > 30)).all()
    found = gate(compare_sides([before, after]))
    assert "response at 50%, 400 receipts, 200 a second" in set(found.failed["name"])
    assert gate(compare_sides([after, before])).exit_code == 0


def test_a_longer_tail_shifts_the_upper_deciles_alone() -> None:
    table = load_table(times(3, 8), times(4, 8, tail=2.0)).set_index("decile")
    assert table.at[0.9, "verdict"] == "slower"
    assert table.at[0.5, "verdict"] == "no difference found"
    assert table.at[0.1, "verdict"] == "faster"


def test_without_a_repeat_a_difference_is_left_out_of_the_gate() -> None:
    sides = [times(5, 1), times(6, 1, shift=2.0)]
    assert set(load_table(*sides)["verdict"]) == {UNTOLD}
    table = gate(compare_sides(sides)).table
    assert (table.loc[table["mode"] == "load", "verdict"].iloc[:2] == "left out").all()
    assert "no step was repeated" in table["why"].iloc[0]


def test_the_noise_floor_of_the_target_is_taken_where_it_was_measured() -> None:
    before, after = times(5, 1), replace(times(6, 1, shift=2.0), floors={0.5: 20.0, 0.9: 150.0})
    table = load_table(before, after).set_index("decile")
    assert set(table["noise_from"]) == {"A/A"}
    assert table.at[0.3, "noise_pct"] == 20
    assert table.at[0.3, "verdict"] == "slower"
    assert table.at[0.8, "verdict"] == "no difference found"
    assert "equal loads of this target differ by up to 150.0 % (A/A)" in compare_sides([before, after]).text


def test_too_few_receipts_have_no_deciles() -> None:
    assert load_table(times(7, 1, rows=10), times(8, 1, rows=10)).empty


def test_refusals_that_came_fail_the_gate() -> None:
    before, after = times(9, 3), times(10, 3)
    refused = pd.DataFrame({"outcome": ["ok", "denied"], "receipts": [1150, 50]})
    after = Side(name="after", responses=after.responses, outcomes=refused)
    table = outcome_table(before, after).set_index("outcome")
    assert table.at["denied", "verdict"] == "more"
    assert table.at["ok", "verdict"] == "fewer"
    assert {"outcome ok", "outcome denied"} <= set(gate(compare_sides([before, after])).failed["name"])

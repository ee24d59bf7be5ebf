"""Student's t against printed tables and against what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from workbench.stats.false_discovery import adjusted, false_discovery_rates
from workbench.stats.student import quantile, upper_tail

# Abramowitz and Stegun, table 26.10
TABLE = [
    (1, 0.975, 12.706), (2, 0.975, 4.303), (3, 0.975, 3.182), (4, 0.995, 4.604), (5, 0.95, 2.015), (10, 0.975, 2.228),
    (10, 0.9995, 4.587), (30, 0.975, 2.042), (120, 0.975, 1.980),
]  # fmt: skip


@pytest.mark.parametrize(("df", "p", "expected"), TABLE)
def test_quantiles_are_those_of_the_printed_table(df: int, p: float, expected: float) -> None:
    assert quantile(p, df) == pytest.approx(expected, abs=6e-4)


@given(st.integers(1, 60), st.floats(0.51, 0.9999))
def test_the_tail_above_a_quantile_is_what_it_was_asked_for(df: int, p: float) -> None:
    assert upper_tail(np.array([quantile(p, df)]), df)[0] == pytest.approx(1 - p, abs=1e-9)


@given(st.integers(1, 60), st.floats(-50, 50))
def test_the_two_tails_add_up_to_one(df: int, t: float) -> None:
    assert upper_tail(np.array([t, -t]), df).sum() == pytest.approx(1)


@pytest.mark.parametrize(("p", "df"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_what_has_no_answer_is_refused(p: float, df: int) -> None:
    with pytest.raises(ValueError, match="found"):
        quantile(p, df)


def test_false_discovery_rates_are_those_of_benjamini_and_hochberg() -> None:
    # the example of their paper, table 1: at 5 % the first four of fifteen are flagged
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
                  0.6528, 0.7590, 1.0])  # fmt: skip
    everyone = np.ones(len(p), dtype=bool)
    assert np.flatnonzero(false_discovery_rates(p, everyone) <= 0.05).tolist() == [0, 1, 2, 3]
    few = p < 0.001
    assert false_discovery_rates(p, few)[:3] == pytest.approx([0.0002, 0.0004, 1.0])
    assert (false_discovery_rates(p, ~everyone) == 1).all()


@given(st.lists(st.floats(0, 1), max_size=30))
def test_false_discovery_rates_are_those_of_scipy(chances: list[float]) -> None:
    expected = false_discovery_control(chances) if chances else []
    assert adjusted(np.array(chances)) == pytest.approx(np.array(expected), rel=1e-12, abs=0)

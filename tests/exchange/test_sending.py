"""When requests are due, and until when they are good."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.exchange.sending import CHUNK, Sending
from workbench.load.plan import OpenPlan

START = 1_795_980_661_519_000_000


@given(st.integers(1, 3 * CHUNK), st.floats(0.5, 50_000))
def test_each_is_due_by_the_plan_of_a_load(count: int, rate: float) -> None:
    due = list(Sending(count, rate, START, 15).due_ns())
    assert due == (OpenPlan(count, rate).offsets_ns() + START).tolist()
    assert all(earlier <= later for earlier, later in pairwise(due))


@given(st.integers(1, 5000))
def test_without_a_rate_all_are_due_at_the_start(count: int) -> None:
    planned = Sending(count, None, START, 15)
    assert list(planned.due_ns()) == [START] * count
    assert (planned.duration_s, planned.warning()) == (0, "")


@given(st.integers(1, 100_000), st.floats(0.5, 10_000), st.floats(1, 600))
def test_sent_by_the_plan_from_any_moment_that_is_said_every_one_is_in_its_window(
    count: int, rate: float, window_s: float
) -> None:
    planned = Sending(count, rate, START, window_s)
    for begun in (planned.begin_after_ns, planned.begin_before_ns):
        assert abs(begun - planned.start_ns) <= window_s * 1e9 + 1  # and so is each later one, as far from its stamp


@pytest.mark.parametrize(
    ("count", "rate", "warned"), [(2000, 200.0, False), (3001, 200.0, False), (3002, 200.0, True), (9_999, None, False)]
)
def test_a_warning_where_another_pace_would_leave_the_window(count: int, rate: float | None, warned: bool) -> None:
    warning = Sending(count, rate, START, 15).warning()
    assert bool(warning) is warned
    assert not warned or "faster or slower than 200 a second they are refused" in warning


def test_the_sentence_names_the_moments() -> None:
    planned = Sending(1, 2.0, START, 15)
    assert "1 request, stamped for 2 a second" in planned.sentence()
    assert planned.begin_after_ns == START - 15_000_000_000
    assert planned.begin_before_ns == START + 15_000_000_000

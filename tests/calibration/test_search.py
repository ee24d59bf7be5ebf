"""The search for the highest rate: exact without noise, bounded always, never above what most trials carried."""

from __future__ import annotations

import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.calibration.search import PRECISION, VOTES, Search

CAPACITIES = st.floats(60, 900_000)
STARTS = st.floats(50, 1_000_000)


def run(search: Search, passes) -> Search:
    while (rate := search.upcoming()) is not None:
        search = search.tried(rate, passes(rate))
    return search


@given(CAPACITIES, STARTS)
def test_without_noise_it_finds_the_capacity_to_its_precision(capacity, start):
    search = run(Search(start, max_trials=200), lambda rate: rate <= capacity)
    assert search.complete
    assert search.found <= capacity < search.found * PRECISION * 1.02  # rates are rounded to three digits


@given(CAPACITIES, STARTS, st.integers(0, 1 << 30), st.integers(1, 40), st.floats(0, 1))
def test_it_ends_within_its_trials_whatever_the_noise(capacity, start, seed, most, noise):
    rng = random.Random(seed)
    search = run(Search(start, max_trials=most), lambda rate: (rate <= capacity) != (rng.random() < noise))
    assert len(search.trials) <= most
    if search.found:
        results = [passed for rate, passed in search.trials if rate == search.found]
        assert 2 * sum(results) > len(results) >= 2
        assert len(results) <= VOTES
    assert len(search.trials) == most or search.complete


@given(CAPACITIES, STARTS, st.integers(0, 1 << 30))
def test_a_neighbour_that_spoils_trials_now_and_then_never_raises_the_rate(capacity, start, seed):
    rng = random.Random(seed)
    search = run(Search(start, max_trials=400), lambda rate: rate <= capacity and rng.random() > 0.2)
    assert search.found <= capacity


@given(CAPACITIES, STARTS, st.integers(0, 100))
def test_one_spoilt_trial_changes_nothing(capacity, start, spoilt):
    trial = count()
    search = run(Search(start, max_trials=400), lambda rate: rate <= capacity and next(trial) != spoilt)
    assert search.found <= capacity < search.found * PRECISION * 1.02


@given(STARTS)
def test_a_machine_that_passes_nothing_has_no_rate(start):
    search = run(Search(start, max_trials=200), lambda rate: False)
    assert search.complete
    assert search.found == 0
    assert min(rate for rate, _ in search.trials) == search.lowest


@given(STARTS)
def test_what_passes_everything_has_the_highest_rate(start):
    search = run(Search(start, max_trials=200), lambda rate: True)
    assert search.complete
    assert search.found == search.highest


def test_a_search_that_is_cut_short_has_what_it_found_by_then():
    search = Search(1000, max_trials=4)
    for expected, passed in ((1000, True), (2000, False), (2000, False), (1410, True)):
        assert search.upcoming() == expected
        search = search.tried(expected, passed)
    assert search.upcoming() is None
    assert not search.complete
    assert search.found == 0  # each of them passed only once
    assert search.at_least == 1410


def test_a_lucky_pass_while_doubling_is_made_up_for():
    """1000 passed once and fails when it is to be the result: the search goes on below it."""
    search = Search(1000).tried(1000, True)
    for rate in (2000, 2000, 1410, 1410, 1190, 1190, 1090, 1090, 1040, 1040):
        assert search.upcoming() == pytest.approx(rate, rel=0.01)
        search = search.tried(search.upcoming() or 0, False)
    assert search.upcoming() == 1000
    search = search.tried(1000, False).tried(1000, False)
    assert (search.upcoming() or 0) < 1000

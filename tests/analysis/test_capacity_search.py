"""The search for the capacity: brackets hold the truth, hiccups and generators that cannot offer a rate do not fool it.

`python -m benchmarks.limits` does the same over 500 searches of each kind.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.limits import simulated
from workbench.analysis.capacity_search import INVALID, CapacitySearch


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "hiccups"), [(0.0, 0.0), (0.03, 0.02), (0.1, 0.05)])
def test_brackets_hold_the_truth(noise: float, hiccups: float) -> None:
    found = [simulated(seed, noise, hiccups) for seed in range(25)]
    assert sum(one.held for one in found) >= 22  # 24 are expected
    assert all(one.trials <= 40 for one in found)
    assert np.median([one.width for one in found]) < 1.2


def at(search: CapacitySearch, capacity: float, offered: float = math.inf) -> CapacitySearch:
    while (rate := search.upcoming()) is not None:
        search = search.tried(rate, "invalid" if rate > offered else "pass" if rate <= capacity else "fail")
    return search


def test_it_doubles_then_halves() -> None:
    rates = [rate for rate, _ in at(CapacitySearch(start=50), 300).trials]
    assert rates[:4] == [50, 100, 200, 400]
    assert all(200 <= rate <= 400 for rate in rates[4:])


def test_a_hiccup_on_the_way_up_does_not_decide() -> None:
    search = CapacitySearch(start=50).tried(50, "pass").tried(100, "fail")
    found = at(search, 3000).bracket()
    assert found.high is not None
    assert found.low <= 3000 <= found.high


def test_what_the_generator_cannot_offer_is_no_limit_of_the_service() -> None:
    search = at(CapacitySearch(start=50), 10_000, offered=500)
    found = search.bracket()
    assert found.high is None
    assert 300 < found.low < 550
    assert "the generator" in found.limited_by
    assert search.ceiling > 500
    assert sum(rate == search.ceiling for rate, _ in search.trials) == INVALID


def test_nothing_passes_and_everything_passes() -> None:
    none = at(CapacitySearch(start=50, lowest=10), 1).bracket()
    assert (none.low, none.limited_by) == (0.0, "the lowest rate to be tried")
    every = at(CapacitySearch(start=50, highest=1000), 5000).bracket()
    assert every.high is None
    assert every.limited_by == "the highest rate to be tried"


def test_a_search_of_few_trials_says_that_it_was_cut_short() -> None:
    found = at(CapacitySearch(start=50, max_trials=6), 300).bracket()
    assert found.limited_by == "the number of trials"
    assert found.low <= 300
    assert found.high is None  # what failed may have been hiccups
    found = at(CapacitySearch(start=50, max_trials=12), 300).bracket()
    assert found.high is not None
    assert found.low <= 300 <= found.high <= 400

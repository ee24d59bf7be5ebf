"""The search for the sender limit finds every limit to the receipt, and costs no more than it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.analysis.limit import Bracket
from workbench.analysis.limit_search import BEYOND, START, UNPREDICTED_MOST, LimitSearch


def searched(search: LimitSearch, limit: int, late: int = 0) -> tuple[LimitSearch, int, int]:
    """The search at its end, its trials and its receipts. A payer that is denied is refused ``late`` receipts after the
    limit, so that it is charged for no more."""
    trials = receipts = 0
    while (count := search.upcoming()) is not None:
        trials, receipts = trials + 1, receipts + count
        search = search.tried(min(count, limit + late), count >= limit)
    return search, trials, receipts


@given(
    limit=st.integers(1, 3000),
    predicted=st.none() | st.integers(0, 3000),
    late=st.sampled_from([0, 7, 10_000]),
)
def test_every_limit_is_found_for_what_was_said(limit: int, predicted: int | None, late: int) -> None:
    begun = LimitSearch.of(predicted)
    most = begun.at_most()
    ended, trials, receipts = searched(begun, limit, late)
    assert trials <= most.trials
    assert receipts <= most.receipts
    if limit <= begun.most:
        assert ended.bracket.exact
        assert ended.bracket.high == limit
    else:
        assert ended.bracket == Bracket(begun.most, None)


@pytest.mark.parametrize("limit", [1, 2, 777, 1000])
def test_a_prediction_that_holds_takes_two_trials(limit: int) -> None:
    begun = LimitSearch.of(limit)
    ended, trials, receipts = searched(begun, limit)
    expected = begun.expected()
    assert ended.bracket.exact
    assert (trials, receipts) == (expected.trials, expected.receipts)
    assert receipts == 2 * limit - 1
    assert trials == min(limit, 2)


def test_where_it_ends() -> None:
    assert LimitSearch.of(None).most == UNPREDICTED_MOST
    assert LimitSearch.of(0) == LimitSearch.of(None)
    assert LimitSearch.of(1000).most == BEYOND * 1000
    assert LimitSearch.of(2).most == START
    assert LimitSearch(bracket=Bracket(None, 1)).upcoming() is None  # none is always survived

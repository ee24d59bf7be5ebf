"""The budget: exactly the receipt for which a rule of the agent first holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.service.budget import RULE_A, RULE_B, Fees, budget

GRT = 10**18
wei = st.integers(0, 10**24)


@pytest.mark.parametrize(
    ("limit_grt", "escrow_grt", "value", "receipts", "rule"),
    [
        (1, 10, GRT // 1000, 1000, RULE_B),  # the guide's "about 1000 receipts"
        (1, 10, GRT // 10_000, 10_000, RULE_B),
        (20, 10, GRT // 10_000, 100_000, RULE_A),
        (1000, 2, GRT // 1000, 2000, RULE_A),
        (1, 10, 3 * GRT // 1000, 334, RULE_B),  # not a divisor: the first receipt past the limit
    ],
)
def test_the_table_of_limits(limit_grt, escrow_grt, value, receipts, rule):
    found = budget(Fees(limit=limit_grt * GRT, balance=escrow_grt * GRT), value)
    assert found is not None
    assert (found.receipts, found.rule) == (receipts, rule)


def denied(limit: int, balance: int, unaggregated: int, invalid: int, pending: int) -> bool:
    return pending + unaggregated >= balance or unaggregated + invalid >= limit


@given(wei, wei, wei, wei, wei, st.integers(1, 10**20))
def test_it_is_the_first_receipt_for_which_a_rule_holds(limit, balance, unaggregated, invalid, pending, value):
    fees = Fees(limit, balance, unaggregated, invalid, pending)
    found = budget(fees, value)
    assert found is not None
    n = found.receipts
    assert denied(limit, balance, unaggregated + n * value, invalid, pending)
    assert n == 0 or not denied(limit, balance, unaggregated + (n - 1) * value, invalid, pending)


def test_what_is_not_known_is_not_predicted():
    assert budget(Fees(None, None), 1) is None
    assert budget(Fees(10, 10), 0) is None
    only_escrow = budget(Fees(None, 10), 3)
    assert only_escrow is not None
    assert only_escrow.rule == RULE_A

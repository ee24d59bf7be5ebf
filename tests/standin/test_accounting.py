"""The deny condition and the pure parts around it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import SettingsError
from workbench.standin.accounting import Account, Fees, deny_condition
from workbench.standin.graphql.roots import QueryError, root_fields
from workbench.standin.latency import parse_latency
from workbench.standin.ratelimit import RateLimit, client_of

AMOUNT = st.integers(0, 2**128 - 1)
KEY = (2, bytes(32))


@pytest.mark.parametrize(
    ("pending", "unaggregated", "invalid", "denied"),
    [
        (0, 99, 0, False),
        (0, 100, 0, True),  # rule B: unaggregated alone
        (0, 60, 40, True),  # rule B: with invalid
        (0, 60, 39, False),
        (150, 50, 0, True),  # rule A: pending and unaggregated
        (150, 49, 50, False),  # invalid does not count in rule A
        (200, 0, 0, True),
    ],
)
def test_deny_condition(pending: int, unaggregated: int, invalid: int, denied: bool) -> None:
    found = deny_condition(pending=pending, unaggregated=unaggregated, invalid=invalid, balance=200, limit=100)
    assert found is denied


def test_an_empty_escrow_is_denied() -> None:
    assert deny_condition(pending=0, unaggregated=0, invalid=0, balance=0, limit=100)


@given(st.lists(st.tuples(st.integers(0, 100), AMOUNT)), st.integers(0, 100), AMOUNT, AMOUNT)
def test_books_agree_with_plain_sums(receipts: list[tuple[int, int]], before: int, limit: int, balance: int) -> None:
    account = Account(b"payer")
    fees = account.of(KEY)
    for count, (timestamp, value) in enumerate(receipts, start=1):
        fees.add(timestamp, value)
        spent = sum(value for _, value in receipts[:count])
        assert account.must_be_denied(balance, limit) is (spent >= balance or spent >= limit)
    fees.age(before)
    old = [value for timestamp, value in receipts if timestamp < before]
    assert (fees.ravable, fees.ravable_receipts) == (sum(old), len(old))
    assert fees.unaggregated == sum(value for _, value in receipts)


@given(st.lists(st.tuples(st.integers(0, 100), AMOUNT)), st.lists(st.tuples(st.integers(0, 100), AMOUNT)))
def test_replace_forgets(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> None:
    fees, fresh = Fees(), Fees()
    for receipt in before:
        fees.add(*receipt)
    fees.age(50)
    fees.replace(after)
    for receipt in after:
        fresh.add(*receipt)
    for both in (fees, fresh):
        both.age(101)
    assert (fees.unaggregated, fees.ravable, fees.ravable_receipts) == (
        fresh.unaggregated,
        fresh.ravable,
        fresh.ravable_receipts,
    )


@pytest.mark.parametrize(
    ("text", "low", "high", "mean"),
    [
        ("constant:2.5", 2.5, 2.5, 2.5),
        ("uniform:1:3", 1, 3, 2),
        ("exponential:4", 0, 1e9, 4),
        ("lognormal:2:0", 1.999, 2.001, 2),
        ("lognormal:1:0.5", 0, 1e9, 1.1331),
    ],
)
def test_latency_distributions(text: str, low: float, high: float, mean: float) -> None:
    rng = random.Random(7)
    drawn = [parse_latency(text)(rng) for _ in range(20_000)]
    assert min(drawn) >= low
    assert max(drawn) <= high
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize(
    "text", ["", "constant", "constant:x", "constant:-1", "constant:inf", "uniform:3:1", "normal:1:2", "lognormal:0:1"]
)
def test_other_latencies_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="expected a latency such as"):
        parse_latency(text)


QUERIES = {
    "{ a }": ["a"],
    "{ a b { c } a }": ["a", "b"],
    'query Q($x: [Int!] = [1]) @d(a: {b: 2}) { alias: a(x: $x, y: "}", z: {k: "{"}) @skip(if: true) { c } }': ["a"],
    "{ ... on Query { a } ... @include(if: $x) { b } }": ["a", "b"],
    "{ ...F } fragment F on Query { c ...G } fragment G on Query { d }": ["c", "d"],
    '# comment { x }\n{ a(text: """block } \\""" quote""") }': ["a"],
    "query A { a } query B { b }": ["a", "b"],
}


@pytest.mark.parametrize(("query", "fields"), QUERIES.items())
def test_root_fields(query: str, fields: list[str]) -> None:
    assert root_fields(query) == fields


@given(st.text(alphabet='{}()[]:.@$"#\\ab on,\n', max_size=60))
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    try:
        found = root_fields(text)
    except QueryError:
        return
    assert all(found)


@given(st.lists(st.floats(0, 0.3), max_size=60))
def test_rate_limit_never_exceeds_burst_plus_refill(pauses: list[float]) -> None:
    now = 0.0
    limit = RateLimit(10, 0.1, clock=lambda: now)
    passed = []
    for pause in pauses:
        now += pause
        wait = limit.wait("client")
        assert 0 <= wait <= 0.1 + 1e-6
        if wait == 0:
            passed.append(now)
    for i, start in enumerate(passed):
        for j in range(i, len(passed)):
            assert j - i + 1 <= 10 + (passed[j] - start) / 0.1 + 1e-6


def test_rate_limit_refills() -> None:
    now = 0.0
    limit = RateLimit(10, 0.1, clock=lambda: now)
    assert [limit.wait("a") for _ in range(10)] == [0.0] * 10
    assert limit.wait("a") > 0
    assert limit.wait("b") == 0
    now = 0.101
    assert limit.wait("a") == 0
    assert limit.wait("a") > 0


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "peer"),
        ({"x-forwarded-for": "unknown, 10.0.0.1, 10.0.0.2", "x-real-ip": "10.0.0.3"}, "10.0.0.1"),
        ({"x-real-ip": "::1", "forwarded": "for=10.0.0.4"}, "::1"),
        ({"forwarded": 'by=1;for="[2001:db8::1]:4711"'}, "2001:db8::1"),
        ({"x-real-ip": "nonsense"}, "peer"),
    ],
)
def test_client_of(headers: dict[str, str], client: str) -> None:
    assert client_of(list(headers.items()), "peer") == client

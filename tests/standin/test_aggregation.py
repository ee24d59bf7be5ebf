"""RAVs over the tables alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.receipts import v2
from workbench.standin.accounting import rav_backoff_s
from workbench.standin.aggregation import Aggregation, Collection, aggregate
from workbench.standin.database import SCHEMA

OURS = Collection(b"\x01" * 20, b"\x02" * 32, b"\x03" * 20, b"\x04" * 20)
OTHERS = Collection(b"\x09" * 20, b"\x02" * 32, b"\x03" * 20, b"\x04" * 20)
SIGNATURE = b"\x05" * 65


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return connection


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(fresh()) as connection:
        yield connection


def add(connection: sqlite3.Connection, *receipts: tuple[int, int, int], of: Collection = OURS) -> None:
    """Receipts as (timestamp, value, signature number)."""
    connection.executemany(
        "INSERT INTO tap_horizon_receipts (signer_address, signature, collection_id, payer, data_service,"
        " service_provider, timestamp_ns, nonce, value) VALUES ('', ?, ?, ?, ?, ?, ?, '0', ?)",
        [
            (bytes([number]), of.key[1], of.key[0], of.key[2], of.key[3], timestamp, str(value))
            for timestamp, value, number in receipts
        ],
    )


def run(
    connection: sqlite3.Connection, before_ns: int = 1000, max_receipts: int = 10_000, counted_id: int = 10**9
) -> Aggregation | None:
    def sign(rav: v2.Rav) -> bytes:
        return SIGNATURE

    return aggregate(connection, OURS, sign, before_ns=before_ns, counted_id=counted_id, max_receipts=max_receipts)


def rav(connection: sqlite3.Connection) -> tuple[int, int]:
    [(value, timestamp)] = connection.execute("SELECT value_aggregate, timestamp_ns FROM tap_horizon_ravs").fetchall()
    return int(value), timestamp


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM tap_horizon_receipts").fetchone()[0])


def test_only_old_receipts_of_this_payer(database: sqlite3.Connection) -> None:
    add(database, (1, 10, 1), (2, 20, 2), (1000, 40, 3))
    add(database, (1, 99, 4), of=OTHERS)
    assert run(database) == Aggregation(30, 0, [(1000, 40)])
    assert rav(database) == (30, 2)
    assert count(database) == 2
    assert run(database) is None


def test_the_next_rav_adds_to_the_last(database: sqlite3.Connection) -> None:
    add(database, (1, 2**127, 1))
    run(database)
    add(database, (5, 2**126, 2))
    assert run(database) == Aggregation(2**126, 0, [])
    assert rav(database) == (2**127 + 2**126, 5)


def test_late_receipts_are_lost(database: sqlite3.Connection) -> None:
    add(database, (5, 10, 1))
    run(database)
    add(database, (5, 10, 2), (4, 10, 3), (6, 10, 4))
    assert run(database) == Aggregation(10, 0, [])
    assert (rav(database), count(database)) == ((20, 6), 0)


def test_copies_are_moved(database: sqlite3.Connection) -> None:
    add(database, (1, 10, 1), (1, 10, 1), (2, 5, 2), (1, 10, 1))
    assert run(database) == Aggregation(15, 20, [])
    moved = database.execute("SELECT value, error_log FROM tap_horizon_receipts_invalid").fetchall()
    assert moved == [("10", "Receipt is not unique")] * 2


def test_a_rav_that_is_cut_off_leaves_a_timestamp_whole(database: sqlite3.Connection) -> None:
    add(database, (1, 1, 1), (2, 1, 2), (3, 1, 3), (3, 1, 4), (4, 1, 5))
    assert run(database, max_receipts=3) == Aggregation(2, 0, [(3, 1), (3, 1), (4, 1)])
    assert run(database, max_receipts=3) == Aggregation(3, 0, [])
    assert rav(database) == (5, 4)


def test_too_many_receipts_of_one_timestamp_are_never_aggregated(database: sqlite3.Connection) -> None:
    add(database, *[(1, 1, number) for number in range(4)])
    assert run(database, max_receipts=3) is None
    assert count(database) == 4


def test_receipts_not_yet_counted_do_not_remain_twice(database: sqlite3.Connection) -> None:
    add(database, (1, 1, 1), (1000, 2, 2), (1001, 4, 3))
    assert run(database, counted_id=2) == Aggregation(1, 0, [(1000, 2)])


def test_a_signature_that_fails_changes_nothing(database: sqlite3.Connection) -> None:
    def broken(rav: v2.Rav) -> bytes:
        raise RuntimeError("no key")

    add(database, (1, 10, 1), (1, 10, 1))
    with pytest.raises(RuntimeError, match="no key"):
        aggregate(database, OURS, broken, before_ns=1000, counted_id=9)
    assert count(database) == 2
    assert database.execute("SELECT count(*) FROM tap_horizon_receipts_invalid").fetchone() == (0,)
    assert not database.in_transaction


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 2**100), st.integers(0, 255)), max_size=30),
    st.integers(1, 25),
    st.integers(1, 10),
)
def test_no_wei_is_lost_or_made(receipts: list[tuple[int, int, int]], before_ns: int, max_receipts: int) -> None:
    with closing(fresh()) as connection:
        add(connection, *receipts)
        made = run(connection, before_ns, max_receipts)
        if made is not None:
            assert rav(connection)[0] == made.aggregated
            kept = sum(value for _, value in made.remaining)
            assert made.aggregated + made.invalid + kept == sum(value for _, value, _ in receipts)
            assert all(timestamp > rav(connection)[1] for timestamp, _ in made.remaining)
        else:
            assert count(connection) == len(receipts)


def test_backoff_doubles_up_to_a_minute() -> None:
    assert [rav_backoff_s(failures) for failures in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert rav_backoff_s(1000) == 60

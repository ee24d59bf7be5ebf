"""What the database holds of a payer, read from a real PostgreSQL: nothing is lost or counted twice by aggregation."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.service.conftest import Database, Server
from workbench.errors import TargetError
from workbench.receipts.payer import Payer
from workbench.service.postgres import PostgresDatabase, unreadable
from workbench.service.stored import Rav, Stored, by_reason, since
from workbench.settings.kinds import without_password
from workbench.standin.accounts import payer

VALUE = 10**15
COLLECTION, OTHER_COLLECTION = "00" * 12 + "ab" * 20, "00" * 12 + "cd" * 20
SERVICE, INDEXER = "ce" * 20, "1d" * 20
_NUMBERS = itertools.count(1)


def store(database: Database, who: Payer, count: int, *, value: int = VALUE, collection: str = COLLECTION) -> list[int]:
    """So many receipts as the service stores them; their timestamps."""
    stamps = [next(_NUMBERS) for _ in range(count)]
    with psycopg.connect(database.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO tap_horizon_receipts (signer_address, signature, collection_id, payer, data_service,"
            " service_provider, timestamp_ns, nonce, value) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    who.key.address.hex(),
                    stamp.to_bytes(65, "big"),
                    collection,
                    who.address.hex(),
                    SERVICE,
                    INDEXER,
                    stamp,
                    stamp,
                    value,
                )
                for stamp in stamps
            ],
        )
    return stamps


def find_invalid(database: Database, stamp: int, reason: str) -> None:
    """The agent notes a receipt as invalid. It is deleted only with the RAV that comes after."""
    database.run(
        "INSERT INTO tap_horizon_receipts_invalid (signer_address, signature, collection_id, payer, data_service,"
        " service_provider, timestamp_ns, nonce, value, error_log)"
        " SELECT signer_address, signature, collection_id, payer, data_service, service_provider, timestamp_ns, nonce,"
        " value, %s FROM tap_horizon_receipts WHERE timestamp_ns = %s",
        reason,
        stamp,
    )


def aggregate(database: Database, who: Payer, up_to: int, *, collection: str = COLLECTION) -> None:
    """As the agent does it: a RAV of what is not invalid, then the deletion of what it covers."""
    with psycopg.connect(database.url) as connection:
        covered = connection.execute(
            "SELECT COALESCE(SUM(value), 0) FROM tap_horizon_receipts r WHERE payer = %s AND collection_id = %s"
            " AND timestamp_ns <= %s AND signature NOT IN (SELECT signature FROM tap_horizon_receipts_invalid)",
            [who.address.hex(), collection, up_to],
        ).fetchone()
        assert covered is not None
        connection.execute(
            "INSERT INTO tap_horizon_ravs (signature, collection_id, payer, data_service, service_provider,"
            " timestamp_ns, value_aggregate, metadata) VALUES ('', %s, %s, %s, %s, %s, %s, '')"
            " ON CONFLICT (payer, data_service, service_provider, collection_id) DO UPDATE SET"
            " timestamp_ns = excluded.timestamp_ns,"
            " value_aggregate = tap_horizon_ravs.value_aggregate + excluded.value_aggregate",
            [collection, who.address.hex(), SERVICE, INDEXER, up_to, covered[0]],
        )
        connection.execute(
            "DELETE FROM tap_horizon_receipts WHERE payer = %s AND collection_id = %s AND timestamp_ns <= %s",
            [who.address.hex(), collection, up_to],
        )


def read(database: Database, who: Payer) -> Stored:
    return PostgresDatabase(database.url).stored(who, version=2)


def test_an_empty_database_holds_nothing(database: Database) -> None:
    assert read(database, payer(0)) == Stored(0, 0, 0, 0, (), (), 0, False, None)


def test_what_a_payer_stored_is_told_whatever_the_agent_made_of_it(database: Database) -> None:
    who, other = payer(0), payer(1)
    store(database, other, 7)
    store(database, who, 5, value=3 * VALUE)  # an earlier run, with another value
    before = read(database, who)
    stamps = store(database, who, 100)
    assert since(before, read(database, who), VALUE).receipts == 100

    find_invalid(database, stamps[3], "Receipt is not unique")
    find_invalid(database, stamps[3], "Receipt is not unique")  # the request for the RAV failed, and was repeated
    still_there = read(database, who)
    assert (still_there.receipts, still_there.invalid) == (105, 0)

    aggregate(database, who, stamps[59])
    now = read(database, who)
    assert now.receipts == 40
    assert (now.invalid, now.invalid_reasons) == (1, (("Receipt is not unique", 1),))
    assert now.ravs == (Rav(COLLECTION, 5 * 3 * VALUE + 59 * VALUE, last=False, final=False, redeemed=False),)
    assert (now.unaggregated_wei, now.pending_wei) == (40 * VALUE, 74 * VALUE)
    step = since(before, now, VALUE)
    assert (step.receipts, step.invalid, step.aggregated_wei, step.denied) == (100, 1, 74 * VALUE, False)
    assert step.reasons == "1 Receipt is not unique"
    assert now.last_id == database.run("SELECT MAX(id) FROM tap_horizon_receipts")[0][0]
    assert read(database, other).receipts == 7


def test_receipts_that_vanish_are_missed(database: Database) -> None:
    """One that comes with an old timestamp, after the RAV, is deleted as obsolete and in no RAV: it is lost."""
    who = payer(0)
    before = read(database, who)
    stamps = store(database, who, 10)
    aggregate(database, who, stamps[9])
    database.run("UPDATE tap_horizon_ravs SET value_aggregate = value_aggregate - %s", VALUE)
    assert since(before, read(database, who), VALUE).receipts == 9


def test_redeemed_ravs_are_not_pending_and_the_flags_are_told(database: Database) -> None:
    who = payer(0)
    for collection in (COLLECTION, OTHER_COLLECTION):
        aggregate(database, who, store(database, who, 3, collection=collection)[-1], collection=collection)
    database.run(
        "UPDATE tap_horizon_ravs SET last = TRUE, final = TRUE, redeemed_at = now() WHERE collection_id = %s",
        COLLECTION,
    )
    found = read(database, who)
    assert found.ravs == (
        Rav(COLLECTION, 3 * VALUE, last=True, final=True, redeemed=True),
        Rav(OTHER_COLLECTION, 3 * VALUE, last=False, final=False, redeemed=False),
    )
    assert (found.pending_wei, found.aggregated_wei) == (3 * VALUE, 6 * VALUE)


def test_amounts_beyond_64_bits_are_exact(database: Database) -> None:
    who, huge = payer(0), 2**127 + 1
    store(database, who, 3, value=huge)
    found = read(database, who)
    assert (found.receipts_wei, found.unaggregated_wei) == (3 * huge, 3 * huge)
    assert PostgresDatabase(database.url).unaggregated() == {who.address.hex(): 3 * huge}


def test_denied_payers_are_told_also_where_the_schema_lets_them_in_twice(database: Database) -> None:
    """The indexer-agent's own schema has an id as the key."""
    database.run(
        "ALTER TABLE tap_horizon_denylist DROP CONSTRAINT tap_horizon_denylist_pkey,"
        " ADD COLUMN id BIGSERIAL PRIMARY KEY"
    )
    for who in (payer(1), payer(1), payer(2)):
        database.run("INSERT INTO tap_horizon_denylist (sender_address) VALUES (%s)", who.address.hex())
    assert PostgresDatabase(database.url).denied(version=2) == {payer(1).address.hex(), payer(2).address.hex()}
    assert read(database, payer(1)).denied
    assert not read(database, payer(0)).denied


def test_a_database_that_is_none_of_theirs_is_one_line_without_the_password(postgres_server: Server) -> None:
    for name, words in (("postgres", "lacks their tables"), ("nowhere", 'database "nowhere" does not exist')):
        with pytest.raises(TargetError) as caught:
            PostgresDatabase(postgres_server.url(name)).denied(version=2)
        text = str(caught.value)
        assert words in text
        assert ":***@" in text
        assert postgres_server.url(name) not in text
        assert caught.value.exit_code == 3


def test_a_password_is_nowhere_to_be_seen() -> None:
    url = "postgresql://indexer:s3cret@127.0.0.1:1/db?sslmode=disable&password=s3cret2"
    assert without_password(url) == "postgresql://indexer:***@127.0.0.1:1/db?sslmode=disable&password=***"
    assert "s3cret" not in repr(PostgresDatabase(url))
    assert "s3cret" not in str(unreadable(url, ValueError('could not translate host name "s3cret@x"')))
    assert without_password("postgresql://postgres@127.0.0.1/db") == "postgresql://postgres@127.0.0.1/db"


amounts = st.integers(0, 2**100)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 50),
    st.integers(1, 10**20),
    amounts,
    st.data(),
)
def test_aggregation_never_changes_what_was_ever_stored(old, new, invalid, value, earlier, data) -> None:
    """However much of the receipts went into RAVs or was found invalid, the difference is what came in."""
    before = Stored(old, earlier, 0, 0, (), (), earlier, denied=False, last_id=None)
    invalid = min(invalid, new)
    rest = new - invalid
    aggregated = data.draw(st.integers(0, rest))
    taken = data.draw(st.integers(0, earlier))
    after = replace(
        before,
        receipts=rest - aggregated,
        receipts_wei=earlier - taken + (rest - aggregated) * value,
        invalid=invalid,
        invalid_wei=invalid * value,
        ravs=(Rav(COLLECTION, taken + aggregated * value, last=False, final=False, redeemed=False),),
    )
    assert since(before, after, value).receipts == new


@given(st.lists(st.tuples(st.text(), st.integers(1, 1000))))
def test_reasons_keep_every_receipt(logs: list[tuple[str, int]]) -> None:
    assert sum(count for _, count in by_reason(logs)) == sum(count for _, count in logs)


def test_reasons_that_differ_in_addresses_and_numbers_are_one() -> None:
    logs: list[tuple[str, Any]] = [
        ("Receipt allocation ID `0xabcdef0123` is not eligible", 2),
        ("Receipt allocation ID `0x9999990123` is not eligible", 1),
        ("", 1),
    ]
    assert by_reason(logs) == (("Receipt allocation ID `0x…` is not eligible", 3), ("no reason given", 1))

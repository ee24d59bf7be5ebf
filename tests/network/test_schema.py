"""The tables by what the two programs do with them: their inserts, reads and notifications."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from workbench.errors import SettingsError, TargetError
from workbench.network.schema import apply_schema

# as the service stores a batch of receipts
STORE = """
INSERT INTO tap_horizon_receipts (signer_address, signature, collection_id, payer, data_service, service_provider,
    timestamp_ns, nonce, value)
SELECT * FROM UNNEST($1::CHAR(40)[], $2::BYTEA[], $3::CHAR(64)[], $4::CHAR(40)[], $5::CHAR(40)[], $6::CHAR(40)[],
    $7::NUMERIC(20)[], $8::NUMERIC(20)[], $9::NUMERIC(40)[])"""
RAV = """
INSERT INTO tap_horizon_ravs (payer, data_service, service_provider, metadata, signature, collection_id, timestamp_ns,
    value_aggregate, created_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now(), now())
ON CONFLICT (payer, data_service, service_provider, collection_id)
DO UPDATE SET signature = EXCLUDED.signature, timestamp_ns = EXCLUDED.timestamp_ns,
    value_aggregate = EXCLUDED.value_aggregate, updated_at = EXCLUDED.updated_at"""
ONE, TWO, COLLECTION = "11" * 20, "22" * 20, "00" * 12 + "ab" * 20


@pytest.fixture
async def connection(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    await apply_schema(database, None)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        yield connection


async def heard(connection: psycopg.AsyncConnection, channel: str, *statements: Any) -> list[Any]:
    """What is said on a channel by each of the statements, one notification each."""
    await connection.execute(f"LISTEN {channel}")  # type: ignore[call-overload]
    said = []
    for statement in statements:
        await connection.execute(*statement)
        said += [json.loads(n.payload) async for n in connection.notifies(timeout=30, stop_after=1)]
    return said


async def test_stored_receipts_are_told_one_by_one(connection: psycopg.AsyncConnection) -> None:
    big = 10**38
    columns = [[ONE, TWO], [b"1", b"2"], [COLLECTION] * 2, [ONE] * 2, [TWO] * 2, [TWO] * 2]
    columns += [[2**64 - 1, 5], [1, 2], [big, 7]]
    await connection.execute("LISTEN tap_horizon_receipt_notification")
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(STORE, columns)
    said = [json.loads(n.payload) async for n in connection.notifies(timeout=30, stop_after=2)]
    assert said == [
        {"id": 1, "collection_id": COLLECTION, "signer_address": ONE, "timestamp_ns": 2**64 - 1, "value": big},
        {"id": 2, "collection_id": COLLECTION, "signer_address": TWO, "timestamp_ns": 5, "value": 7},
    ]


async def test_denial_is_told(connection: psycopg.AsyncConnection) -> None:
    said = await heard(
        connection,
        "tap_horizon_deny_notification",
        ("INSERT INTO tap_horizon_denylist (sender_address) VALUES (%s) ON CONFLICT DO NOTHING", [ONE]),
        ("DELETE FROM tap_horizon_denylist WHERE sender_address = %s", [ONE]),
    )
    assert said == [{"tg_op": "INSERT", "sender_address": ONE}, {"tg_op": "DELETE", "sender_address": ONE}]


async def test_redeemed_ravs_are_told_and_a_rav_is_renewed(connection: psycopg.AsyncConnection) -> None:
    key = {"payer": ONE, "data_service": TWO, "service_provider": TWO, "collection_id": COLLECTION}
    said = await heard(
        connection,
        "tap_horizon_rav_redeemed_notification",
        (RAV, (ONE, TWO, TWO, b"", b"s", COLLECTION, 5, 10**38)),
        ("UPDATE tap_horizon_ravs SET last = TRUE",),
        ("UPDATE tap_horizon_ravs SET redeemed_at = now()",),
    )
    assert said == [{"redeemed": redeemed, **key} for redeemed in (False, False, True)]
    await connection.execute(RAV, (ONE, TWO, TWO, b"", b"t", COLLECTION, 6, 11))
    found = await connection.execute("SELECT signature, value_aggregate, last FROM tap_horizon_ravs")
    assert await found.fetchall() == [(b"t", 11, True)]


async def test_cost_models_are_told(connection: psycopg.AsyncConnection) -> None:
    said = await heard(
        connection,
        "cost_models_update_notification",
        ("""INSERT INTO "CostModels" (deployment, model, variables) VALUES ('Qm', 'default => 1;', '{"a": 1}')""",),
        ('DELETE FROM "CostModels"',),
    )
    assert said == [
        {"tg_op": "INSERT", "deployment": "Qm", "model": "default => 1;", "variables": '{"a": 1}'},
        {"tg_op": "DELETE", "deployment": "Qm"},
    ]


async def test_a_second_time_leaves_all_as_it_is(connection: psycopg.AsyncConnection, database: str) -> None:
    await connection.execute("INSERT INTO tap_horizon_denylist VALUES (%s)", [ONE])
    await apply_schema(database, None)
    found = await connection.execute("SELECT count(*) FROM tap_horizon_denylist")
    assert await found.fetchone() == (1,)


def folder(tmp_path: Path, **scripts: str) -> Path:
    for name, text in scripts.items():
        (tmp_path / f"{name.replace('_', '.')}.sql").write_text(text)
    return tmp_path


async def test_migrations_run_in_order_and_once(database: str, tmp_path: Path) -> None:
    migrations = folder(tmp_path, a1_up="CREATE TABLE t (x INT);", a1_down="DROP TABLE t;")
    await apply_schema(database, migrations)
    folder(tmp_path, b2_up="INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);")
    await apply_schema(database, migrations)
    await apply_schema(database, migrations)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await (await connection.execute("SELECT x FROM t")).fetchall() == [(1,), (2,)]


async def test_a_migration_that_fails_is_named_and_leaves_nothing(database: str, tmp_path: Path) -> None:
    migrations = folder(tmp_path, a1_up="CREATE TABLE t (x INT);\n\nINSERT INTO u VALUES (1);")
    with pytest.raises(SettingsError) as caught:
        await apply_schema(database, migrations)
    assert str(caught.value) == (
        f'{tmp_path / "a1.up.sql"}, line 3: PostgreSQL refuses it: relation "u" does not exist'
    )
    folder(tmp_path, a1_up="CREATE TABLE t (x INT);")
    await apply_schema(database, migrations)


async def test_migrations_without_sql(database: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("none here")
    folder(tmp_path, a1_down="DROP TABLE t;")
    with pytest.raises(SettingsError, match=rf"migrations {tmp_path}: has no .sql file"):
        await apply_schema(database, tmp_path)
    with pytest.raises(SettingsError, match="is not a folder"):
        await apply_schema(database, tmp_path / "nowhere")


async def test_a_database_that_does_not_answer() -> None:
    with pytest.raises(TargetError) as caught:
        await apply_schema("postgresql://postgres:geheim@127.0.0.1:1/x", None)
    line = str(caught.value)
    assert line.startswith("postgresql://postgres:***@127.0.0.1:1/x: the database does not answer: ")
    assert "geheim" not in line
    assert "\n" not in line

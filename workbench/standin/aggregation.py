"""RAVs: aggregates receipts into vouchers and redeems these. Works on the tables, in one transaction each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from workbench.receipts import v2
from workbench.standin.database import fetch, transaction

MAX_RECEIPTS_PER_RAV = 10_000
DUPLICATE = "Receipt is not unique"

_CANDIDATES = """
SELECT json_group_array(json_array(id, hex(signature), timestamp_ns, value)) FROM (
    SELECT id, signature, timestamp_ns, value FROM tap_horizon_receipts
    WHERE payer = ? AND collection_id = ? AND data_service = ? AND service_provider = ?
      AND timestamp_ns > ? AND timestamp_ns < ?
    ORDER BY timestamp_ns, id LIMIT ?
)"""
_LAST_RAV = """
SELECT json_group_array(json_array(timestamp_ns, value_aggregate)) FROM tap_horizon_ravs
WHERE payer = ? AND collection_id = ? AND data_service = ? AND service_provider = ?"""
_STORE_RAV = """
INSERT INTO tap_horizon_ravs (signature, collection_id, payer, data_service, service_provider, timestamp_ns,
    value_aggregate, metadata, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET signature = excluded.signature, timestamp_ns = excluded.timestamp_ns,
    value_aggregate = excluded.value_aggregate, updated_at = excluded.updated_at, redeemed_at = NULL"""
_MOVE_INVALID = """
INSERT INTO tap_horizon_receipts_invalid (signer_address, signature, collection_id, payer, data_service,
    service_provider, timestamp_ns, nonce, value, error_log)
SELECT signer_address, signature, collection_id, payer, data_service, service_provider, timestamp_ns, nonce, value, ?
FROM tap_horizon_receipts WHERE id IN (SELECT value FROM json_each(?))"""
_DELETE_COVERED = """
DELETE FROM tap_horizon_receipts
WHERE payer = ? AND collection_id = ? AND data_service = ? AND service_provider = ? AND timestamp_ns <= ?"""
_REMAINING = """
SELECT json_group_array(json_array(timestamp_ns, value)) FROM tap_horizon_receipts
WHERE payer = ? AND collection_id = ? AND data_service = ? AND service_provider = ? AND id <= ?"""


@dataclass(frozen=True, slots=True)
class Collection:
    """The key of a RAV: its receipts' payer, collection, data service and service provider."""

    payer: bytes
    collection_id: bytes
    data_service: bytes
    service_provider: bytes

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The four columns as stored in the tables."""
        return (
            self.payer.hex(),
            self.collection_id.hex(),
            self.data_service.hex(),
            self.service_provider.hex(),
        )


@dataclass(frozen=True, slots=True)
class Aggregation:
    """The result of a RAV request, in wei: value moved into the RAV, value found invalid, remaining receipts
    (timestamp, value)."""

    aggregated: int
    invalid: int
    remaining: list[tuple[int, int]]


def aggregate(
    connection: sqlite3.Connection,
    collection: Collection,
    sign: Callable[[v2.Rav], bytes],
    *,
    before_ns: int,
    counted_id: int,
    max_receipts: int = MAX_RECEIPTS_PER_RAV,
) -> Aggregation | None:
    """Make or renew the RAV over receipts older than ``before_ns``; None if there are none.

    Copies of a signature after the first move to the invalid table. Receipts at or before the RAV's timestamp are
    deleted, even late ones, as in the real agent. ``remaining`` counts receipts up to ``counted_id``.
    """
    with transaction(connection):
        previous = fetch(connection, _LAST_RAV, *collection.key)
        previous_ns, previous_value = (previous[0][0], int(previous[0][1])) if previous else (0, 0)
        found = fetch(connection, _CANDIDATES, *collection.key, previous_ns, before_ns, max_receipts + 1)
        if len(found) > max_receipts:
            # A RAV covers whole timestamps: receipts with the same timestamp as the last would be deleted unpaid. As in
            # the real agent, more receipts of one timestamp than fit in a RAV are never aggregated.
            found = [row for row in found if row[2] < found[-1][2]]
        if not found:
            return None
        first_of: dict[str, int] = {}
        for row in found:
            first_of.setdefault(row[1], row[0])
        copies = [row for row in found if first_of[row[1]] != row[0]]
        aggregated = sum(int(row[3]) for row in found) - sum(int(row[3]) for row in copies)
        timestamp_ns = found[-1][2]
        rav = v2.Rav(
            collection.collection_id,
            collection.payer,
            collection.service_provider,
            collection.data_service,
            timestamp_ns,
            previous_value + aggregated,
        )
        payer, collection_id, data_service, service_provider = collection.key
        now = _now()
        connection.execute(_MOVE_INVALID, (DUPLICATE, str([row[0] for row in copies])))
        connection.execute(
            _STORE_RAV,
            (
                sign(rav),
                collection_id,
                payer,
                data_service,
                service_provider,
                timestamp_ns,
                str(rav.value_aggregate),
                rav.metadata,
                now,
                now,
            ),
        )
        connection.execute(_DELETE_COVERED, (*collection.key, timestamp_ns))
        remaining = fetch(connection, _REMAINING, *collection.key, counted_id)
    return Aggregation(aggregated, sum(int(row[3]) for row in copies), [(row[0], int(row[1])) for row in remaining])


def mark_redeemed(connection: sqlite3.Connection, collection: Collection) -> None:
    """Mark the RAV as redeemed."""
    connection.execute(
        "UPDATE tap_horizon_ravs SET redeemed_at = ?"
        " WHERE payer = ? AND collection_id = ? AND data_service = ? AND service_provider = ?",
        (_now(), *collection.key),
    )


def close_redeemed(connection: sqlite3.Connection, collection: Collection) -> None:
    """Mark the collection's RAV as its last and redeemed; an empty one is made if there is none."""
    payer, collection_id, data_service, service_provider = collection.key
    now = _now()
    connection.execute(
        "INSERT INTO tap_horizon_ravs (signature, collection_id, payer, data_service, service_provider, timestamp_ns,"
        " value_aggregate, metadata, last, redeemed_at, created_at, updated_at)"
        " VALUES (x'', ?, ?, ?, ?, 0, '0', x'', TRUE, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET last = TRUE, redeemed_at = excluded.redeemed_at",
        (collection_id, payer, data_service, service_provider, now, now, now),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()

"""Reads and writes the tables: those that both services watch (denylist, redeemed RAVs, escrow) and the agent's
accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from workbench.receipts.address import collection_of
from workbench.standin.accounting import FeesKey
from workbench.standin.chain import EscrowAccount
from workbench.standin.checks import Knowledge
from workbench.standin.database import fetch, transaction


@dataclass(frozen=True, slots=True)
class Watched:
    """The database's state apart from receipts: denied payers, redeemed closing RAVs, changed escrow accounts."""

    denied: set[bytes]
    redeemed: set[tuple[bytes, bytes, bytes]]
    escrow: list[tuple[bytes, int, int, int]]


def read_watched(connection: sqlite3.Connection) -> Watched:
    """The current state of the watched tables."""
    denied = fetch(
        connection,
        "SELECT json_group_array(sender_address) FROM (SELECT sender_address FROM tap_horizon_denylist"
        " UNION SELECT sender_address FROM scalar_tap_denylist)",
    )
    redeemed = fetch(
        connection,
        "SELECT json_group_array(json_array(payer, data_service, collection_id)) FROM tap_horizon_ravs"
        " WHERE last AND redeemed_at IS NOT NULL",
    )
    escrow = fetch(
        connection,
        "SELECT json_group_array(json_array(payer, balance, thawing, redeemed)) FROM standin_escrow",
    )
    return Watched(
        {bytes.fromhex(text) for text in denied},
        {(bytes.fromhex(p), bytes.fromhex(d), bytes.fromhex(c)) for p, d, c in redeemed},
        [(bytes.fromhex(p), int(b), int(t), int(r)) for p, b, t, r in escrow],
    )


def apply_watched(watched: Watched, known: Knowledge) -> None:
    """Update the service's knowledge."""
    known.denied.clear()
    known.denied.update(watched.denied)
    known.redeemed.clear()
    known.redeemed.update(watched.redeemed)
    for payer, balance, thawing, redeemed in watched.escrow:
        account = known.chain.accounts.get(payer)
        if account is not None:
            account.balance, account.thawing, account.redeemed = balance, thawing, redeemed


def write_denied(connection: sqlite3.Connection, payer: bytes, denied: bool) -> None:
    """Put a payer on the denylist or take it off."""
    if denied:
        connection.execute("INSERT OR IGNORE INTO tap_horizon_denylist VALUES (?)", (payer.hex(),))
    else:
        connection.execute("DELETE FROM tap_horizon_denylist WHERE sender_address = ?", (payer.hex(),))


def write_escrow(connection: sqlite3.Connection, account: EscrowAccount) -> None:
    """Store a changed escrow account."""
    connection.execute(
        "INSERT OR REPLACE INTO standin_escrow VALUES (?, ?, ?, ?)",
        (account.payer.hex(), str(account.balance), str(account.thawing), str(account.redeemed)),
    )


Owner = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that the agent sums, by payer and allocation; amounts in wei, receipts as (timestamp, value)."""

    receipts: dict[tuple[bytes, FeesKey], list[tuple[int, int]]]
    invalid: dict[tuple[bytes, FeesKey], int]
    pending: dict[tuple[bytes, FeesKey], int]
    denied: set[bytes]
    last_id: dict[int, int]


class Notice(NamedTuple):
    """What the agent gets of a stored receipt. ``value`` is in wei."""

    version: int
    id: int
    payer: bytes
    collection_id: bytes
    timestamp_ns: int
    value: int


def read_receipts(connection: sqlite3.Connection, owner: Owner, after: dict[int, int], limit: int = -1) -> list[Notice]:
    """Receipts with a higher id than ``after`` says for their version, V2 first, in id order.

    A V1 row names no payer: ``owner`` finds it from the signer; rows of unknown signers are left out.
    """
    v2 = fetch(
        connection,
        "SELECT json_group_array(json_array(id, payer, collection_id, timestamp_ns, value)) FROM ("
        " SELECT * FROM tap_horizon_receipts WHERE id > ? ORDER BY id LIMIT ?)",
        after[2],
        limit,
    )
    v1 = fetch(
        connection,
        "SELECT json_group_array(json_array(id, signer_address, allocation_id, timestamp_ns, value)) FROM ("
        " SELECT * FROM scalar_tap_receipts WHERE id > ? ORDER BY id LIMIT ?)",
        after[1],
        limit,
    )
    found = [
        Notice(2, id_, bytes.fromhex(payer), bytes.fromhex(collection), timestamp_ns, int(value))
        for id_, payer, collection, timestamp_ns, value in v2
    ]
    for id_, signer, allocation, timestamp_ns, value in v1:
        payer = owner(bytes.fromhex(signer))
        if payer is not None:
            collection = collection_of(bytes.fromhex(allocation))
            found.append(Notice(1, id_, payer, collection, timestamp_ns, int(value)))
    return found


def read_books(connection: sqlite3.Connection, owner: Owner) -> Books:
    """The agent's sums from the database, after deleting receipts that a RAV already covers."""
    with transaction(connection):
        return _read_books(connection, owner)


def _read_books(connection: sqlite3.Connection, owner: Owner) -> Books:
    connection.execute(
        "DELETE FROM tap_horizon_receipts WHERE EXISTS (SELECT 1 FROM tap_horizon_ravs r"
        " WHERE r.payer = tap_horizon_receipts.payer AND r.collection_id = tap_horizon_receipts.collection_id"
        " AND r.data_service = tap_horizon_receipts.data_service"
        " AND r.service_provider = tap_horizon_receipts.service_provider"
        " AND r.timestamp_ns >= tap_horizon_receipts.timestamp_ns)"
    )
    receipts: dict[tuple[bytes, FeesKey], list[tuple[int, int]]] = {}
    for row in read_receipts(connection, owner, {1: 0, 2: 0}):
        place = (row.payer, (row.version, row.collection_id))
        receipts.setdefault(place, []).append((row.timestamp_ns, row.value))
    invalid: dict[tuple[bytes, FeesKey], int] = {}
    for payer, collection, value in fetch(
        connection,
        "SELECT json_group_array(json_array(payer, collection_id, value)) FROM tap_horizon_receipts_invalid",
    ):
        place = (bytes.fromhex(payer), (2, bytes.fromhex(collection)))
        invalid[place] = invalid.get(place, 0) + int(value)
    pending = {
        (bytes.fromhex(payer), (2, bytes.fromhex(collection))): max(0, int(value) - int(redeemed))
        for payer, collection, value, redeemed in fetch(
            connection,
            "SELECT json_group_array("
            " json_array(r.payer, r.collection_id, r.value_aggregate, coalesce(e.redeemed, '0')))"
            " FROM tap_horizon_ravs r LEFT JOIN standin_escrow e ON e.payer = r.payer",
        )
    }
    last = {
        version: fetch(connection, query)[0]
        for version, query in (
            (1, "SELECT json_array(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'scalar_tap_receipts'), 0))"),
            (
                2,
                "SELECT json_array(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tap_horizon_receipts'), 0))",
            ),
        )
    }
    return Books(receipts, invalid, pending, read_watched(connection).denied, last)

"""Were the receipts stored? HTTP 200 does not prove it, so the payer's rows are read if there is a database.

The queries are the same for PostgreSQL and for the stand-in's SQLite file. Sums can exceed 2^63, which SQLite's SUM
cannot hold, so rows are grouped by value and summed in Python; there are few different values.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from workbench.errors import TargetError
from workbench.receipts.payer import Payer
from workbench.service.stored import Rav, Stored, by_reason

T = TypeVar("T")
Select = Callable[[str, dict[str, str]], Iterable[Any]]
"""Runs a query with named parameters, written ``:name``, and returns its rows."""

_RECEIPTS = """
SELECT r.value, r.timestamp_ns > COALESCE(v.covered, 0), COUNT(*), MAX(r.id)
FROM $receipts r LEFT JOIN (
    SELECT $collection AS collection, MAX(timestamp_ns) AS covered FROM $ravs WHERE $rav_payer = :sender GROUP BY 1
) v ON v.collection = r.$collection
WHERE r.$payer = :payer GROUP BY 1, 2"""
# A receipt is inserted here before it is deleted there, and again if the request for its RAV is repeated.
_INVALID = """
SELECT value, error_log, COUNT(*) FROM (
    SELECT MIN(i.value) AS value, MIN(i.error_log) AS error_log FROM ${receipts}_invalid i
    WHERE i.$payer = :payer
      AND NOT EXISTS (SELECT 1 FROM $receipts r WHERE r.$payer = :payer AND r.signature = i.signature)
    GROUP BY i.signature
) AS gone GROUP BY 1, 2"""
_RAVS = "SELECT $collection, value_aggregate, last, final, $redeemed FROM $ravs WHERE $rav_payer = :sender ORDER BY 1"
_UNAGGREGATED = """
SELECT r.payer, r.value, COUNT(*) FROM tap_horizon_receipts r LEFT JOIN tap_horizon_ravs v
    ON v.payer = r.payer AND v.collection_id = r.collection_id
    AND v.data_service = r.data_service AND v.service_provider = r.service_provider
WHERE r.timestamp_ns > COALESCE(v.timestamp_ns, 0) GROUP BY 1, 2"""
_DENIED = "SELECT DISTINCT sender_address FROM $denylist"

_TABLES = {
    2: {
        "receipts": "tap_horizon_receipts",
        "ravs": "tap_horizon_ravs",
        "denylist": "tap_horizon_denylist",
        "payer": "payer",
        "rav_payer": "payer",
        "collection": "collection_id",
        "redeemed": "redeemed_at IS NOT NULL",
    },
    # a V1 row names the signer, not the payer
    1: {
        "receipts": "scalar_tap_receipts",
        "ravs": "scalar_tap_ravs",
        "denylist": "scalar_tap_denylist",
        "payer": "signer_address",
        "rav_payer": "sender_address",
        "collection": "allocation_id",
        "redeemed": "final",
    },
}


def read_stored(select: Select, payer: Payer, *, version: int) -> Stored:
    """The rows of ``payer`` in a database. Run it in one transaction, so that all queries see the same state."""
    tables = _TABLES[version]
    sender = payer.address.hex()
    who = {"payer": sender if version == 2 else payer.key.address.hex(), "sender": sender}

    def rows(query: str) -> list[Any]:
        return list(select(Template(query).substitute(tables), who))

    receipts, invalid = rows(_RECEIPTS), rows(_INVALID)
    return Stored(
        receipts=sum(count for _, _, count, _ in receipts),
        receipts_wei=sum(int(value) * count for value, _, count, _ in receipts),
        invalid=sum(count for _, _, count in invalid),
        invalid_wei=sum(int(value) * count for value, _, count in invalid),
        invalid_reasons=by_reason((text, count) for _, text, count in invalid),
        ravs=tuple(
            Rav(str(collection), int(value), bool(last), bool(final), bool(redeemed))
            for collection, value, last, final, redeemed in rows(_RAVS)
        ),
        unaggregated_wei=sum(int(value) * count for value, newer, count, _ in receipts if newer),
        denied=sender in read_denied(select, version=version),
        last_id=max((last_id for _, _, _, last_id in receipts), default=None),
    )


def read_denied(select: Select, *, version: int) -> frozenset[str]:
    """The payers in the denylist, as 40 hex digits."""
    rows = select(Template(_DENIED).substitute(_TABLES[version]), {})
    return frozenset(str(row[0]).strip().lower() for row in rows)


def read_unaggregated(select: Select) -> dict[str, int]:
    """The value of V2 receipts newer than their collection's RAV, in wei, by payer (40 hex digits)."""
    found: dict[str, int] = {}
    for payer, value, count in select(_UNAGGREGATED, {}):
        found[payer] = found.get(payer, 0) + int(value) * count
    return found


class Database(ABC):
    """A database of the services. It blocks while it reads: call it from a thread.

    The methods raise TargetError if it cannot be read.
    """

    def stored(self, payer: Payer, *, version: int) -> Stored:
        """The rows of ``payer``."""
        return self._read(lambda select: read_stored(select, payer, version=version))

    def denied(self, *, version: int) -> frozenset[str]:
        """The payers in its denylist, as 40 hex digits."""
        return self._read(lambda select: read_denied(select, version=version))

    def unaggregated(self) -> dict[str, int]:
        """See :func:`read_unaggregated`."""
        return self._read(read_unaggregated)

    @abstractmethod
    def _read(self, read: Callable[[Select], T]) -> T:
        """The result of ``read`` for one state of the database."""


@dataclass(frozen=True)
class SqliteDatabase(Database):
    """The stand-in's database, read from outside."""

    path: Path

    def _read(self, read: Callable[[Select], T]) -> T:
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)) as connection:
                connection.execute("BEGIN")
                return read(connection.execute)
        except sqlite3.Error as error:
            raise TargetError(f"the receipts cannot be counted ({error})", where=str(self.path)) from None

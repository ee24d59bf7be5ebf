"""Were the receipts stored? HTTP 200 does not prove it: count the rows where the database can be read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from workbench.errors import TargetError
from workbench.receipts.payer import Payer

_ROWS = {
    2: """
       SELECT (SELECT COUNT(*) FROM tap_horizon_receipts WHERE payer = :payer)
            + (SELECT COUNT(*) FROM tap_horizon_receipts_invalid WHERE payer = :payer)
       """,
    # a V1 row names no payer, only who signed
    1: """
       SELECT (SELECT COUNT(*) FROM scalar_tap_receipts WHERE signer_address = :signer)
            + (SELECT COUNT(*) FROM scalar_tap_receipts_invalid WHERE signer_address = :signer)
       """,
}
_AGGREGATED = {
    2: "SELECT value_aggregate FROM tap_horizon_ravs WHERE payer = :payer",
    1: "SELECT value_aggregate FROM scalar_tap_ravs WHERE sender_address = :payer",
}


def receipts_stored(database: Path, payer: Payer, *, version: int, value_wei: int) -> int:
    """How many receipts of ``payer``, each of ``value_wei``, ever reached the stand-in's database.

    Receipts are deleted once a RAV covers them, so the RAVs' value divided by the receipts' is added to the rows.
    Take the difference over a step. Raises TargetError when the database cannot be read.
    """
    who = {"payer": payer.address.hex(), "signer": payer.key.address.hex()}
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            rows = int(connection.execute(_ROWS[version], who).fetchone()[0])
            aggregated = sum(int(row[0]) for row in connection.execute(_AGGREGATED[version], who))
    except sqlite3.Error as error:
        raise TargetError(f"the receipts cannot be counted ({error})", where=str(database)) from None
    return rows + aggregated // max(value_wei, 1)

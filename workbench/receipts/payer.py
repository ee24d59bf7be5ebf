"""The payer of receipts."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.receipts.keys import SigningKey


@dataclass(frozen=True)
class Payer:
    """The 20-byte address that owns the escrow, and the key of its authorised receipt signer."""

    address: bytes
    key: SigningKey

"""All of a receipt except its timestamp and nonce, as plain data that fits through a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from workbench.receipts import v1, v2
from workbench.receipts.address import collection_of
from workbench.receipts.keys import SigningKey


class ReceiptSigner(Protocol):
    """What the Signer of both receipt versions offers."""

    def header(self, timestamp_ns: int, nonce: int, value: int) -> str:
        """The ``tap-receipt`` header of one receipt."""
        ...


@dataclass(frozen=True)
class ReceiptTemplate:
    """What all receipts of a step share. Addresses are hex; ``contract`` verifies the signature."""

    version: int
    chain_id: int
    contract: str
    allocation: str
    payer: str
    data_service: str
    service_provider: str
    value_wei: int

    def signer(self, key: SigningKey) -> ReceiptSigner:
        """A signer for these receipts with ``key``."""
        contract, allocation = bytes.fromhex(self.contract), bytes.fromhex(self.allocation)
        if self.version == 1:
            return v1.Signer(key, v1.domain(self.chain_id, contract), allocation_id=allocation)
        return v2.Signer(
            key,
            v2.domain(self.chain_id, contract),
            collection_id=collection_of(allocation),
            payer=bytes.fromhex(self.payer),
            data_service=bytes.fromhex(self.data_service),
            service_provider=bytes.fromhex(self.service_provider),
        )

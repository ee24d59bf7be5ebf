"""V1 (legacy TAP) receipts: struct hash, signature, ``tap-receipt`` header as compact JSON, and back.

Services from 2.0.0 on refuse them; older ones still take them. Domain: name ``TAP``, version ``1``, chain id, the
TAPVerifier contract; no salt. The snake_case member names are part of the hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from workbench.errors import ReceiptError
from workbench.receipts.address import parse_address
from workbench.receipts.eip712 import Digests, Domain, address_word, keccak, type_hash, word
from workbench.receipts.fields import U64_MAX, U128_MAX, last_words, require_bytes, require_uint
from workbench.receipts.keys import SigningKey, parity_of, recover_address

RECEIPT_TYPE = "Receipt(address allocation_id,uint64 timestamp_ns,uint64 nonce,uint128 value)"
RAV_TYPE = "ReceiptAggregateVoucher(address allocationId,uint64 timestampNs,uint128 valueAggregate)"
RECEIPT_TYPE_HASH = type_hash(RECEIPT_TYPE)
RAV_TYPE_HASH = type_hash(RAV_TYPE)


def domain(chain_id: int, verifier: bytes) -> Domain:
    """The EIP-712 domain of V1 receipts and RAVs for one chain and TAPVerifier contract."""
    return Domain("TAP", "1", chain_id, verifier)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One V1 receipt. ``value`` is in wei (1e-18 GRT), ``timestamp_ns`` is Unix time."""

    allocation_id: bytes
    timestamp_ns: int
    nonce: int
    value: int

    def __post_init__(self) -> None:
        require_bytes("allocation_id", self.allocation_id, 20)
        require_uint("timestamp_ns", self.timestamp_ns, U64_MAX)
        require_uint("nonce", self.nonce, U64_MAX)
        require_uint("value", self.value, U128_MAX)

    def struct_hash(self) -> bytes:
        """The 32-byte EIP-712 hash of this receipt."""
        return keccak(
            RECEIPT_TYPE_HASH
            + address_word(self.allocation_id)
            + word(self.timestamp_ns)
            + word(self.nonce)
            + word(self.value)
        )


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and its 65-byte signature (r || s || 27 + parity)."""

    receipt: Receipt
    signature: bytes

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, 65)

    def signer(self, domain: Domain) -> bytes:
        """The address that signed this receipt under ``domain``; ReceiptError when none can be recovered."""
        return recover_address(domain.digest(self.receipt.struct_hash()), self.signature)

    def header(self) -> str:
        """The value of the ``tap-receipt`` header: one line of JSON, r and s as minimal hex quantities."""
        receipt = self.receipt
        return _encode(receipt.allocation_id.hex(), receipt.timestamp_ns, receipt.nonce, receipt.value, self.signature)


@dataclass(frozen=True, slots=True)
class Rav:
    """A V1 receipt aggregate voucher. ``value_aggregate`` is in wei."""

    allocation_id: bytes
    timestamp_ns: int
    value_aggregate: int

    def __post_init__(self) -> None:
        require_bytes("allocation_id", self.allocation_id, 20)
        require_uint("timestamp_ns", self.timestamp_ns, U64_MAX)
        require_uint("value_aggregate", self.value_aggregate, U128_MAX)

    def struct_hash(self) -> bytes:
        """The 32-byte EIP-712 hash of this voucher."""
        return keccak(
            RAV_TYPE_HASH + address_word(self.allocation_id) + word(self.timestamp_ns) + word(self.value_aggregate)
        )


class Signer:
    """Signs receipts for one allocation; the counterpart of :class:`workbench.receipts.v2.Signer`."""

    def __init__(self, key: SigningKey, domain: Domain, *, allocation_id: bytes) -> None:
        Receipt(allocation_id, 0, 0, 0)  # checks the constant field
        self.key = key
        self.domain = domain
        self.allocation_id = allocation_id
        self._digests = Digests(domain, RECEIPT_TYPE_HASH + address_word(allocation_id))
        self._allocation_hex = allocation_id.hex()

    def sign(self, timestamp_ns: int, nonce: int, value: int) -> SignedReceipt:
        """A signed receipt. Raises ReceiptError naming the field that is out of range."""
        receipt = Receipt(self.allocation_id, timestamp_ns, nonce, value)
        return SignedReceipt(receipt, self.key.sign(self.domain.digest(receipt.struct_hash())))

    def header(self, timestamp_ns: int, nonce: int, value: int) -> str:
        """The ``tap-receipt`` header of a new receipt, byte for byte that of ``sign(...).header()``."""
        digest = self._digests.of(last_words(timestamp_ns, nonce, value))
        return _encode(self._allocation_hex, timestamp_ns, nonce, value, self.key.sign(digest))


def decode_header(text: str) -> SignedReceipt:
    """The signed receipt of a V1 ``tap-receipt`` header.

    ``yParity`` (0 or 1) decides where present, else ``v`` in any of its conventions. Raises ReceiptError naming
    the field that is missing or wrong.
    """
    try:
        outer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"tap-receipt header is not JSON ({error})") from error
    message, signature = _member(outer, "message"), _member(outer, "signature")
    allocation = _member(message, "allocation_id")
    if not isinstance(allocation, str):
        raise ReceiptError(f"allocation_id must be a hex string, found {allocation!r}")
    receipt = Receipt(
        parse_address(allocation, "allocation_id"),
        _member(message, "timestamp_ns"),
        _member(message, "nonce"),
        _member(message, "value"),
    )
    r, s = _quantity(signature, "r"), _quantity(signature, "s")
    if "yParity" in signature:
        parity = _quantity(signature, "yParity")
        if parity > 1:
            raise ReceiptError(f"yParity must be 0x0 or 0x1, found {parity:#x}")
    else:
        parity = parity_of(_quantity(signature, "v"))
    return SignedReceipt(receipt, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + parity,)))


def _encode(allocation_hex: str, timestamp_ns: int, nonce: int, value: int, signature: bytes) -> str:
    r = signature[:32].hex().lstrip("0") or "0"
    s = signature[32:64].hex().lstrip("0") or "0"
    parity = parity_of(signature[64])
    return (
        f'{{"message":{{"allocation_id":"0x{allocation_hex}",'
        f'"timestamp_ns":{timestamp_ns},"nonce":{nonce},"value":{value}}},'
        f'"signature":{{"r":"0x{r}","s":"0x{s}","yParity":"0x{parity}","v":"0x{parity}"}}}}'
    )


def _member(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise ReceiptError(f"tap-receipt header: {name} is missing")
    return value[name]


def _quantity(signature: dict[str, Any], name: str) -> int:
    text = _member(signature, name)
    try:
        if not isinstance(text, str) or not text.startswith("0x") or "_" in text:
            raise ValueError
        number = int(text, 16)
    except ValueError:
        raise ReceiptError(f"{name} must be a hex quantity such as 0x1b, found {text!r}") from None
    if number >= 1 << 256:
        raise ReceiptError(f"{name} must fit 32 bytes")
    return number

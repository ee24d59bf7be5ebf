"""V2 (Horizon, GraphTally) receipts: struct hash, signature, ``tap-receipt`` header, and back.

The header is base64 (standard alphabet, padded) of the protobuf SignedReceipt of ``tap_aggregator_v2.proto``.
Domain: name ``GraphTallyCollector``, version ``1``, chain id, the collector contract; no salt.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError

from workbench.errors import ReceiptError
from workbench.receipts import prost
from workbench.receipts import tap_aggregator_v2_pb2 as wire
from workbench.receipts.eip712 import Digests, Domain, address_word, keccak, type_hash, word
from workbench.receipts.fields import U64_MAX, U128_MAX, last_words, require_bytes, require_uint
from workbench.receipts.keys import SigningKey, parity_of, recover_address

RECEIPT_TYPE = (
    "Receipt(bytes32 collection_id,address payer,address data_service,address service_provider,"
    "uint64 timestamp_ns,uint64 nonce,uint128 value)"
)
RAV_TYPE = (
    "ReceiptAggregateVoucher(bytes32 collectionId,address payer,address serviceProvider,address dataService,"
    "uint64 timestampNs,uint128 valueAggregate,bytes metadata)"
)
RECEIPT_TYPE_HASH = type_hash(RECEIPT_TYPE)
RAV_TYPE_HASH = type_hash(RAV_TYPE)

_LOW_64 = U64_MAX
# Tags of SignedReceipt's fields, and the length of the signature.
_MESSAGE = 0x0A
_SIGNATURE = b"\x12\x41"


def domain(chain_id: int, collector: bytes) -> Domain:
    """The EIP-712 domain of V2 receipts and RAVs for one chain and GraphTallyCollector contract."""
    return Domain("GraphTallyCollector", "1", chain_id, collector)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One V2 receipt. ``value`` is in wei (1e-18 GRT), ``timestamp_ns`` is Unix time."""

    collection_id: bytes
    payer: bytes
    data_service: bytes
    service_provider: bytes
    timestamp_ns: int
    nonce: int
    value: int

    def __post_init__(self) -> None:
        require_bytes("collection_id", self.collection_id, 32)
        require_bytes("payer", self.payer, 20)
        require_bytes("data_service", self.data_service, 20)
        require_bytes("service_provider", self.service_provider, 20)
        require_uint("timestamp_ns", self.timestamp_ns, U64_MAX)
        require_uint("nonce", self.nonce, U64_MAX)
        require_uint("value", self.value, U128_MAX)

    def struct_hash(self) -> bytes:
        """The 32-byte EIP-712 hash of this receipt."""
        return keccak(
            _constant_words(self.collection_id, self.payer, self.data_service, self.service_provider)
            + word(self.timestamp_ns)
            + word(self.nonce)
            + word(self.value)
        )


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and its 65-byte signature."""

    receipt: Receipt
    signature: bytes

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, 65)

    def signer(self, domain: Domain) -> bytes:
        """The address that signed this receipt under ``domain``; ReceiptError when none can be recovered."""
        return recover_address(domain.digest(self.receipt.struct_hash()), self.signature)

    def header(self) -> str:
        """The value of the ``tap-receipt`` header."""
        receipt = self.receipt
        message = wire.Receipt(
            collection_id=receipt.collection_id,
            payer=receipt.payer,
            data_service=receipt.data_service,
            service_provider=receipt.service_provider,
            timestamp_ns=receipt.timestamp_ns,
            nonce=receipt.nonce,
            value=wire.Uint128(high=receipt.value >> 64, low=receipt.value & _LOW_64),
        )
        signed = wire.SignedReceipt(message=message, signature=self.signature)
        return base64.b64encode(signed.SerializeToString()).decode()


@dataclass(frozen=True, slots=True)
class Rav:
    """A V2 receipt aggregate voucher. ``value_aggregate`` is in wei."""

    collection_id: bytes
    payer: bytes
    service_provider: bytes
    data_service: bytes
    timestamp_ns: int
    value_aggregate: int
    metadata: bytes = b""

    def __post_init__(self) -> None:
        require_bytes("collection_id", self.collection_id, 32)
        require_bytes("payer", self.payer, 20)
        require_bytes("service_provider", self.service_provider, 20)
        require_bytes("data_service", self.data_service, 20)
        require_uint("timestamp_ns", self.timestamp_ns, U64_MAX)
        require_uint("value_aggregate", self.value_aggregate, U128_MAX)

    def struct_hash(self) -> bytes:
        """The 32-byte EIP-712 hash, in the field order the contract uses."""
        return keccak(
            RAV_TYPE_HASH
            + self.collection_id
            + address_word(self.payer)
            + address_word(self.service_provider)
            + address_word(self.data_service)
            + word(self.timestamp_ns)
            + word(self.value_aggregate)
            + keccak(self.metadata)
        )


@dataclass(frozen=True, slots=True)
class SignedRav:
    """A RAV and its 65-byte signature."""

    rav: Rav
    signature: bytes

    def __post_init__(self) -> None:
        require_bytes("signature", self.signature, 65)

    def signer(self, domain: Domain) -> bytes:
        """The address that signed this RAV under ``domain``; ReceiptError when none can be recovered."""
        return recover_address(domain.digest(self.rav.struct_hash()), self.signature)

    def to_wire(self) -> wire.SignedRav:
        """The protobuf message."""
        rav = self.rav
        return wire.SignedRav(
            message=wire.ReceiptAggregateVoucher(
                collection_id=rav.collection_id,
                payer=rav.payer,
                data_service=rav.data_service,
                service_provider=rav.service_provider,
                timestamp_ns=rav.timestamp_ns,
                value_aggregate=wire.Uint128(high=rav.value_aggregate >> 64, low=rav.value_aggregate & _LOW_64),
                metadata=rav.metadata,
            ),
            signature=self.signature,
        )


class Signer:
    """Signs receipts of one payer for one collection and service.

    Everything constant (type hash, addresses, domain separator) is encoded at construction; :meth:`header` is what a
    load run signs with ahead of time.
    """

    def __init__(
        self,
        key: SigningKey,
        domain: Domain,
        *,
        collection_id: bytes,
        payer: bytes,
        data_service: bytes,
        service_provider: bytes,
    ) -> None:
        Receipt(collection_id, payer, data_service, service_provider, 0, 0, 0)  # checks the constant fields
        self.key = key
        self.domain = domain
        self.collection_id = collection_id
        self.payer = payer
        self.data_service = data_service
        self.service_provider = service_provider
        self._digests = Digests(domain, _constant_words(collection_id, payer, data_service, service_provider))
        self._constant_fields = _constant_fields(collection_id, payer, data_service, service_provider)

    def sign(self, timestamp_ns: int, nonce: int, value: int) -> SignedReceipt:
        """A signed receipt. Raises ReceiptError naming the field that is out of range."""
        receipt = Receipt(
            self.collection_id,
            self.payer,
            self.data_service,
            self.service_provider,
            timestamp_ns,
            nonce,
            value,
        )
        return SignedReceipt(receipt, self.key.sign(self.domain.digest(receipt.struct_hash())))

    def header(self, timestamp_ns: int, nonce: int, value: int) -> str:
        """The ``tap-receipt`` header of a new receipt, byte for byte that of ``sign(...).header()``."""
        digest = self._digests.of(last_words(timestamp_ns, nonce, value))
        return _encode(self._constant_fields, timestamp_ns, nonce, value, self.key.sign(digest))


def decode_header(text: str) -> SignedReceipt:
    """The signed receipt of a ``tap-receipt`` header.

    Strict as the service is: canonical padded base64, every address 20 bytes, collection_id 32, signature 65,
    ``message`` and ``value`` present, the signature's last byte a valid parity. Raises ReceiptError otherwise.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        if base64.b64encode(raw).decode() != text:
            raise ReceiptError("tap-receipt header: base64 has stray bits after the last byte")
        prost.check(raw)
        signed = wire.SignedReceipt.FromString(raw)
    except (binascii.Error, ValueError, DecodeError) as error:
        raise ReceiptError(f"tap-receipt header is not base64 of a protobuf SignedReceipt ({error})") from error
    return receipt_from_wire(signed, "tap-receipt header: ")


def receipt_from_wire(signed: wire.SignedReceipt, where: str = "") -> SignedReceipt:
    """The receipt of a protobuf message. Raises ReceiptError if a field is missing or has another length."""
    if not signed.HasField("message"):
        raise ReceiptError(f"{where}message is missing")
    message = signed.message
    if not message.HasField("value"):
        raise ReceiptError(f"{where}value is missing")
    receipt = Receipt(
        message.collection_id,
        message.payer,
        message.data_service,
        message.service_provider,
        message.timestamp_ns,
        message.nonce,
        (message.value.high << 64) | message.value.low,
    )
    found = SignedReceipt(receipt, signed.signature)
    parity_of(found.signature[64])
    return found


def rav_from_wire(signed: wire.SignedRav) -> SignedRav:
    """The RAV of a protobuf message. Raises ReceiptError if a field is missing or has another length."""
    if not signed.HasField("message"):
        raise ReceiptError("message is missing")
    message = signed.message
    if not message.HasField("value_aggregate"):
        raise ReceiptError("value_aggregate is missing")
    rav = Rav(
        message.collection_id,
        message.payer,
        message.service_provider,
        message.data_service,
        message.timestamp_ns,
        (message.value_aggregate.high << 64) | message.value_aggregate.low,
        message.metadata,
    )
    return SignedRav(rav, signed.signature)


def _constant_words(collection_id: bytes, payer: bytes, data_service: bytes, service_provider: bytes) -> bytes:
    return (
        RECEIPT_TYPE_HASH
        + collection_id
        + address_word(payer)
        + address_word(data_service)
        + address_word(service_provider)
    )


def _constant_fields(collection_id: bytes, payer: bytes, data_service: bytes, service_provider: bytes) -> bytes:
    receipt = wire.Receipt(
        collection_id=collection_id, payer=payer, data_service=data_service, service_provider=service_provider
    )
    encoded: bytes = receipt.SerializeToString()
    return encoded


@lru_cache(maxsize=16)
def _value_field(value: int) -> bytes:
    receipt = wire.Receipt(value=wire.Uint128(high=value >> 64, low=value & _LOW_64))
    encoded: bytes = receipt.SerializeToString()
    return encoded


def _encode(constant_fields: bytes, timestamp_ns: int, nonce: int, value: int, signature: bytes) -> str:
    """The header of a receipt whose first four fields are already encoded.

    A protobuf message is a sequence of fields: the library encodes only what changes, and this is put between the
    constant parts.
    """
    numbers = wire.Receipt(timestamp_ns=timestamp_ns, nonce=nonce).SerializeToString()
    message = constant_fields + numbers + _value_field(value)
    size = len(message)  # from 102 to 146
    head = bytes((_MESSAGE, size)) if size < 128 else bytes((_MESSAGE, size & 127 | 128, 1))
    return binascii.b2a_base64(head + message + _SIGNATURE + signature, newline=False).decode()

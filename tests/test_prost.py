"""Protobuf as strict as the service's decoder: the table's verdicts are prost's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ReceiptError
from workbench.receipts import prost
from workbench.receipts import tap_aggregator_v2_pb2 as wire

_TWENTY = b"\x14" + bytes(20)
RECEIPT = b"\x0a\x20" + bytes(32) + b"\x12" + _TWENTY + b"\x1a" + _TWENTY + b"\x22" + _TWENTY
RECEIPT += b"\x28\x01\x30\x02\x3a\x02\x10\x05"
SIGNATURE = b"\x12\x41" + bytes(65)


def signed(receipt: bytes = RECEIPT) -> bytes:
    return b"\x0a" + bytes([len(receipt) & 0x7F | 0x80, len(receipt) >> 7]) + receipt + SIGNATURE


TAKEN = {
    "usual": signed(),
    "empty": b"",
    "fields in another order": SIGNATURE + signed()[: -len(SIGNATURE)],
    "message twice": signed() + b"\x0a\x02\x28\x05",
    "number with leading zeros": signed(RECEIPT + b"\x28\x81\x80\x00"),
    "number of 64 bits": signed(RECEIPT + b"\x28" + b"\xff" * 9 + b"\x01"),
    "unknown number": signed() + b"\x48\x05",
    "unknown fixed": signed() + b"\x4d\1\2\3\4" + b"\x49" + bytes(8),
    "unknown group": signed() + b"\x4b\x08\x01\x4c",
    "key with leading zeros": signed() + b"\xca\x80\x00\x01x",
}
REFUSED = {
    "number for bytes": signed() + b"\x10\x05",
    "bytes for a number": signed(RECEIPT + b"\x2a\x01a"),
    "number for a message": signed() + b"\x08\x01",
    "fixed for a number": signed(RECEIPT + b"\x29" + bytes(8)),
    "field 0": signed() + b"\x00\x00",
    "wire type 7": signed() + b"\x4f",
    "key of 33 bits": signed() + b"\xf8\xff\xff\xff\x1f\x01",
    "number of 65 bits": signed(RECEIPT + b"\x28" + b"\xff" * 9 + b"\x02"),
    "number without end": signed() + b"\x48\xff",
    "bytes cut off": signed()[:-1],
    "message ends in a field": b"\x0a\x02\x28\x80\x01" + SIGNATURE,
    "group that never ends": signed() + b"\x4b\x08\x01",
    "group that ends as another": signed() + b"\x4b\x54",
    "group that has not begun": signed() + b"\x4c",
    "groups too deep": signed() + b"\x4b" * 101 + b"\x4c" * 101,
}


@pytest.mark.parametrize("kind", TAKEN)
def test_taken(kind: str) -> None:
    prost.check(TAKEN[kind])


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str) -> None:
    with pytest.raises(ReceiptError, match="not base64 of a protobuf SignedReceipt"):
        prost.check(REFUSED[kind])


NUMBERS = st.integers(0, 2**64 - 1)


@given(st.binary(max_size=40), st.binary(max_size=70), NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_what_an_encoder_writes_is_taken(some: bytes, more: bytes, high: int, low: int, when: int, nonce: int) -> None:
    value = wire.Uint128(high=high, low=low)
    receipt = wire.Receipt(collection_id=some, payer=more, timestamp_ns=when, nonce=nonce, value=value)
    prost.check(wire.SignedReceipt(message=receipt, signature=more).SerializeToString())
    usual = wire.Receipt(collection_id=bytes(32), timestamp_ns=when, nonce=nonce, value=value)
    usual.payer = usual.data_service = usual.service_provider = bytes(20)
    prost.check(wire.SignedReceipt(message=usual, signature=bytes(65)).SerializeToString())


@given(st.binary(max_size=80))
def test_what_is_taken_can_be_decoded(raw: bytes) -> None:
    try:
        prost.check(raw)
    except ReceiptError:
        return
    wire.SignedReceipt.FromString(raw)

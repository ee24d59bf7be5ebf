"""Protobuf as strict as prost, the service's decoder: a known field with a wrong wire type is an error."""

from __future__ import annotations

import re

from workbench.errors import ReceiptError

RECURSION_LIMIT = 100

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)

_Fields = dict[int, "int | _Fields"]
_UINT128: _Fields = {1: _VARINT, 2: _VARINT}
_RECEIPT: _Fields = {**dict.fromkeys((1, 2, 3, 4), _BYTES), 5: _VARINT, 6: _VARINT, 7: _UINT128}
_SIGNED: _Fields = {1: _RECEIPT, 2: _BYTES}

# What every usual encoder writes; needs no closer check.
_NUMBER = rb"[\x80-\xff]{0,8}[\x00-\x7f]"
_LONG = rb"(?:" + _NUMBER + rb"|[\x80-\xff]{9}[\x00\x01])"
_USUAL = re.compile(
    rb"\x0a([\x80-\xff]?[\x00-\x7f])("
    rb"\x0a\x20.{32}\x12\x14.{20}\x1a\x14.{20}\x22\x14.{20}"
    rb"(?:\x28" + _LONG + rb")?(?:\x30" + _LONG + rb")?"
    rb"\x3a([\x00-\x7f])((?:\x08" + _LONG + rb")?(?:\x10" + _LONG + rb")?)"
    rb")\x12\x41.{65}",
    re.DOTALL,
)


def check(raw: bytes) -> None:
    """Raise ReceiptError if prost would not decode a SignedReceipt from these bytes."""
    usual = _USUAL.fullmatch(raw)
    if usual is not None and _size(usual[1]) == len(usual[2]) and usual[3][0] == len(usual[4]):
        return
    if _fields(raw, 0, len(raw), _SIGNED, 0) != len(raw):
        raise _wrong("it ends in the middle of a field")


def _size(varint: bytes) -> int:
    return varint[0] if len(varint) == 1 else varint[0] & 0x7F | varint[1] << 7


def _fields(raw: bytes, at: int, end: int, known: _Fields, depth: int) -> int:
    """Check the fields of a message up to ``end``; returns the position after the last."""
    if depth > RECURSION_LIMIT:
        raise _wrong("messages nest too deep")
    while at < end:
        tag, kind, at = _key(raw, at)
        expected = known.get(tag)
        if expected is None:
            at = _skip(raw, at, tag, kind, depth)
            continue
        if kind != (expected if isinstance(expected, int) else _BYTES):
            raise _wrong(f"field {tag} has wire type {kind}")
        start = at
        at = _skip(raw, at, tag, kind, depth)
        if not isinstance(expected, int):
            _, start = _varint(raw, start)
            if _fields(raw, start, at, expected, depth + 1) != at:
                raise _wrong(f"field {tag} is longer than its stated length")
    return at


def _skip(raw: bytes, at: int, tag: int, kind: int, depth: int) -> int:
    """The position after a field's value."""
    if kind == _VARINT:
        return _varint(raw, at)[1]
    if kind == _GROUP:
        if depth >= RECURSION_LIMIT:
            raise _wrong("groups nest too deep")
        while True:
            inner, kind, at = _key(raw, at)
            if kind == _GROUP_END:
                if inner != tag:
                    raise _wrong(f"the group of field {tag} is closed as field {inner}")
                return at
            at = _skip(raw, at, inner, kind, depth + 1)
    if kind == _GROUP_END:
        raise _wrong("a group ends that never began")
    size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
    if size is None:
        size, at = _varint(raw, at)
    if at + size > len(raw):
        raise _wrong(f"field {tag} is cut off")
    return at + size


def _key(raw: bytes, at: int) -> tuple[int, int, int]:
    key, at = _varint(raw, at)
    tag, kind = key >> 3, key & 7
    if key >= 2**32 or not tag or kind > _FIXED32:
        raise _wrong(f"{key} is not the key of a field")
    return tag, kind, at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(raw[at : at + 10]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if value >= 2**64:
                break
            return value, at + count + 1
    raise _wrong("a number is cut off or too long")


def _wrong(what: str) -> ReceiptError:
    return ReceiptError(f"tap-receipt header is not base64 of a protobuf SignedReceipt: {what}")

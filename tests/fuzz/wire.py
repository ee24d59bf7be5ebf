"""Damage to protobuf messages that leaves them well formed: what a reader that checks lengths alone lets through.

Damage by byte almost always breaks a length, and the reader refuses before it looks at what the fields say.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# of pprof's Profile and what is in it, the fields that are messages: (number in Profile, numbers below)
MESSAGES: dict[int, tuple[int, ...]] = {1: (), 2: (3,), 3: (), 4: (4,), 5: (), 11: ()}
ODD = (0, 1, 2, 3, 127, 128, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2)


@dataclass
class Field:
    """A field: its ``value`` is a number, bytes, or the fields of a message."""

    number: int
    kind: int
    value: int | bytes | list[Field]


def reshaped(data: bytes, chance: random.Random) -> bytes:
    """A pprof profile with one to twenty of its fields changed, dropped, repeated, moved or exchanged; other bytes as
    they are."""
    try:
        fields = _fields(data, MESSAGES)
    except (IndexError, ValueError):
        return data
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        _change(fields, chance)
    return _bytes(fields)


def _change(fields: list[Field], chance: random.Random) -> None:
    place = fields
    while place:
        at = chance.randrange(len(place))
        inner = place[at].value
        if not isinstance(inner, list) or not inner or chance.random() < 0.3:
            break
        place = inner
    else:
        return
    field = place[at]
    match chance.randrange(6):
        case 0:
            del place[at]
        case 1:
            place[at:at] = [field] * chance.choice((1, 1, 100))
        case 2:
            other = chance.randrange(len(place))
            place[at], place[other] = place[other], field
        case 3:
            place[at] = Field(chance.randrange(1, 16), field.kind, field.value)
        case _:
            place[at] = Field(field.number, field.kind, _other(field, chance))


def _other(field: Field, chance: random.Random) -> int | bytes | list[Field]:
    value = field.value
    if isinstance(value, list):
        return chance.sample(value, len(value))
    if isinstance(value, int):
        near = value + chance.choice((-1, 1, 2**8))
        return (chance.choice(ODD) if chance.random() < 0.5 else near) % 2 ** (32 if field.kind == FIXED32 else 64)
    packed = b"".join(_varint(chance.choice((*ODD, chance.randrange(12)))) for _ in range(chance.choice((0, 1, 2, 9))))
    return chance.choice((packed, value * 2, value[: len(value) // 2], value[::-1]))


def _fields(data: bytes, messages: dict[int, tuple[int, ...]]) -> list[Field]:
    found, at = [], 0
    while at < len(data):
        tag, at = _number(data, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes | list[Field]
        if kind == VARINT:
            value, at = _number(data, at)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if size is None:
                if kind != BYTES:
                    raise ValueError("no such kind of field")
                size, at = _number(data, at)
            if at + size > len(data):
                raise ValueError("a field beyond the end")
            value, at = data[at : at + size], at + size
            if kind != BYTES:
                value = int.from_bytes(value, "little")
            elif number in messages:
                value = _fields(value, dict.fromkeys(messages[number], ()))
        found.append(Field(number, kind, value))
    return found


def _bytes(fields: list[Field]) -> bytes:
    out = bytearray()
    for field in fields:
        value = _bytes(field.value) if isinstance(field.value, list) else field.value
        out += _varint(field.number << 3 | field.kind)
        if isinstance(value, bytes):
            out += _varint(len(value)) + value
        elif field.kind == VARINT:
            out += _varint(value)
        else:
            out += value.to_bytes(8 if field.kind == FIXED64 else 4, "little")
    return bytes(out)


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])

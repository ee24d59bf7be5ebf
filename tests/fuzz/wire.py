"""Damage to protobuf messages that leaves them well formed: what a reader that checks lengths alone lets through.

Damage by byte almost always breaks a length, and the reader refuses before it looks at what the fields say.
"""

from __future__ import annotations

import random
from typing import Union

from tests.profiles.pprof_encoding import message, varint
from workbench.profiles.readers.pprof.wire import LENGTH, VARINT

# of pprof's Profile and what is in it, the fields that are messages: (number in Profile, numbers below)
MESSAGES: dict[int, tuple[int, ...]] = {1: (), 2: (3,), 3: (), 4: (4,), 5: (), 11: ()}
ODD = (0, 1, 2, 3, 127, 128, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2)


# a number, bytes, or the fields of a message
Value = Union[int, bytes, "list[Field]"]
Field = tuple[int, Value]


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
        inner = place[at][1]
        if not isinstance(inner, list) or not inner or chance.random() < 0.3:
            break
        place = inner
    else:
        return
    number, value = field = place[at]
    match chance.randrange(6):
        case 0:
            del place[at]
        case 1:
            place[at:at] = [field] * chance.choice((1, 1, 100))
        case 2:
            other = chance.randrange(len(place))
            place[at], place[other] = place[other], field
        case 3:
            place[at] = (chance.randrange(1, 16), value)
        case _:
            place[at] = (number, _other(value, chance))


def _other(value: Value, chance: random.Random) -> Value:
    if isinstance(value, list):
        return chance.sample(value, len(value))
    if isinstance(value, int):
        near = value + chance.choice((-1, 1, 2**8))
        return chance.choice(ODD) if chance.random() < 0.5 else near
    packed = b"".join(varint(chance.choice((*ODD, chance.randrange(12)))) for _ in range(chance.choice((0, 1, 2, 9))))
    return chance.choice((packed, value * 2, value[: len(value) // 2], value[::-1]))


def _fields(data: bytes, messages: dict[int, tuple[int, ...]]) -> list[Field]:
    """Raises ValueError or IndexError at damage, and at fixed-size fields, of which pprof has none."""
    found: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        number, kind = tag >> 3, tag & 7
        value: Value
        value, at = _number(data, at)
        if kind == LENGTH:
            start, at = at, at + value
            if at > len(data):
                raise ValueError("a field beyond the end")
            inside = data[start:at]
            value = _fields(inside, dict.fromkeys(messages[number], ())) if number in messages else inside
        elif kind != VARINT:
            raise ValueError("no field of pprof's")
        found.append((number, value))
    return found


def _bytes(fields: list[Field]) -> bytes:
    return message([(number, _bytes(value) if isinstance(value, list) else value) for number, value in fields])


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at

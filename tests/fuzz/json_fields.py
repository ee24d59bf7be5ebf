"""Damage to JSON that stays JSON: numbers, lists and keys are changed where they stand."""

from __future__ import annotations

import json
import random
from typing import Any

ODD = (
    0,
    -1,
    1,
    2,
    7,
    1.5,
    -0.0,
    2**31,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
    10**30,
    1e308,
    None,
    True,
    "",
    "0x1a",
    [],
    {},
)


def reshaped(data: bytes, chance: random.Random) -> bytes:
    """The same JSON with some of its values changed; what is no JSON comes back as it is."""
    try:
        document = json.loads(data)
    except ValueError:
        return data
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        _change(document, chance)
    return json.dumps(document).encode()


def _change(document: Any, chance: random.Random) -> None:
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or chance.random() < 0.1:
            break
        place = inner
    match chance.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, list):
            place[key:key] = [place[key]] * chance.choice((1, 1, 100))
        case 2:
            other = chance.choice(keys)
            place[key], place[other] = place[other], place[key]
        case 3 if isinstance(place, dict):
            place[
                chance.choice(
                    ("stack", "length", "prefixOffset", "time", "weight", "lib", "type", "at", "frame", "samples", key)
                )
            ] = place.pop(key)
        case 4 if type(place[key]) in (int, float) and abs(place[key]) < 2**62:
            place[key] += chance.choice((-1, 1, 256))
        case _:
            place[key] = chance.choice(ODD)

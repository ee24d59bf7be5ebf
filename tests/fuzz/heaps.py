"""Heap profiles changed in their parts, so that they stay well formed: values of DHAT's JSON, lines of
jemalloc's text.
"""

from __future__ import annotations

import json
import random
import re
from copy import deepcopy
from typing import Any

VALUES = (
    0,
    -1,
    1,
    2**31,
    2**63 - 1,
    2**63,
    10**30,
    True,
    None,
    1.5,
    "",
    "x",
    "0x1: f (in /a)",
    "0x1: f (a.c:3)",
    [],
    {},
    [1],
    [-3],
)
_WORD = re.compile(rb"0x[0-9a-f]+|\d+")
_WORDS = (b"0", b"1", b"0x0", b"0x1", b"0xffffffffffffffff", b"4096", b"900000000000000000", b"18446744073709551615")


def reshaped_dhat(data: bytes, chance: random.Random) -> bytes:
    """One to eight values of the JSON replaced, dropped, repeated or exchanged; what is no JSON comes back as it is."""
    try:
        document = json.loads(data)
    except ValueError:
        return data
    for _ in range(chance.choice((1, 1, 2, 8))):
        places = list(_places(document))
        if not places:
            break
        inside, key = chance.choice(places)
        change = chance.randrange(4)
        if change == 0:
            inside[key] = deepcopy(chance.choice(VALUES))
        elif change == 1:
            del inside[key]
        elif change == 2 and isinstance(inside, list):
            inside[key:key] = [deepcopy(inside[key]) for _ in range(chance.choice((1, 3, 50)))]
        else:
            other, at = chance.choice(places)
            # a copy: what holds itself is no JSON
            inside[key] = deepcopy(other[at])
        if len(json.dumps(document)) > 100_000:
            break
    return json.dumps(document).encode()


def reshaped_jemalloc(data: bytes, chance: random.Random) -> bytes:
    """One to eight numbers or lines replaced, dropped, repeated or exchanged."""
    for _ in range(chance.choice((1, 1, 2, 8))):
        lines = data.split(b"\n")
        at = chance.randrange(len(lines))
        change = chance.randrange(4)
        if change == 0 and (words := list(_WORD.finditer(lines[at]))):
            word = chance.choice(words)
            lines[at] = lines[at][: word.start()] + chance.choice(_WORDS) + lines[at][word.end() :]
        elif change == 1:
            del lines[at]
        elif change == 2:
            lines[at:at] = [lines[at]] * chance.choice((1, 3, 50))
        else:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        data = b"\n".join(lines)[:100_000]
    return data


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value that holds another, as what it is in and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        for key in keys:
            found.append((inside, key))
            waiting.append(inside[key])
    return found

"""Damage to pstats files and to flame graphs that leaves them what they are: marshalled data, and XML."""

from __future__ import annotations

import marshal
import random
import re
from typing import Any

ODD = (0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 0.5, -1e-9, 1e308, "", "~", None, True, (), {})
_ATTRIBUTE = re.compile(rb'\b(x|y|width|height|fg:x|fg:w|total_samples|fill|class)="[^"]*"')
_TITLE = re.compile(rb"<title>[^<]*</title>")
_GROUP = re.compile(rb"<g\b.*?</g>", re.DOTALL)
_VALUES = (
    b"0", b"-1", b"1", b"0.1%", b"100.0%", b"99.9999999%", b"1e9", b"10", b"9223372036854775807", b"1" * 40,
    b"nan", b"", b"x",
)  # fmt: skip
_TITLES = (
    b"a (1 samples, 1.00%)", b"a (0 samples, 0%)", b"all (100%)", b"f;g (2,000 bytes, 50.00%; +1.00%)",
    b"()", b"a (b) (c)", b"a (99999999999999999999 samples, 1%)", b"(-5 samples, 1%)", b"a",
)  # fmt: skip


def reshaped_pstats(data: bytes, chance: random.Random) -> bytes:
    """The same dict of functions with some of its keys, figures and callers changed; other bytes as they are."""
    try:
        stats = marshal.loads(data)
    except (EOFError, ValueError, TypeError):
        return data
    if not isinstance(stats, dict):
        return data
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if not stats:
            break
        key = chance.choice(list(stats))
        match chance.randrange(5):
            case 0:
                del stats[key]
            case 1:
                stats[_changed(key, chance)] = stats.pop(key)
            case 2:
                stats[key] = stats[chance.choice(list(stats))]
            case _:
                stats[key] = _changed(stats[key], chance)
    try:
        return marshal.dumps(stats)
    except ValueError:
        return data


def _changed(value: Any, chance: random.Random) -> Any:
    """A tuple or dict with one of its parts changed; of anything else something odd."""
    if isinstance(value, tuple) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return (*value[:at], _changed(value[at], chance), *value[at + 1 :])
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        changed = dict(value)
        changed[_changed(key, chance) if chance.random() < 0.3 else key] = _changed(changed[key], chance)
        return changed
    if isinstance(value, (int, float)) and chance.random() < 0.5:
        return value + chance.choice((-1, 1, 0.5, 256))
    # what is in a key has to stay hashable
    return chance.choice(ODD[:-1])


def reshaped_svg(data: bytes, chance: random.Random) -> bytes:
    """The same picture with attributes, titles or whole frames changed, dropped, repeated or exchanged."""
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        pattern, replacement = chance.choice(
            (
                (_ATTRIBUTE, lambda found: b'%s="%s"' % (found[1], chance.choice(_VALUES))),
                (_TITLE, lambda found: b"<title>%s</title>" % chance.choice(_TITLES)),
                (_GROUP, lambda found: found[0] * chance.choice((0, 0, 2, 50))),
            )
        )
        places = list(pattern.finditer(data))
        if places:
            found = chance.choice(places)
            data = data[: found.start()] + replacement(found) + data[found.end() :]
    return data

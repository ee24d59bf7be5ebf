"""How Valgrind's heap tools name a place in code: ``0xADDRESS: NAME (FILE:LINE)``, or ``(in OBJECT)``."""

from __future__ import annotations

import re
from collections.abc import Callable

FRAME = re.compile(r"0x([0-9A-Fa-f]{1,16}): (.+)", re.DOTALL)
UNKNOWN = "???"
# a location is searched at the last few " (" of a text: names contain them too, paths almost never
_TRIES = 4


def located(text: str, place_of: Callable[[str], tuple[str, int, str] | None]) -> tuple[str, str, int, str]:
    """Name, file, line and object from the text after an address. ``place_of`` parses file, line and object of a
    location that does not begin with ``in``; None if it is not one.

    Names contain blanks and brackets, so the location is searched from the end, with balanced brackets.
    """
    end = len(text)
    for _ in range(_TRIES if text.endswith(")") else 0):
        at = text.rfind(" (", 0, end)
        if at < 1:
            break
        end = at
        where = text[at + 2 : -1]
        if where.count("(") != where.count(")"):
            continue
        if where.startswith("in "):
            return text[:at], "", 0, "" if where[3:] == UNKNOWN else where[3:]
        if (place := place_of(where)) is not None:
            return text[:at], *place
    return text, "", 0, ""

"""Makes frames of the texts of massif's tree lines: address, function, and file with line or object."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from workbench.hints import TYPE_CHECKING, NamedTuple
from workbench.profiles.frames import listed_frames
from workbench.profiles.locations import FRAME, UNKNOWN, located
from workbench.profiles.names import tidy_rust
from workbench.profiles.table import Table

if TYPE_CHECKING:
    from typing import TypeAlias


BELOW_THRESHOLD = "(below massif's threshold)"
PAGES = "(page allocation syscalls)"

# the usual form of a line, see place_of
_USUAL = re.compile(r"0x([0-9A-Fa-f]{1,16}): ([^\s()]+) \(([^\s():]+):([0-9]{1,9})\)")
_BELOW = re.compile(r"in (\d{1,18}) places?, (?:all )?below massif's threshold(?: \((\d{1,3}(?:\.\d{1,9})?)%?\))?$")
_TOP = re.compile(r"\([^)]*\)|\S+(?= : )")


class Place(NamedTuple):
    """The parts of a tree line's text.

    ``address`` is 0 and ``known`` False if it has no address. ``places`` is the number of places that a line below the
    threshold stands for, 0 for other lines; ``threshold_pct`` is the threshold that such a line states.
    """

    function: str
    file: str = ""
    line: int = 0
    object: str = ""
    address: int = 0
    known: bool = False
    places: int = 0
    threshold_pct: float | None = None


def place_of(text: str) -> Place:
    """The place that a tree line names: ``0xADDRESS: NAME (FILE:LINE)``, ``... (in OBJECT)`` or ``0xADDRESS: ???``; or
    the number of places too small to be listed."""
    if match := _USUAL.fullmatch(text):
        return Place(match[2], match[3], int(match[4]), "", int(match[1], 16), True)
    if match := FRAME.fullmatch(text):
        name, file, line, object = located(match[2], _place)
        return Place(name, file, line, object, int(match[1], 16), True)
    if match := _BELOW.fullmatch(text):
        threshold = None if match[2] is None else float(match[2])
        return Place(BELOW_THRESHOLD, places=int(match[1]), threshold_pct=threshold)
    return Place(text)


def top_of(text: str) -> str:
    """The short name of a tree's top line: ``(heap allocation functions)``, or the metric of an xtree file."""
    match = _TOP.match(text)
    return text if match is None else match[0]


Frame: TypeAlias = tuple[str, str, int, str, bool]
"""Function, file, line and object of a place, and whether it is inlined."""


def frames_of(frames: Collection[Frame]) -> Table:
    """The table of these frames, in their order."""
    raw, files, lines, objects, inlined = map(list, zip(*frames, strict=True)) if frames else ([], [], [], [], [])
    tidy = {name: tidy_rust(name) for name in dict.fromkeys(raw)}
    return listed_frames([tidy[name] for name in raw], files, lines, objects, inlined, raw)


def threshold_of(places: Iterable[Place]) -> float | None:
    """The threshold in per cent that lines below it state; None if none does."""
    return next((place.threshold_pct for place in places if place.threshold_pct is not None), None)


def _place(where: str) -> tuple[str, int, str] | None:
    if where == UNKNOWN or (where.startswith("/") and ":" not in where):
        # heaptrack writes an object without "in"
        return "", 0, "" if where == UNKNOWN else where
    file, _, line = where.rpartition(":")
    return (file, int(line), "") if file and len(line) < 10 and line.isascii() and line.isdigit() else None

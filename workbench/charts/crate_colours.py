"""The colour of a crate: the same in every chart, flame graph and table, on every page and in every run.

A hash of the name picks one of the tints. They lie on two rings of equal lightness in OKLCH (Ottosson 2020), sixteen
hues each, so that text can be read on all of them: dark text on LIGHT, light text on DARK. ``js/palette.js`` of the
flame graph has the same numbers and the same hash.
"""

from __future__ import annotations

LIGHT = (
    *("#ffc4cc", "#f59eab", "#ffc6b8", "#f6a18f", "#ffcba9", "#efa878", "#f3d2a0", "#e0b26a"),
    *("#e3d9a0", "#cabc6a", "#cee0a9", "#aec678", "#b9e5b9", "#8fcd91", "#a7e8ce", "#71d0ad"),
    *("#9ce8e2", "#5cd0c9", "#9de5f5", "#5dcce2", "#a7e0ff", "#73c5f4", "#b9daff", "#90bdfe"),
    *("#cdd3ff", "#adb3fd", "#e1ccff", "#c7aaf3", "#f1c7f3", "#dda3e0", "#fec4e1", "#ed9fc7"),
)
DARK = (
    *("#834550", "#652e39", "#84483b", "#663026", "#7f4d28", "#623512", "#75541a", "#5a3c00"),
    *("#665c1a", "#4c4300", "#526228", "#3b4911", "#3a673c", "#244d26", "#1b6a51", "#004f3a"),
    *("#006a65", "#004f4c", "#006777", "#004d5b", "#1f6284", "#014867", "#3b5c8a", "#25436c"),
    *("#52558a", "#3a3d6c", "#644e82", "#4b3765", "#734975", "#57325a", "#7d4664", "#602f4a"),
)
# chosen so that the most expensive crates of an indexer's services get very different colours
SPREAD = 0xC3B2CCCF
UNKNOWN_LIGHT, UNKNOWN_DARK = "#dddddd", "#4b4f55"


def tint_number(crate: str) -> int:
    """The number of a name's tint: 32-bit FNV-1a of its UTF-8 bytes (RFC 9923), times SPREAD, the upper five bits of
    that."""
    number = 0x811C9DC5
    for byte in crate.encode("utf-8", "backslashreplace"):
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (number * SPREAD & 0xFFFFFFFF) >> 27


def crate_colour(crate: str, *, dark: bool = False) -> str:
    """The colour of a crate, ``#rrggbb``; grey for an unknown one ("")."""
    if not crate:
        return UNKNOWN_DARK if dark else UNKNOWN_LIGHT
    return (DARK if dark else LIGHT)[tint_number(crate)]

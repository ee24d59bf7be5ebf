"""Colours, only in a terminal and only if the user has not turned them off."""

from __future__ import annotations

import os
from collections.abc import Mapping

from workbench.hints import TYPE_CHECKING
from workbench.patterns import pattern

if TYPE_CHECKING:
    from typing import TextIO


_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bold": 1, "dim": 2}
_OF_WORDS = {
    **dict.fromkeys(("PASS", "ok", "passed"), "green"),
    **dict.fromkeys(("FAIL", "FAILED", "failed", "DENIED"), "red"),
    **dict.fromkeys(("INVALID", "warning", "UNMEASURED"), "yellow"),
    "missing": "cyan",
}
# only whole words: a verdict at the start of a line, before a colon or in a column
_WORD = pattern(r"(?<![\w-])(PASS|FAIL|INVALID|UNMEASURED|DENIED)(?![\w-])")


def coloured(stream: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Whether ``stream`` may get colours: it is a terminal that can show them, and the user has not turned them off
    (``NO_COLOR``, https://no-color.org; ``TERM=dumb``)."""
    own = os.environ if environment is None else environment
    return not own.get("NO_COLOR") and own.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, colour: str) -> str:
    """``text`` in a colour, or ``bold`` or ``dim``, as an escape sequence (ECMA-48, SGR)."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if text else text


def of_word(word: str) -> str | None:
    """The colour of a verdict or state word; None for other words."""
    return _OF_WORDS.get(word)


def painted(text: str) -> str:
    """``text`` with its verdicts coloured."""
    return _WORD.sub(lambda found: paint(found[0], _OF_WORDS[found[0]]), text)

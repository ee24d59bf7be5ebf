"""Texts as Rust writes them."""

from __future__ import annotations

import unicodedata

_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def debug(text: str, quote: str = '"') -> str:
    """A string as written by ``{:?}``; with ``'`` as quote, a character."""
    pieces = []
    for character in text:
        if character == quote:
            pieces.append(f"\\{quote}")
        elif character in _NAMED:
            pieces.append(_NAMED[character])
        elif character.isprintable() and unicodedata.category(character) not in ("Mn", "Me"):
            pieces.append(character)
        else:
            pieces.append(f"\\u{{{ord(character):x}}}")
    return f"{quote}{''.join(pieces)}{quote}"

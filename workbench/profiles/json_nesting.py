"""How deep JSON is nested and what its decoding takes, told before it is decoded.

Decoders count how deep they are against Python's limit of recursion. Where a library has raised that, deep JSON would
overflow the stack and end the process: with py_ecc, which libraries of Ethereum import, it does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

# up to here a decoder stops by itself, long before the stack ends
_USUAL_RECURSION = 3_000
# What Python keeps for an empty object, an empty list, and one more of a list or object, in bytes
_OF_OBJECT, _OF_LIST, _OF_ITEM = 64, 56, 40
# What one bracket, comma or quote takes while they are looked at
_OF_MARK = 48
_MARKS = np.isin(np.arange(256), np.frombuffer(b'"[]{},', dtype=np.uint8))


def require_decodable(data: bytes, source: Source, most: int, hint: str) -> None:
    """Raise ReadError for JSON that is nested more than ``most`` deep, where decoding it could end the process, and for
    what would take more memory as objects than a profile may."""
    require(data.count(b"{") * _OF_OBJECT + data.count(b"[") * _OF_LIST + data.count(b",") * _OF_ITEM)
    if sys.getrecursionlimit() > _USUAL_RECURSION and int(depths(structure(data)[1]).max(initial=0)) > most:
        raise ReadError("JSON nested too deeply", where=source.name, hint=hint)


def structure(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where brackets and commas are outside of strings, and which."""
    text = np.frombuffer(data, dtype=np.uint8)
    marks = _MARKS[text]
    require(int(np.count_nonzero(marks)) * _OF_MARK)
    places = np.flatnonzero(marks)
    kinds = text[places]
    quote = kinds == ord('"')
    if b"\\" in data:
        # a quote behind an odd number of backslashes is part of the string
        slashes = np.flatnonzero(text == ord("\\"))
        begins = np.concatenate(([True], slashes[1:] != slashes[:-1] + 1))
        length = np.arange(len(slashes)) - np.maximum.accumulate(np.where(begins, np.arange(len(slashes)), 0)) + 1
        quote &= ~np.isin(places, slashes[length % 2 == 1] + 1)
    outside = (np.cumsum(quote, dtype=np.int64) % 2 == 0) & (kinds != ord('"'))
    return places[outside], kinds[outside]


def depths(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many brackets are open behind each of these marks."""
    opens = (kinds == ord("[")) | (kinds == ord("{"))
    closes = (kinds == ord("]")) | (kinds == ord("}"))
    return np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int64)

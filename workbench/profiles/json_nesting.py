"""The depth of JSON and the memory for decoding it, computed before decoding.

Decoders check their depth against Python's recursion limit. If a library has raised that limit, as py_ecc does, which
Ethereum libraries import, deep JSON would overflow the stack and crash the process.
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

# up to this limit a decoder stops by itself, long before the stack overflows
_USUAL_RECURSION = 3_000
# Python's memory in bytes for an empty object, an empty list, and each item of either
_OF_OBJECT, _OF_LIST, _OF_ITEM = 64, 56, 40
# Memory per bracket, comma or quote during the check
_OF_MARK = 48
_MARKS = np.isin(np.arange(256), np.frombuffer(b'"[]{},', dtype=np.uint8))


def require_decodable(data: bytes, source: Source, most: int, hint: str) -> None:
    """Raise ReadError for JSON nested deeper than ``most``, if decoding it could crash the process, and for JSON that
    would take more memory than a profile may."""
    require(data.count(b"{") * _OF_OBJECT + data.count(b"[") * _OF_LIST + data.count(b",") * _OF_ITEM)
    if sys.getrecursionlimit() > _USUAL_RECURSION and int(depths(structure(data)[1]).max(initial=0)) > most:
        raise ReadError("JSON nested too deeply", where=source.name, hint=hint)


def structure(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Positions and kinds of brackets and commas outside of strings."""
    text = np.frombuffer(data, dtype=np.uint8)
    marks = _MARKS[text]
    require(int(np.count_nonzero(marks)) * _OF_MARK)
    places = np.flatnonzero(marks)
    kinds = text[places]
    quote = kinds == ord('"')
    if b"\\" in data:
        # a quote after an odd number of backslashes is part of the string
        slashes = np.flatnonzero(text == ord("\\"))
        begins = np.concatenate(([True], slashes[1:] != slashes[:-1] + 1))
        length = np.arange(len(slashes)) - np.maximum.accumulate(np.where(begins, np.arange(len(slashes)), 0)) + 1
        quote &= ~np.isin(places, slashes[length % 2 == 1] + 1)
    outside = (np.cumsum(quote, dtype=np.int64) % 2 == 0) & (kinds != ord('"'))
    return places[outside], kinds[outside]


def depths(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many brackets are open after each of these positions."""
    opens = (kinds == ord("[")) | (kinds == ord("{"))
    closes = (kinds == ord("]")) | (kinds == ord("}"))
    return np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int64)

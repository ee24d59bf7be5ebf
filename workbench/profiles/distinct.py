"""Numbering what is distinct, in the order of first appearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import of_numbers, to_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From here on Arrow's hash table is faster than sorting by more than it takes to import Arrow.
_MANY = 400_000
# A table of all keys between the least and the largest may have so many places for each key.
_PLACES_EACH = 4
_PLACES_FREE = 1024


def numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each key, and the distinct keys in the order of these numbers: that of first appearance.

    >>> numbered(np.array([7, 3, 7, 9]))
    (array([0, 1, 0, 2]), array([7, 3, 9]))
    """
    size = len(keys)
    if not size:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    low, high = int(keys.min()), int(keys.max())
    if high - low < _PLACES_EACH * size + _PLACES_FREE:
        return _numbered_in_range(keys, low, high)
    if size >= _MANY:
        encoded = of_numbers(keys).dictionary_encode()
        return to_numbers(encoded.indices).astype(np.int64), to_numbers(encoded.dictionary)
    distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    return number[inverse], distinct[order]


def numbered_objects(values: Iterable[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """The same of texts, tuples or anything else that can be a key of a dict."""
    seen: dict[Any, int] = {}
    numbers = np.fromiter((seen.setdefault(value, len(seen)) for value in values), dtype=np.int64)
    return numbers, list(seen)


def numbered_rows(columns: Sequence[Sequence[Any] | NDArray[Any]]) -> tuple[NDArray[np.int64], list[Any]]:
    """The same of rows, each made of one value of every column."""
    return numbered_objects(zip(*(_plain(column) for column in columns), strict=True))


def _numbered_in_range(keys: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    place = keys - low
    positions = np.arange(len(keys))
    first = np.empty(high - low + 1, dtype=np.int64)
    # of several assignments to one place the last stays: backwards that is the first appearance
    first[place[::-1]] = positions[::-1]
    distinct = np.flatnonzero(first[place] == positions)
    first[place[distinct]] = np.arange(len(distinct))
    return first[place], keys[distinct]


def _plain(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column

"""Numbers distinct values in the order of first appearance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import of_numbers, to_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From this size on, Arrow's hash table saves more time over sorting than importing Arrow takes.
_MANY = 100_000
# The most places per key of a table of all keys between the smallest and the largest.
_PLACES_EACH = 4
_PLACES_FREE = 1024


def numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each key, and the distinct keys in the order of first appearance.

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
    return _numbered_in_order(keys, low, high)


def ascending(values: NDArray[Any]) -> NDArray[Any]:
    """The distinct values in ascending order. ``numpy.unique`` alone imports numpy's masked arrays to do that."""
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def stable_order(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """A stable order that sorts keys ascending. Linear for small keys: numpy sorts 16-bit numbers by counting."""
    if not len(keys) or keys.min() < 0 or keys.max() >= 1 << 32:
        return np.argsort(keys, kind="stable")
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    if keys.max() < 1 << 16:
        return order
    return order[np.argsort((keys >> 16).astype(np.uint16)[order], kind="stable")]


def numbered_objects(values: Iterable[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """The same for texts, tuples or any other hashable values."""
    seen: dict[Any, int] = {}
    numbers = np.fromiter((seen.setdefault(value, len(seen)) for value in values), dtype=np.int64)
    return numbers, list(seen)


def numbered_rows(columns: Sequence[Sequence[Any] | NDArray[Any]]) -> tuple[NDArray[np.int64], list[Any]]:
    """The same for rows, each with one value of every column."""
    return numbered_objects(zip(*(_plain(column) for column in columns), strict=True))


def _numbered_in_range(keys: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    place = keys - low
    positions = np.arange(len(keys))
    first = np.empty(high - low + 1, dtype=np.int64)
    # of several assignments to one place the last stays: in reverse order, the first appearance
    first[place[::-1]] = positions[::-1]
    distinct = np.flatnonzero(first[place] == positions)
    first[place[distinct]] = np.arange(len(distinct))
    return first[place], keys[distinct]


def _numbered_in_order(keys: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    size = len(keys)
    bits = size.bit_length()
    if (high - low).bit_length() + bits < 63:
        # sorting key and position as one number is several times faster than asking for the order of the keys
        packed = np.sort((keys - low) << bits | np.arange(size))
        order, ordered = packed & ((1 << bits) - 1), packed >> bits
    else:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
    starts = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    first = order[starts]
    appeared = np.argsort(first)
    number = np.empty(len(first), dtype=np.int64)
    number[appeared] = np.arange(len(first))
    codes = np.empty(size, dtype=np.int64)
    codes[order] = number[np.cumsum(starts) - 1]
    return codes, keys[first[appeared]]


def _plain(column: Sequence[Any] | NDArray[Any]) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column

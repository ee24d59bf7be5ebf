"""Arrow arrays of bytes: matches patterns and numbers distinct texts, for all texts at once and without pandas
(see :mod:`workbench.profiles.arrow`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import of_numbers, to_bools, to_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def of_bytes(values: Sequence[bytes]) -> Any:
    """Texts as an array."""
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return pieces(b"".join(values), ends)


def pieces(data: bytes, ends: NDArray[np.int64]) -> Any:
    """The pieces of some bytes between these places, an array on the same memory."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.large_binary(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])


def take(texts: Any, places: NDArray[Any]) -> Any:
    """The texts at these places, or where a mask is True."""
    return texts.take(of_numbers(np.flatnonzero(places) if places.dtype == bool else places))


def lengths(texts: Any) -> NDArray[np.int64]:
    """How many bytes each text has."""
    import pyarrow.compute as pc

    return to_numbers(pc.binary_length(texts)).astype(np.int64)


def matches(texts: Any, pattern: str) -> NDArray[np.bool_]:
    """Which texts contain a match."""
    import pyarrow.compute as pc

    return to_bools(pc.match_substring_regex(texts, pattern))


def extracted(texts: Any, patterns: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    """The named groups of the first pattern that each text matches, an array per group; "" if the pattern does not have
    the group or no pattern matches."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left = np.arange(len(texts))
    found: list[tuple[NDArray[np.int64], Any]] = []
    for pattern in patterns:
        if not len(left):
            break
        groups = pc.extract_regex(take(texts, left), pattern)
        valid = to_bools(groups.is_valid())
        found.append((left[valid], take(groups, valid)))
        left = left[~valid]
    back = np.argsort(np.concatenate([*(places for places, _ in found), left]), kind="stable")
    return {
        field: take(pa.concat_arrays([*(_group(groups, field) for _, groups in found), _empty(len(left))]), back)
        for field in fields
    }


def encoded(texts: Any) -> tuple[NDArray[np.int64], list[bytes]]:
    """The number of each text among the distinct ones, and the distinct ones in order of appearance."""
    found = texts.dictionary_encode()
    return to_numbers(found.indices).astype(np.int64), found.dictionary.to_pylist()


def whole_numbers(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Digits as numbers, 0 for a text without digits; and which texts have digits."""
    import pyarrow as pa

    has = lengths(texts) > 0
    out = np.zeros(len(texts), dtype=np.int64)
    out[has] = to_numbers(take(texts, has).cast(pa.large_string()).cast(pa.int64()))
    return out, has


def _group(found: Any, field: str) -> Any:
    import pyarrow as pa

    return found.field(field).cast(pa.large_binary()) if found.type.get_field_index(field) >= 0 else _empty(len(found))


def _empty(size: int) -> Any:
    return pieces(b"", np.zeros(size + 1, dtype=np.int64))

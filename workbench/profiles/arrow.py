"""Arrow's arrays to and from numpy's without pandas.

``pyarrow.array(...)`` and ``Array.to_numpy()`` import pandas if it is installed, to check for pandas objects. That
takes longer than reading a file of some megabytes, so readers use buffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def of_numbers(values: NDArray[Any]) -> pa.Array:
    """Numbers as an Arrow array on the same memory."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def to_numbers(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers of an Arrow array without nulls; read-only if it has one chunk."""
    if hasattr(array, "combine_chunks"):
        array = array.combine_chunks()
    return np.from_dlpack(array)


def to_bools(array: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Booleans of an Arrow array without nulls."""
    return np.asarray(to_numbers(array.cast("uint8")), dtype=bool)


def of_bytes(data: bytes) -> pa.Array:
    """One UTF-8 text as an array of length one. Raises pyarrow.ArrowInvalid if it is not UTF-8."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(np.asarray([0, len(data)])), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), 1, buffers).cast(pa.large_string())


def of_texts(values: Sequence[str]) -> pa.Array:
    """Texts as an Arrow array (large strings, with no limit on the total size)."""
    import pyarrow as pa

    encoded = [value.encode("utf-8", "replace") for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def to_texts(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Texts of an Arrow array as objects, None for nulls."""
    out = np.empty(len(array), dtype=object)
    out[:] = array.to_pylist()
    return out

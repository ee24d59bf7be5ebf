"""How often each byte of a block was read or written: counted by DHAT if all blocks of a place have one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError

if TYPE_CHECKING:
    from workbench.profiles.source import Source

# DHAT counts in 16 bits, and only blocks of up to a few kilobytes
_MOST = 2**31


def access_table(points: Sequence[Any], source: Source) -> dict[str, Any] | None:
    """A row per run of bytes that were accessed equally often: point, first_byte, size_bytes, accesses. None if no
    point has counts. Raises ReadError for an invalid list of runs (``-500, 20``: 500 bytes, 20 times each)."""
    rows: list[tuple[int, int, int, int]] = []
    for number, point in enumerate(points):
        runs = point.get("acc")
        if runs is None:
            continue
        first, repeat = 0, 0
        for value in runs if isinstance(runs, list) else [None]:
            if type(value) is not int or abs(value) >= _MOST or (repeat and value < 0):
                raise _damaged(number, source)
            if value < 0:
                repeat = -value
                continue
            rows.append((number, first, repeat or 1, value))
            first, repeat = first + (repeat or 1), 0
        if repeat or first >= _MOST:
            raise _damaged(number, source)
    if not rows:
        return None
    columns = np.asarray(rows, dtype=np.int64).T
    return dict(zip(("point", "first_byte", "size_bytes", "accesses"), columns, strict=True))


def _damaged(number: int, source: Source) -> ReadError:
    return ReadError(
        f"acc of program point {number} is not a list of access counts", where=source.name, hint="Fetch the file again"
    )

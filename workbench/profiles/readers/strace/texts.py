"""Pieces of a log that are not copied out before somebody looks at them: arguments and results, of each call line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.lines import Mask, Places


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """The ``size`` bytes from ``start`` on of each row. The pieces ascend and do not overlap."""

    data: bytes
    start: Places
    size: NDArray[np.uint32]

    def take(self, rows: Places, *, first: int | None = None, last: int | None = None) -> pa.Array:
        """The texts of these rows, of each the ``first`` or ``last`` bytes. Whole texts are an Arrow array of strings,
        parts (which may begin inside a letter) one of bytes."""
        import pyarrow as pa

        if len(rows) > 1 and (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            back = np.empty(len(rows), dtype=np.int64)
            back[order] = np.arange(len(rows))
            return self.take(rows[order], first=first, last=last).take(pa.array(back))
        start = self.start[rows]
        end = start + self.size[rows]
        if first is not None:
            end = np.minimum(end, start + first)
        if last is not None:
            start = np.maximum(start, end - last)
        # texts and the gaps between them in turn are one array over the log's bytes; every other one is wanted
        offsets = np.empty(2 * len(rows) + 1, dtype=np.int64)
        offsets[0:-1:2], offsets[1::2] = start, end
        offsets[-1] = end[-1] if len(rows) else 0
        kind = pa.large_string() if first is None and last is None else pa.large_binary()
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.data)]
        both = pa.Array.from_buffers(kind, 2 * len(rows), buffers)
        return both.take(pa.array(np.arange(0, 2 * len(rows), 2)))

    def objects(self, rows: Places) -> Any:
        """The texts of these rows as an array of Python strings."""
        return self.take(rows).to_numpy(zero_copy_only=False)


def matching(texts: pa.Array, pattern: str) -> Mask:
    """Which texts have the pattern in them (RE2's syntax, in which no input takes long)."""
    import pyarrow.compute as pc

    return np.asarray(pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False), dtype=bool)

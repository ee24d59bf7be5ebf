"""The arguments and results of each call line, kept as places in the log and copied only when they are used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import of_numbers, to_bools, to_texts
from workbench.profiles.table import text

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from workbench.profiles.readers.strace.lines import Mask, Places

# Up to so many bytes, importing Arrow takes longer than it saves.
_FEW_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A row's text is the ``size`` bytes from ``start`` on. The texts are in ascending order and do not overlap."""

    data: bytes
    start: Places
    size: NDArray[np.uint32]

    def objects(self, rows: Places) -> NDArray[Any]:
        """The texts of these rows as Python strings."""
        if not _is_ascending(rows):
            order = np.argsort(rows, kind="stable")
            out = np.empty(len(rows), dtype=object)
            out[order] = self.objects(rows[order])
            return out
        start, end = self._bounds(rows)
        if int((end - start).sum()) > _FEW_BYTES:
            import pyarrow as pa

            return to_texts(_cut(self.data, start, end, pa.large_string()))
        return text([piece.decode() for piece in self._pieces(start, end)])

    def matching(self, rows: Places, pattern: str, *, first: int | None = None, last: int | None = None) -> Mask:
        """Which rows have the pattern in their first ``first`` or last ``last`` bytes. The pattern must mean the same
        to Python and to RE2, whose time is linear in the input."""
        if not len(rows):
            return np.zeros(0, dtype=bool)
        if not _is_ascending(rows):
            order = np.argsort(rows, kind="stable")
            found = np.empty(len(rows), dtype=bool)
            found[order] = self.matching(rows[order], pattern, first=first, last=last)
            return found
        start, end = self._bounds(rows)
        if first is not None:
            end = np.minimum(end, start + first)
        if last is not None:
            start = np.maximum(start, end - last)
        if int((end - start).sum()) <= _FEW_BYTES:
            search = re.compile(pattern.encode()).search
            return np.array([search(piece) is not None for piece in self._pieces(start, end)], dtype=bool)
        import pyarrow as pa
        import pyarrow.compute as pc

        return to_bools(pc.match_substring_regex(_cut(self.data, start, end, pa.large_binary()), pattern))

    def _bounds(self, rows: Places) -> tuple[Places, Places]:
        start = self.start[rows]
        return start, start + self.size[rows]

    def _pieces(self, start: Places, end: Places) -> list[bytes]:
        return [self.data[begin:stop] for begin, stop in zip(start.tolist(), end.tolist(), strict=True)]


def _is_ascending(rows: Places) -> bool:
    return len(rows) < 2 or bool((rows[1:] >= rows[:-1]).all())


def _cut(data: bytes, start: Places, end: Places, kind: pa.DataType) -> pa.Array:
    """The texts between places in ascending order, copied in one step."""
    import pyarrow as pa

    # one array over the log's bytes, in which texts and the gaps between them alternate; the texts are taken from it
    offsets = np.empty(2 * len(start) + 1, dtype=np.int64)
    offsets[0:-1:2], offsets[1::2] = start, end
    offsets[-1] = end[-1] if len(end) else 0
    both = pa.Array.from_buffers(kind, 2 * len(start), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return both.take(of_numbers(np.arange(0, 2 * len(start), 2)))

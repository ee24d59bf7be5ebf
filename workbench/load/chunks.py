"""The rows of a step in chunks of bounded size, so that a step may be larger than memory.

Functions over a step take a sequence of :class:`Chunk` and may go through it several times: a mapped file read in
pieces (:class:`LiveRows`), Parquet (:class:`StoredRows`), or a list of chunks in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from workbench.errors import RunFolderError, of_system
from workbench.load.outcome import CODE_OF, OUTCOME_NAMES, Outcome, are_paid, are_unsure
from workbench.load.samples import COLUMNS, DONE

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CHUNK_ROWS = 1 << 18
"""Rows in memory at a time: 14 MB."""

_ROW_BYTES = 8 * len(COLUMNS)
_OK, _DENIED = CODE_OF[Outcome.OK], CODE_OF[Outcome.DENIED]
_READ = ("index", "intended_ns", "sent_ns", "done_ns", "status", "outcome")


@dataclass(frozen=True)
class Chunk:
    """Measured rows in the order of their ``index``, as columns. ``outcome`` holds codes, -1 for unknown."""

    index: Column
    intended_ns: Column
    sent_ns: Column
    done_ns: Column
    status: Column
    outcome: Column

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def accepted(self) -> Mask:
        """Which rows were accepted."""
        accepted: Mask = self.outcome == _OK
        return accepted

    @cached_property
    def denied(self) -> Mask:
        """Which rows were refused by the denylist."""
        denied: Mask = self.outcome == _DENIED
        return denied

    @cached_property
    def paid(self) -> Mask:
        """For which rows the sender was charged."""
        return are_paid(self.status, self.outcome)

    @cached_property
    def unsure(self) -> Mask:
        """Which rows got no answer, so that the sender may have been charged or not."""
        return are_unsure(self.outcome)

    @property
    def lag_ns(self) -> Column:
        """How late each request was sent."""
        return self.sent_ns - self.intended_ns

    @property
    def response_ns(self) -> Column:
        """From intended time to answer, of accepted rows."""
        return (self.done_ns - self.intended_ns)[self.accepted]

    @property
    def service_ns(self) -> Column:
        """From sending to answer, of accepted rows."""
        return (self.done_ns - self.sent_ns)[self.accepted]


Chunks = Sequence[Chunk]
"""A step: its rows in the order of their index."""

CLOCKS: dict[str, Callable[[Chunk], Column]] = {
    "response": lambda chunk: chunk.response_ns,
    "service": lambda chunk: chunk.service_ns,
    "lag": lambda chunk: chunk.lag_ns,
}
"""The three clocks: response and service for accepted rows, lag for all."""


class _Read(Sequence[Chunk]):
    """A sequence whose chunks are read when used, and not kept."""

    def chunk(self, number: int) -> Chunk:
        """The chunk ``number``, from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, number: int) -> Chunk: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Chunk]: ...
    def __getitem__(self, number: int | slice) -> Chunk | Sequence[Chunk]:
        numbers = range(len(self))[number]
        return self.chunk(numbers) if isinstance(numbers, int) else [self.chunk(one) for one in numbers]


class LiveRows(_Read):
    """The measured rows of a sample buffer's file, ``chunk_rows`` of it at a time.

    The file is read, not mapped: mapped pages count as memory of the process until others need it. Raises
    RunFolderError if the file is not a sample buffer.
    """

    def __init__(self, path: Path, chunk_rows: int = CHUNK_ROWS) -> None:
        self.path = path
        self.chunk_rows = chunk_rows
        size = path.stat().st_size if path.is_file() else -1
        if size < 0 or size % _ROW_BYTES:
            raise RunFolderError(f"not a sample buffer: {max(size, 0):,} bytes", where=str(path))
        self.rows = size // _ROW_BYTES

    def __len__(self) -> int:
        return -(-self.rows // self.chunk_rows)

    def block(self, number: int) -> tuple[int, Column]:
        """The raw rows of chunk ``number``, and the index of the first."""
        first = number * self.chunk_rows
        count = min(self.chunk_rows, self.rows - first)
        try:
            flat = np.fromfile(self.path, np.int64, count * len(COLUMNS), offset=first * _ROW_BYTES)
        except OSError as error:
            raise of_system(RunFolderError, "cannot be read", error, self.path) from None
        return first, flat.reshape(-1, len(COLUMNS))

    def blocks(self) -> Iterator[tuple[int, Column]]:
        """All of :meth:`block`, in order."""
        return map(self.block, range(len(self)))

    def chunk(self, number: int) -> Chunk:
        first, rows = self.block(number)
        measured = np.flatnonzero(rows[:, DONE])
        if len(measured) < len(rows):
            rows = rows[measured]
        intended, sent, _, done, status, outcome, _ = rows.T
        return Chunk(measured + first, intended, sent, done, status, outcome)

    def measured(self) -> int:
        """How many rows have been measured."""
        return sum(int(np.count_nonzero(rows[:, DONE])) for _, rows in self.blocks())


class StoredRows(_Read):
    """The rows of a finished step's Parquet file, a row group at a time. Raises RunFolderError if it is not one."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        try:
            self._groups = int(pq.read_metadata(path).num_row_groups)
        except Exception as error:  # pyarrow's errors have no common base
            raise RunFolderError(f"cannot be read as Parquet: {error}", where=str(path)) from None

    def __len__(self) -> int:
        return self._groups

    def chunk(self, number: int) -> Chunk:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            return chunk_of(file.read_row_group(number, columns=list(_READ)).to_pandas())


def chunk_of(samples: pd.DataFrame) -> Chunk:
    """Rows of a samples frame as one chunk, for example for a part of a run: ``[chunk_of(frame)]`` is a step."""
    import pandas as pd

    outcome = pd.Categorical(samples["outcome"])
    known = {name: code for code, name in enumerate(OUTCOME_NAMES)}
    codes = np.array([known.get(str(name), -1) for name in outcome.categories] + [-1], dtype=np.int64)
    columns = {name: samples[name].to_numpy(dtype=np.int64) for name in _READ[:-1]}
    return Chunk(**columns, outcome=codes[outcome.codes])

"""One row per request, safe on disk from the moment it is measured.

While a step runs, its rows live in a file that is mapped into memory: a finished request costs one row assignment and
survives kill -9 of the generator, since the page cache belongs to the kernel. When the step has ended, the rows are
written to one Parquet file, a chunk at a time, and the mapped file is removed.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workbench.errors import RESUME, RunFolderError, of_system
from workbench.load.outcome import OUTCOME_NAMES, are_paid, are_unsure
from workbench.load.plan import CHUNK
from workbench.load.spec import Share

if TYPE_CHECKING:
    import pandas as pd

    from workbench.load.client import Exchange
    from workbench.load.connection import Connection

COLUMNS = ("intended_ns", "sent_ns", "first_byte_ns", "done_ns", "status", "outcome", "bytes_in")
PARQUET: dict[str, Any] = {
    "use_dictionary": ["step", "worker", "status", "outcome", "bytes_in", "value_grt", "payer"],
    "column_encoding": dict.fromkeys(("index", *COLUMNS[:4]), "DELTA_BINARY_PACKED"),
}
"""Parquet encodings: times are close to those of the previous row, other columns repeat, nonces do neither. Half the
bytes and half the time of pyarrow's defaults."""

DONE, STATUS, OUTCOME = (COLUMNS.index(name) for name in ("done_ns", "status", "outcome"))


class SampleBuffer:
    """``count`` rows of COLUMNS as int64 in the file ``path``; a row with ``done_ns`` 0 has not been measured.

    ``create`` reserves the disk space first: so a full disk is an error before the step, not a lost step.
    """

    def __init__(self, path: Path, rows: npt.NDArray[np.int64]) -> None:
        self.path = path
        self.rows = rows

    @classmethod
    def create(cls, path: Path, count: int) -> SampleBuffer:
        """A new buffer of zeros. Raises RunFolderError when the file cannot be made or the disk is full."""
        size = count * len(COLUMNS) * 8
        try:
            with path.open("xb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.write(bytes(size))
        except OSError as error:
            path.unlink(missing_ok=True)
            hint = "{remedy}, or choose another folder with --runs-dir"
            raise of_system(RunFolderError, f"cannot reserve {size:,} bytes for samples", error, path, hint) from None
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, to_write: bool = True) -> SampleBuffer:
        """An existing buffer, complete or left by a killed run. Raises RunFolderError if it is not one, or cannot be
        written to."""
        try:
            mapped = np.memmap(path, dtype=np.int64, mode="r+" if to_write else "r").reshape(-1, len(COLUMNS))
        except OSError as error:
            raise of_system(RunFolderError, "the samples cannot be opened", error, path, RESUME) from None
        except ValueError as error:
            raise RunFolderError(f"not a sample buffer: {error}", where=str(path)) from None
        return cls(path, mapped.view(np.ndarray))  # every access to a memmap costs more than to an array

    def of(self, share: Share) -> SampleBuffer:
        """The rows of one generator, by position in its share; a view of the same file."""
        return SampleBuffer(self.path, self.rows[share.worker :: share.workers])

    def record(self, index: int, intended_ns: int, seen: Exchange) -> None:
        """Write one exchange as row ``index``."""
        self.rows[index] = (
            intended_ns,
            seen.sent_ns,
            seen.first_byte_ns,
            seen.done_ns,
            seen.status,
            seen.outcome,
            seen.bytes_in,
        )

    def paid(self) -> int:
        """For how many measured receipts the sender was charged."""
        return int((are_paid(self.rows[:, STATUS], self.rows[:, OUTCOME]) & (self.rows[:, DONE] != 0)).sum())

    def unsure(self) -> int:
        """How many measured receipts got no answer, so that they may or may not have been charged."""
        return int((are_unsure(self.rows[:, OUTCOME]) & (self.rows[:, DONE] != 0)).sum())

    def measured(self) -> int:
        """How many rows have been measured."""
        return int(np.count_nonzero(self.rows[:, DONE]))


class RowWriter:
    """Writes the rows of one generator, by their position in its ``share`` of the step.

    On the timed path: packing seven numbers takes a quarter of the time of assigning a row of an array.
    """

    def __init__(self, buffer: SampleBuffer, share: Share) -> None:
        row = struct.Struct(f"={len(COLUMNS)}q")
        self._pack = row.pack_into
        self._bytes = buffer.rows.data.cast("B")
        self._first, self._stride = share.worker * row.size, share.workers * row.size

    def write(self, seen: Connection) -> None:
        """Write the exchange that has just ended on a connection."""
        self._pack(
            self._bytes,
            self._first + seen.position * self._stride,
            seen.intended_ns,
            seen.sent_ns,
            seen.first_byte_ns,
            seen.done_ns,
            seen.status,
            seen.outcome,
            seen.bytes_in,
        )


def nonces(seed: int, step: int, count: int, share: Share = Share()) -> npt.NDArray[np.uint64]:  # noqa: B008 - frozen
    """The nonces of a step of ``count`` receipts: uniform over 64 bits, repeatable for the same seed and step.

    With ``share`` only those of its receipts; the others are drawn in blocks of a million and not held.
    """
    own = [np.zeros(0, dtype=np.uint64)]
    for begin in range(0, count, CHUNK):
        drawn = nonces_from(seed, step, begin, min(CHUNK, count - begin))
        own.append(drawn[(share.worker - begin) % share.workers :: share.workers].copy())
    return np.concatenate(own)


def nonces_from(seed: int, step: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """``count`` of the :func:`nonces` of a step, from receipt ``first`` on, without drawing those before it.

    Each nonce takes one number of the random generator, which can skip numbers.
    """
    numbers = np.random.PCG64([seed, step]).advance(first)
    return np.random.Generator(numbers).integers(0, 1 << 64, count, dtype=np.uint64)


def to_frame(
    rows: npt.NDArray[np.int64],
    *,
    step: int,
    nonce: npt.NDArray[np.uint64],
    payer: str,
    value_grt: float,
    workers: int = 1,
    first: int = 0,
) -> pd.DataFrame:
    """The measured rows of a buffer, or of a chunk of it whose first row is ``first``, as a DataFrame.

    ``nonce``: the nonces of these rows.

    Columns: ``index`` (position in the plan), ``step``, ``worker`` (which of ``workers`` generators sent it),
    ``intended_ns``, ``sent_ns``, ``first_byte_ns`` (0 where no answer came), ``done_ns`` (all on the machine's
    monotonic clock), ``status`` (0 where no answer came), ``outcome`` (category), ``bytes_in``, ``value_grt``,
    ``nonce`` (uint64), ``payer`` (category).
    """
    import pandas as pd

    index = np.flatnonzero(rows[:, DONE])
    rows = np.asarray(rows[index])
    number = index + first
    frame = pd.DataFrame({"index": number, "step": np.int32(step), "worker": (number % workers).astype(np.int16)})
    for position, name in enumerate(COLUMNS[:4]):
        frame[name] = rows[:, position]
    frame["status"] = rows[:, 4].astype(np.int16)
    frame["outcome"] = pd.Categorical.from_codes(rows[:, 5], categories=list(OUTCOME_NAMES))
    frame["bytes_in"] = rows[:, 6].astype(np.int32)
    frame["value_grt"] = value_grt
    frame["nonce"] = nonce[index]
    frame["payer"] = pd.Categorical.from_codes(np.zeros(len(index), dtype=np.int8), categories=[payer])
    return frame

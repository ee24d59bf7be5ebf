"""Cost per source line of a callgrind file, summed in a separate pass on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import called_, self_
from workbench.profiles.readers.callgrind.body import quiet_walk
from workbench.profiles.readers.callgrind.context import numbers_of
from workbench.profiles.readers.callgrind.kinds import CALL, NAMED
from workbench.profiles.source import Source
from workbench.profiles.table import Table, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE_BITS = 32
_LINE_MASK = 2**_LINE_BITS - 1
_FILE_BITS = 24
_FILE_MASK = 2**_FILE_BITS - 1
# for each piece a table with one row per line is made
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Costs:
    """Costs of places and lines, self costs or costs of calls (``kind``): one row per key ``place << 32 | line``. Only
    costs other than 0 are kept: ``cost`` at ``cell``, which is ``row * len(events) + column``."""

    kind: int
    events: tuple[str, ...]
    keys: NDArray[np.int64]
    cell: NDArray[np.int32]
    cost: NDArray[Any]

    @classmethod
    def of(cls, kind: int, events: tuple[str, ...], keys: NDArray[np.int64], table: NDArray[np.int64]) -> _Costs:
        """The costs of a table, in the smallest type that holds them."""
        flat = table.reshape(-1)
        some = np.flatnonzero(flat)
        cost = flat[some]
        least, most = int(cost.min(initial=0)), int(cost.max(initial=0))
        kept = np.result_type(np.min_scalar_type(least), np.min_scalar_type(most)) if least < 0 else None
        return cls(kind, events, keys, some.astype(np.int32), cost.astype(kept or np.min_scalar_type(most)))


@dataclass(frozen=True)
class LineTable:
    """The costs of a file by source line. ``kept`` holds the file until it is read. ``function_ids``: the profile's
    function for each function of the file; ``factor``: a column of factors that bring each event to its unit."""

    kept: list[Source]
    stop: int
    events: Sequence[str]
    factor: NDArray[np.int64]
    files: Sequence[str]
    function_ids: NDArray[np.int64]

    def too_many(self, limit_bytes: int) -> int:
        """The number of lines if their costs take more memory than this; otherwise 0."""
        count = len(_every_key(self._pieces({})))
        return count if 2 * 8 * len(self.events) * count > limit_bytes else 0

    def table(self) -> Table:
        """function_id, file, line, ``self_`` and ``called_`` of each event, in the order of the file's functions; a row
        for each line that has any cost. Raises ReadError if an earlier pass was interrupted."""
        places: dict[int, int] = {}
        pieces = self._pieces(places)
        self.kept.clear()
        every = _every_key(pieces)
        keys = np.fromiter(places, dtype=np.int64, count=len(places))[every >> _LINE_BITS]
        columns: dict[str, Any] = {
            "function_id": self.function_ids[keys >> _FILE_BITS],
            "file": text([*self.files, ""])[(keys & _FILE_MASK) - 1],
            "line": every & _LINE_MASK,
        }
        del keys
        own = [piece for piece in pieces if piece.kind == NAMED]
        called = [piece for piece in pieces if piece.kind == CALL]
        del pieces
        for name, some in ((self_, own), (called_, called)):
            sums = self._summed(some, every)
            columns.update((name(event), column) for event, column in zip(self.events, sums, strict=True))
        return Table(columns)

    def _pieces(self, places: dict[int, int]) -> list[_Costs]:
        if not self.kept:
            raise ReadError("the computation of costs per source line was interrupted", hint="Read the file again")
        walk = quiet_walk(self.kept[0], self.stop)
        pieces = []
        for stretch in walk.stretches(_PIECE_BYTES):
            added = walk.add_by_line(stretch)
            mark = added.runs["mark"]
            whose = (stretch.whose.function << _FILE_BITS) + stretch.whose.file + 1
            some = np.flatnonzero(stretch.marks["costs"] > 0)
            place = np.zeros(len(whose), dtype=np.int64)
            place[some] = numbers_of(places, whose[some])
            keys = place[mark] << _LINE_BITS | added.runs["line"]
            for kind in (NAMED, CALL):
                rows = np.flatnonzero(added.runs["kind"] == kind)
                pieces.append(_Costs.of(kind, walk.parts[stretch.part].events, keys[rows], added.table[rows]))
        return pieces

    def _summed(self, pieces: list[_Costs], keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Events x keys. Each piece is freed once it is added, since the table grows at the same time."""
        table = np.zeros((len(self.events), len(keys)), dtype=np.int64)
        flat = table.reshape(-1)
        while pieces:
            piece = pieces.pop()
            width = len(piece.events)
            column = np.asarray([self.events.index(event) for event in piece.events], dtype=np.int64) * len(keys)
            row, event = np.divmod(piece.cell, width)
            # a key without cost can be beyond the last one: nothing is added there
            at = np.searchsorted(keys, piece.keys)
            np.add.at(flat, at[row] + column[event], piece.cost.astype(np.int64))
        if (self.factor != 1).any():
            table *= self.factor
        return table


def _every_key(pieces: Sequence[_Costs]) -> NDArray[np.int64]:
    """All keys that have a cost, sorted."""
    keys = []
    for piece in pieces:
        row = piece.cell // max(len(piece.events), 1)
        keys.append(np.unique(piece.keys[row[np.flatnonzero(np.diff(row, prepend=-1))]]))
    return np.unique(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.int64)

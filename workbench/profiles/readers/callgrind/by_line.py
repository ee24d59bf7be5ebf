"""Cost per source line of a callgrind file, summed over what was read a chunk at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.columns import called_, self_
from workbench.profiles.readers.callgrind.body import LINE_BITS, Body, Costs, added_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE_MASK = 2**LINE_BITS - 1


class LineTable:
    """The costs of places and lines, not yet summed. ``factor`` is a column of what brings each event to its unit."""

    def __init__(self, body: Body, events: Sequence[str], factor: NDArray[np.int64], files: Sequence[str]) -> None:
        self._own, self._called = body.own, body.call_costs
        self._place_function, self._place_file = body.context.place_table().T
        self._events, self._factor, self._files = events, factor, files

    def too_many(self, limit_bytes: int) -> int:
        """How many lines there are, where their costs take more memory than this; else 0."""
        each = 2 * 8 * len(self._events)
        # a line that comes again later in the file counts once, but to find those takes time
        if each * sum(len(piece.keys) for piece in self._own) <= limit_bytes:
            return 0
        count = len(self._keys())
        return count if each * count > limit_bytes else 0

    def table(self) -> pd.DataFrame:
        """function_id, file, line, ``self_`` and ``called_`` of each event, in the order of the file's functions; a
        row for each line that has any cost."""
        keys = self._keys()
        own = self._summed(self._own, keys)
        called = self._summed(self._called, keys)
        place = keys >> LINE_BITS
        where = pd.DataFrame(
            {
                "function_id": self._place_function[place],
                "file": pd.Series([*self._files, ""], dtype="str").take(self._place_file[place]).reset_index(drop=True),
                "line": keys & _LINE_MASK,
            }
        )
        return pd.concat(
            [
                where,
                pd.DataFrame(own.T, columns=[self_(name) for name in self._events], copy=False),
                pd.DataFrame(called.T, columns=[called_(name) for name in self._events], copy=False),
            ],
            axis=1,
        )

    def _keys(self) -> NDArray[np.int64]:
        return _distinct([_with_cost(self._own), _with_cost(self._called)])

    def _summed(self, pieces: list[Costs], keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Events x keys. The pieces are let go."""
        # a key without cost can be beyond the last one: nothing is added there
        table = added_up(pieces, self._events, [np.searchsorted(keys, piece.keys) for piece in pieces], len(keys))
        pieces.clear()
        if (self._factor != 1).any():
            table *= self._factor
        return table


def _with_cost(pieces: Sequence[Costs]) -> NDArray[np.int64]:
    """All keys that have a cost, sorted."""
    keys = []
    for piece in pieces:
        row = piece.cell // len(piece.events)
        keys.append(piece.keys[row[np.flatnonzero(np.diff(row, prepend=-1))]])
    return _distinct(keys)


def _distinct(keys: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    every = np.sort(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.int64)
    return every[np.flatnonzero(np.diff(every, prepend=-1))]

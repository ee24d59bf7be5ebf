"""Rows by group, for tables of some hundred rows that are asked for often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows by group, in the order in which the groups first appear. On the table of a window pandas' groupby takes ten
    times as long, most of it for keys of text.

    ``first``: the first row of each group; ``of_row``: the group of each row; ``order``: the rows, group by group;
    ``starts``: where each group begins in ``order``.
    """

    first: NDArray[np.int64]
    of_row: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @staticmethod
    def of(number: NDArray[np.int64]) -> Groups:
        """The groups of rows with equal ``number``."""
        _, first, at = np.unique(number, return_index=True, return_inverse=True)
        appearance = np.argsort(first)
        rank = np.empty_like(appearance)
        rank[appearance] = np.arange(len(appearance))
        of_row = rank[at]
        order = np.argsort(of_row, kind="stable")
        return Groups(first[appearance], of_row, order, np.searchsorted(of_row[order], np.arange(len(first))))

    def reduce(self, operation: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """``operation`` (``np.add``, ``np.fmax``) over the values of each group."""
        return np.asarray(operation.reduceat(values[self.order], self.starts) if len(values) else values)

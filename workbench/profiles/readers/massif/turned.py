"""Heap trees turned into call trees: the nodes of a profile, grown from all stacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.massif.trees import own_bytes, stacks, touched
from workbench.profiles.table import Table
from workbench.profiles.tree import add_at, grow, node_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.massif.shown import Part


def of_snapshot(heap: Table, metric: str, number: int | None) -> tuple[Table, Part, Part]:
    """The nodes of one snapshot's tree (None: no tree), the stacks that lost outer callers, and the places below
    massif's threshold: see :func:`_turned`."""
    rows = np.flatnonzero(heap["snapshot"] == (-1 if number is None else number))
    return _turned(heap, [metric], rows, np.zeros(len(heap), dtype=np.int64))


def of_metrics(heap: Table, metrics: Iterable[str], column: Mapping[int, int]) -> tuple[Table, Part, Part]:
    """The same for all snapshots in one tree; ``column`` is the position of each snapshot's metric."""
    rows, numbers = numbered(heap["snapshot"])
    place = np.array([column[number] for number in numbers.tolist()], dtype=np.int64)[rows]
    return _turned(heap, [*metrics], np.arange(len(place)), place)


def _turned(
    heap: Table, metrics: Sequence[str], chosen: NDArray[np.int64], column: NDArray[np.int64]
) -> tuple[Table, Part, Part]:
    """The chosen rows of ``heap_trees`` turned into a call tree; ``column`` is the metric of each row. Also the number
    and the bytes of stacks that were too deep, and of places that were too small to be listed."""
    if len(chosen) and len(chosen) < len(heap):
        # the rows of one snapshot are consecutive, and their parents must count from the first of them
        heap, column = heap.take(chosen), column[chosen]
        parent = np.where(heap["parent_id"] >= 0, heap["parent_id"] - chosen[0], heap["parent_id"])
    else:
        heap = heap.take(chosen)
        parent = heap["parent_id"]
    own = own_bytes(parent, heap["bytes"])
    found = stacks(parent, heap["depth"], own)
    weight = own[found.leaf]
    below = touched(found, heap["below_threshold"])
    lost = (int(found.cut.sum()), int(weight[found.cut].sum())) if found.cut.any() else None
    places = heap["places"][found.leaf][below]
    small = (int(places.sum()), int(weight[below].sum())) if below.any() else None
    grown = grow(found.offsets, heap["frame_id"][found.nodes])
    costs = np.zeros((len(found.leaf), len(metrics)), dtype=np.int64)
    costs[np.arange(len(found.leaf)), column[found.leaf]] = weight
    summed = add_at(len(grown.parent), grown.node_of, costs)
    return node_table(metrics, grown.parent, grown.frame, summed), lost, small

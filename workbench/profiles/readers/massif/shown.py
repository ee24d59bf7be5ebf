"""What functions hold in the heap tree that a massif profile shows, found before that tree is turned into a call tree:
most who read a file ask for its functions only."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from workbench.profiles.columns import FUNCTION_COLUMNS, MAX_DEPTH, self_, total_
from workbench.profiles.readers.massif.kernel import kernel
from workbench.profiles.readers.massif.limits import MAX_STACK_FRAMES
from workbench.profiles.table import Listed, Table, Tables
from workbench.profiles.ungrown import Ungrown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.profiles.readers.massif.forest import Forest

Part: TypeAlias = tuple[int, int] | None
"""How many stacks or places something concerns, and the bytes of them; None for none."""


class HeldBy(NamedTuple):
    """The bytes allocated in each function itself, and in it and all it called; ``small`` are the places below massif's
    threshold."""

    selves: list[int]
    totals: list[int]
    small: Part


class HeapStacks(Ungrown):
    """The ``nodes`` of a massif profile, not yet grown."""

    __slots__ = ("_held",)

    def __init__(self, metric: str, held: HeldBy, tables: Tables, number: int | None) -> None:
        super().__init__(partial(_grown, metric, tables, number))
        self._held = held

    def functions(self, frames: Table, names: Sequence[str]) -> Table:
        """See :class:`Ungrown`."""
        ids, count = frames.values("function_id"), len(self._held.selves)
        first: dict[int, int] = {}
        for row, function in enumerate(ids):
            first.setdefault(function, row)
        columns: dict[str, Any] = {
            "calls": Listed([None] * count, "counts"),
            "cycle": Listed([-1] * count, "int64"),
            "total_exact": Listed([True] * count, "bool"),
        }
        for name in names:
            columns[self_(name)] = Listed(self._held.selves, "int64")
            columns[total_(name)] = Listed(self._held.totals, "int64")
        return frames.select(FUNCTION_COLUMNS).pick([*first.values()]).assign(**columns)

    def values(self, column: str) -> NDArray[np.int64]:
        """See :class:`Ungrown`: a figure a function."""
        import numpy as np

        return np.array(self._held.selves, dtype=np.int64)

    def sums(self, column: str) -> tuple[int, int]:
        """See :class:`Ungrown`."""
        return sum(self._held.selves), 0


def held_in(forest: Forest, number: int | None) -> HeldBy | None:
    """What functions hold in the tree of a snapshot (None: of none); None where its stacks must be cut."""
    ids = forest.frames.values("function_id")
    functions = max(ids, default=-1) + 1
    if number is None:
        return HeldBy([0] * functions, [0] * functions, None)
    tree = forest.trees[number]
    function_of = array("q", [ids[frame] if frame >= 0 else -1 for frame in forest.frame_of])
    columns = (tree.parent, tree.depth, tree.held, tree.text, forest.inlined[number])
    selves, totals, places, held, deepest, frames = kernel().held_by(*columns, forest.small, function_of, functions)
    if deepest > MAX_DEPTH or frames > MAX_STACK_FRAMES:
        return None
    small = (places, held) if places else None
    return HeldBy(memoryview(selves).cast("q").tolist(), memoryview(totals).cast("q").tolist(), small)


def _grown(metric: str, tables: Tables, number: int | None) -> Table:
    from workbench.profiles.readers.massif.turned import of_snapshot

    return of_snapshot(tables["heap_trees"], metric, number)[0]

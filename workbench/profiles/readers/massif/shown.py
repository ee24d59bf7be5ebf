"""The bytes that functions hold in the heap trees of a massif profile, computed without making the call tree: mostly
only the functions of a file are needed."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

from workbench.hints import TYPE_CHECKING, NamedTuple
from workbench.profiles.columns import FUNCTION_COLUMNS, MAX_DEPTH, self_, total_
from workbench.profiles.readers.massif.kernel import kernel
from workbench.profiles.readers.massif.limits import MAX_STACK_FRAMES
from workbench.profiles.table import Listed, Table
from workbench.profiles.ungrown import Ungrown

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from workbench.profiles.readers.massif.forest import Forest

Part: TypeAlias = tuple[int, int] | None
"""A number of stacks or places, and their bytes; None if there are none."""


class HeldBy(NamedTuple):
    """The bytes allocated in each function itself, and in it and all it called."""

    selves: list[int]
    totals: list[int]


class HeapStacks(Ungrown):
    """The ``nodes`` of a massif profile before the tree is built. ``held`` has the bytes that functions hold, by the
    metric's name; ``functions`` is the number of functions."""

    __slots__ = ("_functions", "_held")

    def __init__(self, held: Mapping[str, HeldBy], functions: int, grown: Callable[[], Table]) -> None:
        super().__init__(grown)
        self._held = held
        self._functions = functions

    def functions(self, frames: Table, names: Sequence[str]) -> Table:
        """See :class:`Ungrown`."""
        first: dict[int, int] = {}
        for row, function in enumerate(frames.values("function_id")):
            first.setdefault(function, row)
        columns: dict[str, Any] = {
            "calls": Listed([None] * self._functions, "counts"),
            "cycle": Listed([-1] * self._functions, "int64"),
            "total_exact": Listed([True] * self._functions, "bool"),
        }
        for name in names:
            columns[self_(name)] = Listed(self._held[name].selves, "int64")
            columns[total_(name)] = Listed(self._held[name].totals, "int64")
        return frames.select(FUNCTION_COLUMNS).pick([*first.values()]).assign(**columns)

    def values(self, column: str) -> NDArray[np.int64]:
        """See :class:`Ungrown`: one value per function."""
        import numpy as np

        return np.array(self._selves(column), dtype=np.int64)

    def sums(self, column: str) -> tuple[int, int]:
        """See :class:`Ungrown`."""
        return sum(self._selves(column)), 0

    def _selves(self, column: str) -> list[int]:
        return next(held.selves for name, held in self._held.items() if self_(name) == column)


def ungrown(
    forest: Forest, metrics: Mapping[str, int | None], grown: Callable[[], Table]
) -> tuple[Ungrown, Part] | None:
    """The nodes of the trees of ``metrics`` (metric to snapshot; None: no tree), and the places below massif's
    threshold in all of them. ``grown`` makes the nodes. None if stacks must be cut."""
    ids = forest.frames.values("function_id")
    functions = max(ids, default=-1) + 1
    function_of = array("q", [ids[frame] if frame >= 0 else -1 for frame in forest.frame_of])
    held, all_frames, all_places, small_bytes = {}, 0, 0, 0
    for metric, number in metrics.items():
        if number is None:
            held[metric] = HeldBy([0] * functions, [0] * functions)
            continue
        tree = forest.trees[number]
        columns = (tree.parent, tree.depth, tree.held, tree.text, forest.inlined[number])
        selves, totals, places, small, deepest, frames = kernel().held_by(
            *columns, forest.small, function_of, functions
        )
        all_frames, all_places, small_bytes = all_frames + frames, all_places + places, small_bytes + small
        if deepest > MAX_DEPTH or all_frames > MAX_STACK_FRAMES:
            return None
        held[metric] = HeldBy(memoryview(selves).cast("q").tolist(), memoryview(totals).cast("q").tolist())
    return HeapStacks(held, functions, grown), (all_places, small_bytes) if all_places else None

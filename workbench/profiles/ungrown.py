"""What a Profile can know of its stacks before their tree is grown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.profiles.table import Deferred, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ungrown(Deferred):
    """The ``nodes`` of a Profile whose tree is grown when it is asked for, and what is known of its stacks before."""

    __slots__ = ()

    def functions(self, frames: Table, names: Sequence[str]) -> Table:
        """The ``functions`` of the profile, as :func:`~workbench.profiles.tree.functions_of` gives them: recursion is
        counted once."""
        raise NotImplementedError

    def values(self, column: str) -> NDArray[np.int64]:
        """What was recorded in the metric that has this ``self_`` column: figures that sum to its total."""
        raise NotImplementedError

    def sums(self, column: str) -> tuple[int, int]:
        """The sum of these figures, and the sum of those below 0."""
        values = self.values(column)
        return values.sum().item(), values[values < 0].sum().item()

"""The ``nodes`` of a Profile whose tree is not built yet, and the figures that are known without it."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.hints import TYPE_CHECKING
from workbench.profiles.table import Deferred, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ungrown(Deferred):
    """The ``nodes`` of a Profile, whose tree is built on first use; the methods need no tree."""

    __slots__ = ()

    def functions(self, frames: Table, names: Sequence[str]) -> Table:
        """The ``functions`` of the profile, as :func:`~workbench.profiles.tree.functions_of` gives them: recursion is
        counted once."""
        raise NotImplementedError

    def values(self, column: str) -> NDArray[np.int64]:
        """The recorded values of the metric with this ``self_`` column; their sum is its total."""
        raise NotImplementedError

    def sums(self, column: str) -> tuple[int, int]:
        """The sum of these values, and the sum of those below 0."""
        values = self.values(column)
        return values.sum().item(), values[values < 0].sum().item()

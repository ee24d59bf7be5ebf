"""Negative costs in formats that do not support them.

pprof, pstats and tables support them; tools for folded stacks, speedscope and callgrind refuse them or leave them out.
There a difference is refused. Two readings of a clock can make single costs slightly negative: these count 0, and a
note gives their weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles.notes import Note
from workbench.profiles.share import whole_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

WITHOUT_NEGATIVES = ("folded", "speedscope", "callgrind")


def not_negative(profile: Profile, costs: NDArray[Any], names: Sequence[str], format: str) -> NDArray[Any]:
    """``costs``, one column for each of ``names``, with 0 for slightly negative ones. Raises WorkbenchError if they are
    more, as in a difference."""
    if not (costs < 0).any():
        return costs
    for name, column in zip(names, costs.T, strict=True):
        if (column < 0).any() and math.isnan(whole_of(profile, name)):
            raise WorkbenchError(
                f"{name} has costs below 0, which {format} does not support",
                where=profile.name,
                hint="It is a difference: write it as pprof or parquet, or export the two profiles it was made from",
            )
    return np.where(costs < 0, 0, costs)


def negative_notes(profile: Profile, names: Sequence[str]) -> list[Note]:
    """What :func:`not_negative` leaves out, a note for each metric."""
    notes = []
    for name in names:
        own = profile.self_costs(name)
        below = own[own < 0]
        if len(below):
            what = "costs below 0, which the format does not support: they count 0"
            notes.append(Note(what, len(below), metric=name, weight=below.sum().item()))
    return notes

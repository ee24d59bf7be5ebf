"""Columns of the reader's tables whose words repeat: few are distinct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.table import Words, text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def words(values: Sequence[str], distinct: Sequence[str]) -> Words:
    """A column of ``values``, which are all in ``distinct``."""
    number = {word: place for place, word in enumerate(distinct)}
    return coded(np.array([number[value] for value in values], dtype=np.int64), distinct)


def coded(codes: NDArray[Any], distinct: Sequence[str]) -> Words:
    """A column with the word ``distinct[code]`` for each code; words that no row has are left out."""
    seen = np.bincount(codes, minlength=len(distinct)) > 0
    kept = [word for word, is_seen in zip(distinct, seen.tolist(), strict=True) if is_seen]
    return Words((np.cumsum(seen) - 1)[codes], text(kept))

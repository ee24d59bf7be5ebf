"""Joins the trees of several profiles, with the label ``thread`` for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import self_
from workbench.profiles.table import Counts, text
from workbench.profiles.tree import add_at, regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.speedscope.threads import Part

LABEL = "thread"


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """One tree in preorder with a column of costs per metric. ``samples`` and ``tags`` are as in a Profile, None if
    there is only one profile."""

    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    costs: NDArray[Any]
    samples: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None


def join(parts: Sequence[Part], column: Sequence[int], metrics: Sequence[str], threads: Sequence[str]) -> Joined:
    """The trees of ``parts`` as one. ``column``: the metric of each part; ``threads``: its name."""
    sizes = [len(part.parent) for part in parts]
    base = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes).astype(np.int64)
    local = np.concatenate([part.parent for part in parts])
    frame = np.concatenate([part.frame for part in parts])
    tree = regrow(np.where(local >= 0, local + base, local), frame, np.ones(len(local), dtype=bool))
    counted = np.repeat(np.asarray(column, dtype=np.int64), sizes)
    own = np.concatenate([part.costs[:, 0] for part in parts])
    costs = np.zeros((len(own), len(metrics)), dtype=own.dtype)
    costs[np.arange(len(own)), counted] = own
    spent = np.flatnonzero(own)
    samples = {
        "node_id": tree.node_of[spent],
        "tags_id": np.repeat(np.arange(1, len(parts) + 1), sizes)[spent],
        **{self_(metric): costs[spent, place] for place, metric in enumerate(metrics)},
    }
    tags = {
        "tags_id": np.arange(1, len(parts) + 1),
        "key": text([LABEL] * len(parts)),
        "value": text(threads),
        "number": Counts.unknown(len(parts)),
        "unit": text([""] * len(parts)),
    }
    return Joined(tree.parent, tree.frame, add_at(len(tree.parent), tree.node_of, costs), samples, tags)

"""Aligns the nodes of two call trees before the trees are joined.

Two builds or windows of a program rarely have the same paths. One build inlines a function without a trace that the
other calls; a window begins inside a function whose callers are only in the other window. So nodes get other parents:
functions of only one side are skipped where the other side has the function directly, and a call tree that begins in
the middle is placed where the other side has its first function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.chains import levels
from workbench.profiles.columns import NO_PARENT
from workbench.profiles.tree import outermost, regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Side:
    """One of two trees: ``parent``, the number of each node's ``function`` (equal numbers on both sides for the same
    function), the total ``weight`` of each node, and whether the tree was built from ``calls``."""

    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    weight: NDArray[Any]
    calls: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    """The nodes of both trees, one after the other, as one forest. ``hung``: the roots (positions) that got a parent on
    the other side."""

    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    hung: NDArray[np.int64]


def aligned(before: Side, after: Side) -> Alignment:
    """The two trees as one forest, in which siblings of one function are one node; see above.

    Parents need not come before their children.
    """
    split = len(before.parent)
    function = np.concatenate([before.function, after.function])
    is_after = np.arange(len(function)) >= split
    parent = np.concatenate([before.parent, np.where(after.parent >= 0, after.parent + split, NO_PARENT)])
    hung = _hung(before, after)
    for root, above in hung.items():
        parent[root] = above
    size = int(function.max(initial=-1)) + 1
    shared = np.zeros(size, dtype=bool)
    shared[np.intersect1d(before.function, after.function)] = True
    parent = _stepped_over(parent, function, is_after, shared[function], _above(parent, list(hung)))
    return Alignment(parent, function, np.asarray(sorted(hung), dtype=np.int64))


def _stepped_over(
    parent: NDArray[np.int64],
    function: NDArray[np.int64],
    is_after: NDArray[np.bool_],
    shared: NDArray[np.bool_],
    kept: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The parents, changed so that a function of both sides is not below a function of only its own side, if the other
    side has it directly and its own side never does. ``kept`` functions are never skipped."""
    shared = shared | kept
    if shared.all():
        return parent
    # the forest without functions of only one side; the places that both sides have
    bare = regrow(parent, function, shared)
    place = bare.node_of
    size = len(bare.parent)
    there = np.zeros((2, size), dtype=bool)
    there[is_after[shared].astype(np.int64), place[shared]] = True
    both = there[0] & there[1]
    # the nearest ancestor with a function of both sides, and which nodes are directly below it
    above = np.full(len(parent), NO_PARENT, dtype=np.int64)
    order = levels(parent)
    for level in order[1:]:
        ups = parent[level]
        above[level] = np.where(shared[ups], ups, above[ups])
    direct = shared & (above == parent)
    taken = np.zeros((2, size), dtype=bool)
    taken[is_after[direct].astype(np.int64), place[direct]] = True
    moved = parent.copy()
    in_place = np.zeros(len(parent), dtype=bool)
    for level in order:
        level = level[shared[level]]
        ups = above[level]
        free = direct[level] | ~taken[is_after[level].astype(np.int64), place[level]]
        fits = both[place[level]] & free & ((ups == NO_PARENT) | in_place[ups])
        in_place[level] = fits | kept[level]
        moved[level[fits]] = ups[fits]
    return moved


def _above(parent: NDArray[np.int64], nodes: list[int]) -> NDArray[np.bool_]:
    """All ancestors of these nodes, without the nodes themselves."""
    found = np.zeros(len(parent), dtype=bool)
    for node in nodes:
        at = int(parent[node])
        while at != NO_PARENT and not found[at]:
            found[at] = True
            at = int(parent[at])
    return found


def _hung(before: Side, after: Side) -> dict[int, int]:
    """Roots of call-built trees whose function is a root only on this side: the position of each and of its new parent,
    the caller of that function's largest node on the other side.

    A tree that got a parent takes no roots of the other side, and vice versa: otherwise two trees could be below each
    other.
    """
    split = len(before.parent)
    found: list[tuple[float, int, int]] = []
    for here, there, start, other in ((before, after, 0, split), (after, before, split, 0)):
        roots = np.flatnonzero(here.parent == NO_PARENT)
        if not here.calls or not len(there.parent):
            continue
        first = there.function[there.parent == NO_PARENT]
        inside = np.flatnonzero((there.parent != NO_PARENT) & outermost(there.parent, there.function))
        heaviest = inside[np.lexsort((-np.abs(there.weight[inside]), there.function[inside]))]
        functions, at = np.unique(there.function[heaviest], return_index=True)
        place = dict(zip(functions.tolist(), heaviest[at].tolist(), strict=True))
        for root in roots[~np.isin(here.function[roots], first)].tolist():
            node = place.get(int(here.function[root]))
            if node is not None:
                found.append((-abs(float(here.weight[root])), root + start, int(there.parent[node]) + other))
    tops = np.concatenate([_tops(before.parent), _tops(after.parent) + split])
    hung: dict[int, int] = {}
    holds: set[int] = set()
    for _, root, above in sorted(found):
        if root not in holds and int(tops[above]) not in hung:
            hung[root] = above
            holds.add(int(tops[above]))
    return hung


def _tops(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """The root above each node; a root's own number. The tree is in preorder."""
    roots = np.flatnonzero(parent == NO_PARENT)
    return roots[np.cumsum(parent == NO_PARENT) - 1] if len(parent) else parent

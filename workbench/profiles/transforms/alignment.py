"""Where the nodes of two call trees belong when the trees are laid over each other.

Two builds or two windows of one program seldom have the same paths. A build inlines a function without a trace that the
other calls; a window begins inside a function whose callers the other saw. So nodes are given other parents: what only
one side has on the way is stepped over where the other side has the function right there, and a tree of calls that
begins in the middle hangs where the other has its first function.
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
    """One of two trees: ``parent``, the number of each node's ``function`` (equal on both sides where it is one
    function), a ``weight`` a node, with all below it, and whether the tree was built from ``calls``."""

    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    weight: NDArray[Any]
    calls: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    """The nodes of both trees, one after the other, as one forest. ``hung`` are the roots (positions) that got a
    parent of the other side."""

    parent: NDArray[np.int64]
    function: NDArray[np.int64]
    hung: NDArray[np.int64]


def aligned(before: Side, after: Side) -> Alignment:
    """The two trees as one forest, in which siblings of one function are one node; see the module.

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
    """The parents, such that a function which both sides have is not below one that only its own side has, where the
    other side has it without that one and its own side has not. ``kept`` are never stepped over."""
    shared = shared | kept
    if shared.all():
        return parent
    # the forest as it is without functions of one side; the places in it where both sides are
    bare = regrow(parent, function, shared)
    place = bare.node_of
    size = len(bare.parent)
    there = np.zeros((2, size), dtype=bool)
    there[is_after[shared].astype(np.int64), place[shared]] = True
    both = there[0] & there[1]
    # the nearest node above that both sides' functions have, and which nodes are right below it
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
    """All nodes on the ways from these to their roots, these left out."""
    found = np.zeros(len(parent), dtype=bool)
    for node in nodes:
        at = int(parent[node])
        while at != NO_PARENT and not found[at]:
            found[at] = True
            at = int(parent[at])
    return found


def _hung(before: Side, after: Side) -> dict[int, int]:
    """Roots of trees built from calls whose function is a root of only this side: the position of each and that of its
    new parent, the caller of the heaviest node of that function on the other side.

    A tree that got a parent takes no roots of the other side, and the other way round: else two trees could hang on
    each other.
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

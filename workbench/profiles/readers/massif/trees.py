"""Massif's heap trees as flat arrays: parents, inlined frames, and the stacks of the tree.

A heap tree is *allocation first*: the children of a node are its callers. The bytes of a node are the sum of its
children's, so only the leaves, the outermost callers that are known, have bytes of their own. A call tree is the other
way round; :func:`stacks` turns a heap tree into one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import MAX_DEPTH, NO_PARENT
from workbench.profiles.distinct import ascending
from workbench.profiles.readers.massif.limits import MAX_STACK_FRAMES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """Stacks given root first, as :func:`workbench.profiles.tree.grow` takes them: stack ``i`` consists of the heap
    tree nodes ``nodes[offsets[i]:offsets[i + 1]]`` and ends where the allocator was called. ``leaf[i]`` is the node
    that holds its bytes, ``cut[i]`` whether outer callers were left off.
    """

    offsets: NDArray[np.int64]
    nodes: NDArray[np.int64]
    leaf: NDArray[np.int64]
    cut: NDArray[np.bool_]


def parents_by_indent(depth: NDArray[np.int64], children: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """The parent of each node of one tree in preorder, from the depths; None if the depths are impossible, or disagree
    with ``children``, the number of children that each node states (None: not checked)."""
    size = len(depth)
    steps = depth[1:] - depth[:-1]
    if not size or depth[0] != 0 or (depth[1:] < 1).any() or (steps > 1).any():
        return None
    # the parent is the last earlier node that is one level up
    key = depth * size + np.arange(size)
    order = np.argsort(depth, kind="stable")
    found = np.searchsorted(key[order], key[1:] - size) - 1
    parent = np.concatenate(([NO_PARENT], order[found]))
    if children is not None and (np.bincount(parent[1:], minlength=size) != children).any():
        return None
    return parent


def parents_by_count(children: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """The parent and depth of each node of one tree in preorder, from the numbers of children alone.

    Also says whether the tree is complete. If nodes are left over, the arrays are shorter than ``children``.
    """
    parents: list[int] = []
    depths: list[int] = []
    waiting: list[int] = []
    left: list[int] = []
    for position, count in enumerate(children.tolist()):
        if position and not waiting:
            break
        parents.append(waiting[-1] if waiting else NO_PARENT)
        depths.append(depths[parents[-1]] + 1 if waiting else 0)
        if waiting:
            left[-1] -= 1
            if not left[-1]:
                waiting.pop()
                left.pop()
        if count:
            waiting.append(position)
            left.append(count)
    return np.asarray(parents, dtype=np.int64), np.asarray(depths, dtype=np.int64), not waiting


def inlined_nodes(
    parent: NDArray[np.int64], address: NDArray[np.uint64], known: NDArray[np.bool_], text: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which nodes are inlined frames: massif lists them one below the other with one address, the real function last.

    Recursive calls also have one address, but they repeat a text: each repetition begins a new frame.
    """
    size = len(parent)
    if size < 2:
        return np.zeros(size, dtype=bool)
    only = np.bincount(parent[parent >= 0], minlength=size) == 1
    linked = np.zeros(size, dtype=bool)
    linked[:-1] = only[:-1] & (parent[1:] == np.arange(size - 1)) & known[:-1] & known[1:]
    linked[:-1] &= address[:-1] == address[1:]
    group = np.concatenate(([0], np.cumsum(~linked[:-1])))
    # only a group of several nodes can have a text twice
    several = linked.copy()
    several[1:] |= linked[:-1]
    width = int(text.max()) + 1
    keys = np.sort((group * width + text)[several])
    repeated = keys[1:][keys[1:] == keys[:-1]]
    inlined: NDArray[np.bool_] = linked.copy()
    for one in ascending(repeated // width).tolist():
        low, high = np.searchsorted(group, [one, one + 1])
        seen: set[int] = set()
        for position in range(low, high):
            if int(text[position]) in seen:
                inlined[position - 1] = False
                seen.clear()
            seen.add(int(text[position]))
    return inlined


def children_bytes(parent: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the bytes of each node's children. First check with :func:`largest_sum` that the sums fit int64."""
    sums = np.zeros(len(parent), dtype=np.int64)
    inner = parent >= 0
    np.add.at(sums, parent[inner], held[inner])
    return sums


def largest_sum(group: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[int, int]:
    """The group with the largest sum of values, and that sum, which may be too large for 64 bits. Groups below 0 are
    left out; ``(-1, 0)`` if there are no others. Values are not negative."""
    wanted = group >= 0
    if not wanted.any():
        return -1, 0
    place, taken = group[wanted], values[wanted]
    high, low = (np.zeros(int(place.max()) + 1, dtype=np.int64) for _ in range(2))
    np.add.at(high, place, taken >> 32)
    np.add.at(low, place, taken & 0xFFFFFFFF)
    high += low >> 32
    low &= 0xFFFFFFFF
    highest = np.flatnonzero(high == high.max())
    most = int(highest[low[highest].argmax()])
    return most, (int(high[most]) << 32) + int(low[most])


def own_bytes(parent: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bytes of each node minus those of its children: in a sound tree all bytes of a leaf, and 0 elsewhere. It is 0
    too if the children have more bytes than the node."""
    return np.asarray(np.maximum(held - children_bytes(parent, held), 0), dtype=np.int64)


def stacks(
    parent: NDArray[np.int64], depth: NDArray[np.int64], own: NDArray[np.int64], *, most: int = MAX_STACK_FRAMES
) -> Stacks:
    """The stacks of all nodes with bytes of their own, outermost caller first, without the tree's top line unless that
    is the whole stack. Stacks deeper than MAX_DEPTH lose outer callers; the deepest ones also lose them if all stacks
    together have more than ``most`` frames.
    """
    leaf = np.flatnonzero(own > 0)
    wanted = np.maximum(depth[leaf], 1)
    lengths = np.minimum(wanted, _allowed(wanted, most))
    here = leaf.copy()
    away = wanted - lengths
    while (far := np.flatnonzero(away > 0)).size:
        here[far] = parent[here[far]]
        away[far] -= 1
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    nodes = np.empty(int(offsets[-1]), dtype=np.int64)
    active = np.arange(len(leaf))
    step = 0
    while active.size:
        nodes[offsets[active] + step] = here[active]
        here[active] = parent[here[active]]
        step += 1
        active = active[lengths[active] > step]
    return Stacks(offsets, nodes, leaf, lengths < wanted)


def _allowed(lengths: NDArray[np.int64], most: int) -> int:
    """The largest depth at which all stacks together have at most ``most`` frames."""
    low, high = 1, MAX_DEPTH
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(lengths, middle).sum()) <= most:
            low = middle
        else:
            high = middle - 1
    return low


def touched(found: Stacks, marked: NDArray[Any]) -> NDArray[np.bool_]:
    """Which stacks contain a marked node."""
    if not len(found.leaf):
        return np.zeros(0, dtype=bool)
    return np.asarray(np.logical_or.reduceat(marked[found.nodes], found.offsets[:-1]), dtype=bool)

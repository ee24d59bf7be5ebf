"""The loops over the heap trees of a massif file, in numpy: what ``_kernel.c`` has in C, which is used where it could
be compiled.

Columns are bytes of numbers of 64 bits, so that who has only to hand them on needs no numpy. A **kind** of frame is the
number of a text times 3, with 1 added for an inlined one and 2 for the top line of a tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.readers.massif.limits import INT64_MAX
from workbench.profiles.readers.massif.lines import tree_lines
from workbench.profiles.readers.massif.trees import (
    children_bytes,
    inlined_nodes,
    largest_sum,
    own_bytes,
    parents_by_indent,
    stacks,
    touched,
)
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_WORD = 1 << 64

Lines: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, int, int]
"""Columns of lines: depth, children, held, where their texts begin and end, and the parents by the depths; whether
these are possible and agree with the numbers of children; the first line that holds 2**63 bytes or more, -1 where none
does."""
Few: TypeAlias = tuple[int, int]
Judged: TypeAlias = tuple[bytes, list[int], Few, Few, tuple[int, int, int, int], tuple[int, int, int], Few]
"""What is noted of a tree:

- a byte a node, 1 for inlined frames; kinds of frames that were not seen before,
- how many lines have no address and name no small places, and the first of them (-1: none),
- how many are code without a name, and the first,
- how many do not add up, the first, and by how many bytes,
- the node whose children hold most, and how much that is,
- the bytes that are nodes' own.

Bytes that can be more than 64 bits hold are two numbers, the upper and the lower 64 bits.
"""


def numbers_of(column: bytes) -> NDArray[np.int64]:
    """A column as an array."""
    return np.frombuffer(column, dtype=np.int64)


def lines(data: bytes, start: int, stop: int) -> Lines | None:
    """The lines of a piece, each of which is a node of a heap tree; None where one is not, or there is none."""
    found = tree_lines(data[start:stop])
    if found is None:
        return None
    parent = parents_by_indent(found.depth, found.children)
    large = np.flatnonzero(found.held > INT64_MAX)
    columns = (found.depth, found.children, found.held, found.begin + start, found.end + start)
    agrees = parent is not None
    parent = np.zeros(len(found.depth), dtype=np.int64) if parent is None else parent
    first = int(large[0]) if large.size else -1
    depth, children, held, begin, end = (column.tobytes() for column in columns)
    return depth, children, held, begin, end, parent.tobytes(), int(agrees), first


def numbers(data: bytes, begin: bytes, end: bytes, texts: Mapping[bytes, int]) -> bytes:
    """The numbers that ``texts`` has, or gives, for the texts between these places."""
    written = map(data.__getitem__, map(slice, numbers_of(begin).tolist(), numbers_of(end).tolist()))
    return np.fromiter(map(texts.__getitem__, written), np.int64, len(begin) // 8).tobytes()


def judge(
    parent: bytes,
    depth: bytes,
    held: bytes,
    text: bytes,
    address: Any,
    small: Any,
    known: bytes,
    unnamed: bytes,
    seen: bytearray,
    stamp: bytearray,
) -> Judged:
    """What is to be noted of a tree. ``address``, ``small`` (how many places it stands for), ``known`` (has an address)
    and ``unnamed`` are those of each text. ``seen`` has a byte a kind of frames, and behind them a byte a text: 1 for
    kinds that were there before, and for texts without a name that were. Those of this tree are added. ``stamp`` is for
    the compiled loop, a number a text and one more, zeros at first."""
    up, deep, holds, named = (numbers_of(column) for column in (parent, depth, held, text))
    knows, places = np.frombuffer(known, dtype=bool)[named], numbers_of(small)[named]
    inlined = inlined_nodes(up, np.frombuffer(address, dtype=np.uint64)[named], knows, named)
    odd = np.flatnonzero((deep > 0) & ~knows & (places == 0))
    nameless = np.flatnonzero(np.frombuffer(unnamed, dtype=bool)[named])
    was_seen = np.frombuffer(seen, dtype=np.uint8)
    was_seen[3 * len(known) + named[nameless]] = 1
    _, kinds = numbered(named * 3 + np.where(deep == 0, 2, inlined))
    fresh = kinds[was_seen[kinds] == 0]
    was_seen[fresh] = 1
    most, amount = largest_sum(up, holds)
    # sums that leave 64 bits are found by their amount, and then nothing else counts
    sums = children_bytes(up, holds)
    inner = np.bincount(up[up >= 0], minlength=len(up)) > 0
    apart = np.flatnonzero(inner & (sums != holds))
    weight = sum(np.abs(holds[apart] - sums[apart]).tolist())
    _, own = largest_sum(np.zeros(len(up), dtype=np.int64), own_bytes(up, holds))
    return (
        inlined.astype(np.uint8).tobytes(),
        fresh.tolist(),
        (len(odd), _first(odd)),
        (len(nameless), _first(nameless)),
        (len(apart), _first(apart), *divmod(weight, _WORD)),
        (most, *divmod(amount, _WORD)),
        divmod(own, _WORD),
    )


def held_by(
    parent: bytes, depth: bytes, held: bytes, text: bytes, inlined: bytes, small: Any, function_of: Any, functions: int
) -> tuple[bytes, bytes, int, int, int, int]:
    """What the functions hold in a tree that is turned: columns of what was allocated in each, and in it and all it
    called; of stacks with a place below the threshold how many places these are and what they hold; the length of the
    longest stack, and of all together. ``function_of`` is the function of each kind of frame."""
    up, deep, holds, named = (numbers_of(column) for column in (parent, depth, held, text))
    kind = named * 3 + np.where(deep == 0, 2, np.frombuffer(inlined, dtype=np.uint8))
    function, places = numbers_of(function_of)[kind], np.where(deep == 0, 0, numbers_of(small)[named])
    own = own_bytes(up, holds)
    found = stacks(up, deep, own)
    weight, lengths = own[found.leaf], np.diff(found.offsets)
    called = function[found.nodes]
    selves = add_at(functions, called[found.offsets[1:] - 1], weight[:, None])
    # of a stack each function counts once
    _, keys = numbered(np.repeat(np.arange(len(weight)), lengths) * functions + called)
    totals = add_at(functions, keys % max(functions, 1), weight[keys // max(functions, 1)][:, None])
    below = touched(found, places > 0)
    wanted = np.maximum(deep[found.leaf], 1)
    return (
        np.ascontiguousarray(selves[:, 0]).tobytes(),
        np.ascontiguousarray(totals[:, 0]).tobytes(),
        int(places[found.leaf][below].sum()),
        int(weight[below].sum()),
        int(wanted.max(initial=0)),
        int(wanted.sum()),
    )


def _first(rows: NDArray[Any]) -> int:
    return int(rows[0]) if len(rows) else -1

"""The loops over the heap trees of a massif file, in numpy. ``_kernel.c`` has the same functions in C, which are used
if they could be compiled.

Columns are bytes of 64-bit numbers, so that code that only passes them on needs no numpy. A **kind** of frame is the
number of a text times 3, plus 1 for an inlined frame, plus 2 for the top line of a tree.
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
"""Columns of lines: depth, children, held, begin and end of the text, and the parents by the depths; 1 if the depths
are possible and agree with the numbers of children, else 0; the first line that holds 2**63 bytes or more, -1 if none
does."""
Few: TypeAlias = tuple[int, int]
Judged: TypeAlias = tuple[bytes, list[int], Few, Few, tuple[int, int, int, int], tuple[int, int, int], Few]
"""What is noted of a tree:

- a byte per node, 1 for inlined frames; the kinds of frames that were not seen before,
- how many lines have no address and are not below the threshold, and the first of them (-1: none),
- how many lines are code without a name, and the first of them,
- how many nodes differ from the sum of their children, the first of them, and the sum of the differences in bytes,
- the node whose children hold most, and the bytes that they hold,
- the sum of the nodes' own bytes.

Bytes that may not fit into 64 bits are two numbers, the upper and the lower 64 bits.
"""


def numbers_of(column: bytes) -> NDArray[np.int64]:
    """A column as an array."""
    return np.frombuffer(column, dtype=np.int64)


def lines(data: bytes, start: int, stop: int) -> Lines | None:
    """The lines of ``data[start:stop]``. None if it is empty, or if any of its lines is not a node of a heap tree."""
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
    """The numbers of the texts between these places; ``texts`` gives new texts new numbers."""
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
    """What is to be noted of a tree. ``address``, ``small`` (how many places below the threshold), ``known`` (has an
    address) and ``unnamed`` have a value per text. ``seen`` has a byte per kind of frame, then a byte per text: 1 for
    kinds seen before, and for texts without a name seen before; those of this tree are added. Only the compiled loop
    uses ``stamp``: a number per text and one more, zeros at first."""
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
    # if a sum does not fit into 64 bits, ``amount`` shows it and the file is refused; ``sums`` does not matter then
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
    """The bytes that functions hold in a tree once it is turned: columns of those allocated in each function itself,
    and in it and all it called; the number of places below the threshold, and the bytes of stacks with such a place;
    the length of the longest stack, and of all stacks. ``function_of`` is the function of each kind of frame."""
    up, deep, holds, named = (numbers_of(column) for column in (parent, depth, held, text))
    kind = named * 3 + np.where(deep == 0, 2, np.frombuffer(inlined, dtype=np.uint8))
    function, places = numbers_of(function_of)[kind], np.where(deep == 0, 0, numbers_of(small)[named])
    own = own_bytes(up, holds)
    found = stacks(up, deep, own)
    weight, lengths = own[found.leaf], np.diff(found.offsets)
    called = function[found.nodes]
    selves = add_at(functions, called[found.offsets[1:] - 1], weight[:, None])
    # each function counts once per stack
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

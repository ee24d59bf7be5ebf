"""All heap trees of a massif file: their frames, the checks and notes about them, and the table of their nodes, which
is made on first use."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from workbench.errors import ReadError
from workbench.hints import TYPE_CHECKING, NamedTuple
from workbench.profiles.locations import UNKNOWN
from workbench.profiles.memory import require
from workbench.profiles.readers.massif.kernel import kernel
from workbench.profiles.readers.massif.limits import INT64_MAX
from workbench.profiles.readers.massif.places import Frame, Place, frames_of, place_of, top_of
from workbench.profiles.readers.massif.text import HeapTree, LineNumbers, Texts, decode
from workbench.profiles.table import Deferred, Table

if TYPE_CHECKING:
    from typing import Literal

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.massif.plain import Judged
    from workbench.profiles.source import Source

# Bytes of memory per place while it is parsed and numbered (measured).
_PLACE_BYTES = 700


class Forest(NamedTuple):
    """All heap trees of a file by snapshot. ``places``: the place of each text; ``small``: how many places below the
    threshold each text stands for; ``inlined``: a byte per node, 1 for inlined frames; ``frame_of``: the frame of each
    kind of frame (see :mod:`~workbench.profiles.readers.massif.plain`), -1 if no node has it; ``table``: all nodes."""

    frames: Table
    places: Sequence[Place]
    trees: Mapping[int, HeapTree]
    tops: Mapping[int, str]
    inlined: Mapping[int, bytes]
    small: array[int]
    frame_of: array[int]
    table: Deferred


class _Facts(NamedTuple):
    """Facts about each text, see :class:`Forest`. ``known`` (has an address) and ``unnamed`` have a byte per text."""

    address: array[int]
    small: array[int]
    known: bytes
    unnamed: bytes


def plant(
    source: Source,
    trees: Mapping[int, HeapTree],
    heaps: Mapping[int, int],
    texts: Texts,
    lines: LineNumbers,
    notes: NoteBook,
) -> Forest:
    """The trees of all snapshots, checked. ``heaps`` are the bytes that the snapshots state (mem_heap_B).

    Raises ReadError if a sum of bytes does not fit into 64 bits.
    """
    require(len(texts) * _PLACE_BYTES)
    written = [decode(one, notes) for one in texts]
    places = [place_of(one) for one in written]
    facts = _Facts(
        array("Q", [place.address for place in places]),
        array("q", [place.places for place in places]),
        bytes([place.known for place in places]),
        bytes([place.known and place.function == UNKNOWN for place in places]),
    )
    seen, stamp = bytearray(4 * len(texts)), bytearray(8 * len(texts) + 8)
    judged = {number: _judged(tree, facts, seen, stamp) for number, tree in trees.items()}
    both = [(trees[number], one) for number, one in judged.items()]

    def at(tree: HeapTree, line: int) -> str:
        return source.at(lines.at(tree.start) + line)

    _note_texts(both, sum(seen[3 * len(texts) :]), at, notes)
    _check_sums(both, at, notes)
    _note_tops(trees, heaps, at, notes)
    # a frame is a place, inlined or not, or the top line of a tree
    keys: dict[Frame, int] = {}
    frame_of = array("q", [-1]) * (3 * len(texts))
    for _, one in both:
        for kind in one[1]:
            text, way = divmod(kind, 3)
            frame = (top_of(written[text]), "", 0, "", False) if way == 2 else (*places[text][:4], way == 1)
            frame_of[kind] = keys.setdefault(frame, len(keys))
    inlined = {number: one[0] for number, one in judged.items()}
    return Forest(
        frames=frames_of(keys),
        places=places,
        trees=trees,
        tops={number: written[tree.top] for number, tree in trees.items()},
        inlined=inlined,
        small=facts.small,
        frame_of=frame_of,
        table=Deferred(partial(_table, trees, inlined, facts, frame_of)),
    )


def _judged(tree: HeapTree, facts: _Facts, seen: bytearray, stamp: bytearray) -> Judged:
    columns = (tree.parent, tree.depth, tree.held, tree.text)
    return kernel().judge(*columns, facts.address, facts.small, facts.known, facts.unnamed, seen, stamp)


def _note_texts(
    trees: Sequence[tuple[HeapTree, Judged]], different: int, at: Callable[[HeapTree, int], str], notes: NoteBook
) -> None:
    kinds: tuple[tuple[Literal[2, 3], str], ...] = (
        (2, "a tree line without an address: its text was taken as a name"),
        (3, f"code without a name ({different:,} addresses) is one function {UNKNOWN} per object"),
    )
    for which, what in kinds:
        if odd := [(tree, one[which]) for tree, one in trees if one[which][0]]:
            first, found = odd[0]
            notes.add(what, at(first, found[1]), count=sum(one[0] for _, one in odd))


def _check_sums(trees: Sequence[tuple[HeapTree, Judged]], at: Callable[[HeapTree, int], str], notes: NoteBook) -> None:
    """Refuse sums that do not fit into 64 bits; note nodes that differ from the sum of their children."""
    _refuse_large([(_whole(*one[5][1:]), tree, one[5][0]) for tree, one in trees], at)
    if apart := [(tree, one[4]) for tree, one in trees if one[4][0]]:
        first, (_, line, *_) = apart[0]
        notes.add(
            "the callers of a place do not add up to its bytes",
            at(first, line),
            count=sum(found[0] for _, found in apart),
            metric="bytes",
            weight=float(sum(_whole(*found[2:]) for _, found in apart)),
        )
    _refuse_large([(_whole(*one[6]), tree, 0) for tree, one in trees], at)


def _note_tops(
    trees: Mapping[int, HeapTree], heaps: Mapping[int, int], at: Callable[[HeapTree, int], str], notes: NoteBook
) -> None:
    differ = [(tree, abs(tree.top_bytes - heaps[number])) for number, tree in trees.items()]
    if differ := [(tree, bytes_) for tree, bytes_ in differ if bytes_]:
        what, weight = "the top line of a heap tree differs from mem_heap_B", sum(bytes_ for _, bytes_ in differ)
        notes.add(what, at(differ[0][0], 0), count=len(differ), metric="bytes", weight=weight)


def _refuse_large(sums: Sequence[tuple[int, HeapTree, int]], at: Callable[[HeapTree, int], str]) -> None:
    """Raise ReadError if the largest of these sums, each with its tree and the line in it, does not fit int64."""
    amount, tree, line = max(sums, key=lambda one: one[0], default=(0, None, 0))
    if tree is not None and amount > INT64_MAX:
        hint = "massif does not write such numbers"
        raise ReadError("the sum of the bytes does not fit into 64 bits", where=at(tree, line), hint=hint)


def _whole(high: int, low: int) -> int:
    return (high << 64) + low


def _table(trees: Mapping[int, HeapTree], inlined: Mapping[int, bytes], facts: _Facts, frame_of: array[int]) -> Table:
    """The table ``heap_trees``: the nodes of all trees."""
    import numpy as np

    from workbench.profiles.readers.massif.plain import numbers_of

    def joined(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return numbers_of(b"".join(getattr(tree, name) for tree in trees.values()))

    sizes = [tree.size for tree in trees.values()]
    base = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes) if sizes else np.zeros(0, np.int64)
    parent, depth, text = joined("parent"), joined("depth"), joined("text")
    inline = np.frombuffer(b"".join(inlined.values()), dtype=bool)
    small = np.where(depth == 0, 0, np.frombuffer(facts.small, dtype=np.int64)[text])
    return Table(
        {
            "snapshot": np.repeat(np.array([*trees], dtype=np.int64), sizes),
            "node_id": np.arange(len(parent)),
            "parent_id": np.where(parent >= 0, parent + base, parent),
            "depth": depth,
            "frame_id": np.frombuffer(frame_of, dtype=np.int64)[text * 3 + np.where(depth == 0, 2, inline)],
            "bytes": joined("held"),
            "address": np.frombuffer(facts.address, dtype=np.uint64)[text],
            "inlined": inline,
            "below_threshold": small > 0,
            "places": small,
        }
    )

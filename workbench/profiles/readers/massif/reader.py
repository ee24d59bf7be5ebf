"""massif.out files of Valgrind, and xtree files in massif's format.

The tree of one snapshot becomes the call tree: the peak's, unless another is asked for. All trees stay in the table
``heap_trees`` as the file has them, allocation first. In an xtree file each snapshot is a metric of one tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.distinct import ascending, numbered
from workbench.profiles.locations import UNKNOWN
from workbench.profiles.memory import require
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.massif.places import (
    BELOW_THRESHOLD,
    PAGES,
    Place,
    frames_of,
    place_of,
    threshold_of,
    top_of,
)
from workbench.profiles.readers.massif.text import (
    INT64_MAX,
    HeapTree,
    Snapshot,
    Texts,
    decode,
    read_header,
    read_snapshots,
)
from workbench.profiles.readers.massif.trees import (
    children_bytes,
    inlined_nodes,
    largest_sum,
    own_bytes,
    stacks,
    touched,
)
from workbench.profiles.source import Source
from workbench.profiles.table import Table, text
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike

FORMAT = "massif"

_HEAD = 1 << 16
# What a place takes while it is taken apart and numbered. Measured.
_PLACE_BYTES = 700
_REPORT = re.compile(rb"-{60,}\nCommand: .*\nMassif arguments: ")
_HEADER_ONLY = re.compile(rb"(?:desc:.*\n)*(?:(?:desc|cmd):.*\n?)?")
_THRESHOLD = re.compile(r"(?:^|\s)--threshold=(\d{1,3}(?:\.\d{1,9})?)(?=\s|$)")
_XTREE = "xtree."
_HEAPTRACK = "heaptrack"


def recognise(source: Source) -> str | None:
    """Massif's header, or ms_print's report (which :func:`read` refuses by name)."""
    head = _plain(source.data[:_HEAD])
    if _REPORT.match(head):
        return "it begins like ms_print's report"
    if not head.startswith((b"desc:", b"cmd:")) or b"\nevents:" in head:
        return None
    if b"\ntime_unit:" in head:
        return "it begins with desc:, cmd: and time_unit:"
    return "it is the beginning of a header" if _HEADER_ONLY.fullmatch(head) else None


def read(source: Source, *, snapshot: int | str | None = None) -> Profile:
    """A massif.out file.

    ``snapshot`` says which heap tree becomes the call tree: a number, ``"peak"``, ``"largest"``, ``"first"`` or
    ``"last"``; None is the peak, or the largest where massif took none. Its metric is ``heap`` (``pages`` with
    --pages-as-heap), in bytes. Tables: ``snapshots`` (bytes, and the time in ``meta["time_unit"]``) and ``heap_trees``.

    Raises ReadError for a file that is cut off before the figures of its first snapshot, damaged, or ms_print's report.
    """
    data = _plain(source.data)
    if _REPORT.match(data):
        raise ReadError(
            "this is ms_print's report, made for reading by eye",
            where=source.at(1),
            hint="Give the massif.out file it was made from",
        )
    notes = NoteBook()
    if len(data) != len(source.data):
        notes.add("line ends of another system, or a byte order mark, were removed", source.at(1))
    header = read_header(source, data, notes)
    texts = Texts()
    pairs = list(read_snapshots(source, data, header.end, texts, notes, loose=header.desc == _HEAPTRACK))
    snapshots = [one for one, _ in pairs]
    _check_numbers(source, data, snapshots, notes)
    forest = _plant(source, [(one.number, tree) for one, tree in pairs if tree is not None], texts, notes)
    _check_sums(source, forest, {one.number: one.heap for one in snapshots}, notes)
    table = _snapshot_table(snapshots)
    meta: dict[str, Any] = {
        "desc": header.desc,
        "cmd": header.cmd,
        "time_unit": header.time_unit,
        "snapshots": len(snapshots),
        "detailed": list(forest.tops),
        "peak_snapshot": next((one.number for one in snapshots if one.kind == "peak"), None),
        "largest_snapshot": _largest(snapshots),
        "threshold_pct": _threshold(forest.places, header.desc),
        "xtree": header.desc.startswith(_XTREE),
        "pages_as_heap": any(top.startswith(PAGES) for top in forest.tops.values()),
    }
    tables = {"snapshots": table, "heap_trees": forest.table}
    if meta["xtree"]:
        return _xtree(source, forest, tables, meta, notes)
    meta["nodes_snapshot"], meta["nodes_why"] = choose(table, forest.tops, snapshot, source.name)
    return heap_profile(source.name, forest.frames, tables, meta, notes)


def choose(
    snapshots: Table | pd.DataFrame, detailed: Mapping[int, str] | Sequence[int], wanted: int | str | None, name: str
) -> tuple[int | None, str]:
    """Which snapshot's tree to show, and why it is that one. ``detailed`` are those that have a tree.

    Raises ReadError where the one that is asked for has none.
    """
    kinds = snapshots["kind"].tolist()
    columns = (snapshots["snapshot"].tolist(), snapshots["total_bytes"].tolist(), kinds)
    trees = [(number, total, kind) for number, total, kind in zip(*columns, strict=True) if number in detailed]
    if not trees and wanted is None:
        return None, "no snapshot has a heap tree"
    if trees:
        peak = next((number for number, _, kind in trees if kind == "peak"), None)
        if wanted in ("peak", None) and peak is not None:
            return peak, "massif's peak"
        if wanted in ("largest", None):
            largest = max(trees, key=lambda tree: tree[1])[0]
            why = ", since that of massif's peak is cut off" if "peak" in kinds else ", since massif took no peak"
            return largest, "the largest with a heap tree" + ("" if wanted else why)
        if wanted in ("first", "last"):
            return trees[0 if wanted == "first" else -1][0], f"the {wanted} with a heap tree"
        if isinstance(wanted, str) and wanted.isdecimal() and len(wanted) < 10:
            wanted = int(wanted)
        if isinstance(wanted, int) and wanted in detailed:
            return wanted, "asked for"
    listed = ", ".join(str(number) for number, _, _ in trees) or "none"
    raise ReadError(
        f"snapshot {wanted!r} is not there or has no heap tree",
        where=name,
        hint=f"Snapshots with one: {listed}; or give peak, largest, first or last",
    )


def heap_profile(
    name: str,
    frames: TableLike,
    tables: Mapping[str, TableLike],
    meta: Mapping[str, Any],
    notes: NoteBook,
) -> Profile:
    """The profile whose call tree is the heap tree of ``meta["nodes_snapshot"]``. Raises ReadError on overflow."""
    word = "pages" if meta["pages_as_heap"] else "heap"
    said = "bytes of pages mapped" if meta["pages_as_heap"] else "bytes allocated and not yet freed"
    number = meta["nodes_snapshot"]
    metric = Metric(word, "bytes", f"{said}, snapshot {number}")
    rows = Table.of(tables["heap_trees"])["snapshot"]
    chosen = np.flatnonzero(rows == (-1 if number is None else number))
    if number is None:
        notes.add("no snapshot has a heap tree: there is a timeline, but no call tree")
    else:
        listed = Table.of(tables["snapshots"])
        row = listed["snapshot"].tolist().index(number)
        beside = sum(int(listed[column][row]) for column in ("heap_extra_bytes", "stacks_bytes"))
        if beside:
            notes.add(
                "allocator overhead and stacks are not in the tree",
                f"snapshot {number}",
                metric=word,
                weight=beside,
            )
    largest = meta["largest_snapshot"]
    if number is not None and largest != number and meta["nodes_why"] == "massif's peak":
        notes.add(f"snapshot {largest} is larger than the one massif calls the peak ({number})")
    return _turned(name, frames, tables, meta, notes, (metric,), chosen, np.zeros(len(rows), dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class _Forest:
    """All heap trees of a file. ``places`` are those of the texts, ``tops`` the top line of each snapshot,
    ``lines`` the line of the file each node stands in."""

    frames: Table
    table: Table
    places: Sequence[Place]
    tops: Mapping[int, str]
    lines: NDArray[np.int64]


def _plain(data: bytes) -> bytes:
    """The text without a byte order mark and with plain line ends."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n") if b"\r\n" in data[:_HEAD] else data


def _check_numbers(source: Source, data: bytes, snapshots: Sequence[Snapshot], notes: NoteBook) -> None:
    seen: set[int] = set()
    for before, one in zip([None, *snapshots], snapshots, strict=False):
        if one.number in seen:
            raise ReadError(
                f"snapshot {one.number} comes a second time",
                where=source.at(data.count(b"\n", 0, one.offset) + 1),
                hint="Two files were joined: split them",
            )
        seen.add(one.number)
        if before is not None and one.time < before.time:
            notes.add("time runs backwards between two snapshots", f"snapshot {one.number}")


def _plant(source: Source, trees: Sequence[tuple[int, HeapTree]], texts: Texts, notes: NoteBook) -> _Forest:
    """The trees of all snapshots in one table."""
    sizes = [len(tree.parent) for _, tree in trees]
    base = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes) if sizes else np.zeros(0, np.int64)
    local = _joined([tree.parent for _, tree in trees])
    parent = np.where(local >= 0, local + base, local)
    depth, held, text = (_joined([getattr(tree, name) for _, tree in trees]) for name in ("depth", "held", "text"))
    lines = _joined([np.arange(size) + tree.line for size, (_, tree) in zip(sizes, trees, strict=True)])
    require(len(texts) * _PLACE_BYTES)
    written = [decode(one, notes) for one in texts]
    places = [place_of(one) for one in written]
    address = np.array([place.address for place in places], dtype=np.uint64)[text]
    known = np.array([place.known for place in places], dtype=bool)[text]
    inlined = inlined_nodes(parent, address, known, text)
    small = np.array([place.places for place in places], dtype=np.int64)[text]
    small[depth == 0] = 0
    _note_texts(source, places, depth, known, small, text, lines, notes)

    # a frame is a place, inlined or not; the top line of a tree is one as well
    keys: dict[tuple[Place, bool], int] = {}
    top_place = [Place(top_of(one)) for one in written]
    shown = [_without_address(place) for place in places]
    kind = text * 3 + np.where(depth == 0, 2, inlined.astype(np.int64))
    codes, kinds = numbered(kind)
    numbers = []
    for one in kinds.tolist():
        number, way = divmod(one, 3)
        key = (top_place[number], False) if way == 2 else (shown[number], way == 1)
        numbers.append(keys.setdefault(key, len(keys)))
    frame = np.array(numbers, dtype=np.int64)[codes]
    table = Table(
        {
            "snapshot": np.repeat(np.array([number for number, _ in trees], dtype=np.int64), sizes),
            "node_id": np.arange(len(parent)),
            "parent_id": parent,
            "depth": depth,
            "frame_id": frame,
            "bytes": held,
            "address": address,
            "inlined": inlined,
            "below_threshold": small > 0,
            "places": small,
        }
    )
    frames = frames_of([place for place, _ in keys], [inline for _, inline in keys])
    tops = {number: written[int(tree.text[0])] for number, tree in trees}
    return _Forest(frames, table, places, tops, lines)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _without_address(place: Place) -> Place:
    return Place(place.function, place.file, place.line, place.object)


def _note_texts(
    source: Source,
    places: Sequence[Place],
    depth: NDArray[np.int64],
    known: NDArray[np.bool_],
    small: NDArray[np.int64],
    text: NDArray[np.int64],
    lines: NDArray[np.int64],
    notes: NoteBook,
) -> None:
    odd = np.flatnonzero((depth > 0) & ~known & (small == 0))
    if odd.size:
        notes.add(
            "a tree line without an address: its text was taken as a name",
            source.at(int(lines[odd[0]])),
            count=odd.size,
        )
    unnamed = np.array([place.known and place.function == UNKNOWN for place in places], dtype=bool)[text]
    where = np.flatnonzero(unnamed)
    if where.size:
        different = len(ascending(text[where]))
        notes.add(
            f"code without a name ({different:,} addresses) is one function {UNKNOWN} an object",
            source.at(int(lines[where[0]])),
            count=where.size,
        )


def _check_sums(source: Source, forest: _Forest, heaps: Mapping[int, int], notes: NoteBook) -> None:
    """Every sum there is must fit; those that massif guarantees are checked."""
    table = forest.table
    parent, held = table["parent_id"], table["bytes"]
    most, amount = largest_sum(parent, held)
    if amount > INT64_MAX:
        raise _overflow(source.at(int(forest.lines[most])))
    sums = children_bytes(parent, held)
    inner = np.bincount(parent[parent >= 0], minlength=len(parent)) > 0
    apart = np.flatnonzero(inner & (sums != held))
    if apart.size:
        notes.add(
            "the callers of a place do not add up to its bytes",
            source.at(int(forest.lines[apart[0]])),
            count=apart.size,
            metric="bytes",
            weight=float(np.abs(held[apart].astype(np.float64) - sums[apart]).sum()),
        )
    tops = np.flatnonzero(parent < 0)
    most, amount = largest_sum(np.cumsum(parent < 0) - 1, own_bytes(parent, held))
    if amount > INT64_MAX:
        raise _overflow(source.at(int(forest.lines[tops[most]])))
    snapshot = table["snapshot"]
    for top in tops.tolist():
        number = int(snapshot[top])
        if int(held[top]) != heaps[number]:
            notes.add(
                "the top of a heap tree is not mem_heap_B",
                source.at(int(forest.lines[top])),
                metric="bytes",
                weight=abs(int(held[top]) - heaps[number]),
            )


def _overflow(where: str) -> ReadError:
    return ReadError("the bytes add up to more than 64 bits", where=where, hint="massif does not write such numbers")


def _largest(snapshots: Sequence[Snapshot]) -> int:
    """The snapshot with most bytes: of several with as many the one that massif calls the peak, else the first."""
    return max(snapshots, key=lambda one: (one.heap + one.extra + one.stacks, one.kind == "peak")).number


def _snapshot_table(snapshots: Sequence[Snapshot]) -> Table:
    figures = np.array([(one.number, 0, one.heap, one.extra, one.stacks) for one in snapshots], dtype=np.int64).T
    columns: dict[str, Any] = dict(
        zip(("snapshot", "time", "heap_bytes", "heap_extra_bytes", "stacks_bytes"), figures, strict=True)
    )
    # whole numbers, unless the writer gives fractions of a second
    columns["time"] = np.array([one.time for one in snapshots])
    columns["total_bytes"] = figures[2:].sum(axis=0)
    columns["kind"] = text([one.kind for one in snapshots])
    return Table(columns)


def _threshold(places: Sequence[Place], desc: str) -> float | None:
    stated = threshold_of(places)
    if stated is None and (match := _THRESHOLD.search(desc)):
        return float(match[1])
    return stated


def _xtree(
    source: Source, forest: _Forest, tables: Mapping[str, TableLike], meta: dict[str, Any], notes: NoteBook
) -> Profile:
    """The profile of an xtree file: one tree, a metric a snapshot."""
    metrics: dict[str, Metric] = {}
    column: dict[int, int] = {}
    for number, top in forest.tops.items():
        name, _, said = top.partition(" : ")
        if name in metrics:
            notes.add(f"metric {name} comes a second time and is numbered", f"snapshot {number}")
            name = f"{name}_{number}"
        column[number] = len(metrics)
        metrics[name] = Metric(name, "bytes" if said.lower().endswith("bytes") else "count", said)
    meta |= {"nodes_snapshot": None, "nodes_why": "an xtree file: each snapshot is a metric"}
    meta["snapshot_metrics"] = dict(zip(column, metrics, strict=True))
    rows, numbers = numbered(forest.table["snapshot"])
    place = np.array([column[number] for number in numbers.tolist()], dtype=np.int64)[rows]
    return _turned(
        source.name, forest.frames, tables, meta, notes, tuple(metrics.values()), np.arange(len(place)), place
    )


def _turned(
    name: str,
    frames: TableLike,
    tables: Mapping[str, TableLike],
    meta: Mapping[str, Any],
    notes: NoteBook,
    metrics: tuple[Metric, ...],
    chosen: NDArray[np.int64],
    column: NDArray[np.int64],
) -> Profile:
    """The chosen rows of ``heap_trees`` turned into a call tree; ``column`` is the metric of each row."""
    heap = Table.of(tables["heap_trees"])
    if len(chosen) and len(chosen) < len(heap):
        # the rows of one snapshot are a slice, whose parents count from its first
        heap, column = heap.take(chosen), column[chosen]
        parent = np.where(heap["parent_id"] >= 0, heap["parent_id"] - chosen[0], heap["parent_id"])
    else:
        heap = heap.take(chosen)
        parent = heap["parent_id"]
    own = own_bytes(parent, heap["bytes"])
    found = stacks(parent, heap["depth"], own)
    weight = own[found.leaf]
    unit = metrics[0].name if metrics else None
    if found.cut.any():
        notes.add(
            "stacks too deep to be shown whole lost outer callers",
            count=int(found.cut.sum()),
            metric=unit,
            weight=int(weight[found.cut].sum()),
        )
    frame = heap["frame_id"]
    below = touched(found, heap["below_threshold"])
    if below.any():
        notes.add(
            f"callers too small to be listed are one frame {BELOW_THRESHOLD}",
            count=int(heap["places"][found.leaf][below].sum()),
            metric=unit,
            weight=int(weight[below].sum()),
        )
    grown = grow(found.offsets, frame[found.nodes])
    costs = np.zeros((len(found.leaf), len(metrics)), dtype=np.int64)
    costs[np.arange(len(found.leaf)), column[found.leaf]] = weight
    return from_stacks(
        FORMAT,
        name,
        metrics=metrics,
        frames=frames,
        parent=grown.parent,
        frame=grown.frame,
        self_costs=add_at(len(grown.parent), grown.node_of, costs),
        tables=tables,
        meta=meta,
        notes=notes.notes(),
    )

"""massif.out files of Valgrind, and xtree files in massif's format.

The tree of one snapshot becomes the call tree: by default that of the peak. All trees stay in the table ``heap_trees``
as the file has them, allocation first. In an xtree file each snapshot is a metric of one tree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from workbench.errors import ReadError
from workbench.hints import TYPE_CHECKING
from workbench.patterns import pattern
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_nodes
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.massif.forest import Forest, plant
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD, PAGES, Place, threshold_of
from workbench.profiles.readers.massif.shown import Part, ungrown
from workbench.profiles.readers.massif.text import LineNumbers, Snapshot, Texts, read_header, read_snapshots
from workbench.profiles.source import Source
from workbench.profiles.table import Deferred, Listed, Table, Tables

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd

    from workbench.profiles.table import TableLike
    from workbench.profiles.ungrown import Ungrown

FORMAT = "massif"

_HEAD = 1 << 16
_REPORT = pattern(rb"-{60,}\nCommand: .*\nMassif arguments: ")
_HEADER_ONLY = pattern(rb"(?:desc:.*\n)*(?:(?:desc|cmd):.*\n?)?")
_THRESHOLD = pattern(r"(?:^|\s)--threshold=(\d{1,3}(?:\.\d{1,9})?)(?=\s|$)")
_XTREE = "xtree."
_HEAPTRACK = "heaptrack"


def recognise(source: Source) -> str | None:
    """Recognises massif's header, and ms_print's report, which :func:`read` refuses with a hint."""
    head = _plain(source.data[:_HEAD])
    if _is_report(head):
        return "it begins like ms_print's report"
    if not head.startswith((b"desc:", b"cmd:")) or b"\nevents:" in head:
        return None
    if b"\ntime_unit:" in head:
        return "it begins with desc:, cmd: and time_unit:"
    return "it is the beginning of a header" if _HEADER_ONLY.fullmatch(head) else None


def read(source: Source, *, snapshot: int | str | None = None) -> Profile:
    """A massif.out file.

    ``snapshot`` says which heap tree becomes the call tree: a number, ``"peak"``, ``"largest"``, ``"first"`` or
    ``"last"``; None is the peak, or the largest if massif took no peak. Its metric is ``heap`` (``pages`` with
    --pages-as-heap), in bytes. Tables: ``snapshots`` (bytes, and the time in ``meta["time_unit"]``) and ``heap_trees``.

    Raises ReadError for ms_print's report, and for a file that is damaged or cut off in its first snapshot's figures.
    """
    data = _plain(source.data)
    if _is_report(data):
        raise ReadError(
            "this is ms_print's report, a text for people",
            where=source.at(1),
            hint="Give the massif.out file it was made from",
        )
    notes = NoteBook()
    if len(data) != len(source.data):
        notes.add("line ends of another system, or a byte order mark, were removed", source.at(1))
    header = read_header(source, data, notes)
    texts, lines = Texts(), LineNumbers(data)
    pairs = list(read_snapshots(source, data, header.end, texts, lines, notes, loose=header.desc == _HEAPTRACK))
    snapshots = [one for one, _ in pairs]
    _check_numbers(source, data, snapshots, notes)
    trees = {one.number: tree for one, tree in pairs if tree is not None}
    forest = plant(source, trees, {one.number: one.heap for one in snapshots}, texts, lines, notes)
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
    tables: dict[str, Table | Deferred] = {"snapshots": table, "heap_trees": forest.table}
    if meta["xtree"]:
        return _xtree(source, forest, tables, meta, notes)
    number, why = choose(table, forest.tops, snapshot, source.name)
    meta |= {"nodes_snapshot": number, "nodes_why": why}
    return heap_profile(source.name, forest.frames, tables, meta, notes, forest)


def choose(
    snapshots: Table | pd.DataFrame, detailed: Collection[int], wanted: int | str | None, name: str
) -> tuple[int | None, str]:
    """The snapshot whose tree is shown, and the reason. ``detailed`` are the snapshots that have a tree.

    Raises ReadError if the wanted snapshot has none.
    """
    table = Table.of(snapshots)
    kinds = table.values("kind")
    columns = (table.values("snapshot"), table.values("total_bytes"), kinds)
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
    tables: Mapping[str, TableLike | Deferred],
    meta: Mapping[str, Any],
    notes: NoteBook,
    forest: Forest | None = None,
) -> Profile:
    """The profile whose call tree is the heap tree of ``meta["nodes_snapshot"]``. With the ``forest`` of its file the
    tree is turned on first use."""
    word = "pages" if meta["pages_as_heap"] else "heap"
    said = "bytes of pages mapped" if meta["pages_as_heap"] else "bytes allocated and not yet freed"
    number = meta["nodes_snapshot"]
    metric = Metric(word, "bytes", f"{said}, snapshot {number}")
    if number is None:
        notes.add("no snapshot has a heap tree: there is a timeline, but no call tree")
    else:
        listed = Tables(tables)["snapshots"]
        row = listed.values("snapshot").index(number)
        beside = sum(listed.values(column)[row] for column in ("heap_extra_bytes", "stacks_bytes"))
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

    def turned() -> tuple[Table, Part, Part]:
        from workbench.profiles.readers.massif.turned import of_snapshot

        return of_snapshot(Tables(tables)["heap_trees"], word, number)

    nodes = _nodes(forest, {word: number}, turned)
    return _profile(name, frames, tables, meta, notes, (metric,), nodes)


def _plain(data: bytes) -> bytes:
    """The text without a byte order mark and with plain line ends."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n") if b"\r\n" in data[:_HEAD] else data


def _is_report(data: bytes) -> bool:
    return data.startswith(b"-----") and _REPORT.match(data) is not None


def _check_numbers(source: Source, data: bytes, snapshots: Sequence[Snapshot], notes: NoteBook) -> None:
    seen: set[int] = set()
    for before, one in zip([None, *snapshots], snapshots, strict=False):
        if one.number in seen:
            raise ReadError(
                f"snapshot {one.number} is there twice",
                where=source.at(data.count(b"\n", 0, one.offset) + 1),
                hint="Two files were joined: split them",
            )
        seen.add(one.number)
        if before is not None and one.time < before.time:
            notes.add("time runs backwards between two snapshots", f"snapshot {one.number}")


def _largest(snapshots: Sequence[Snapshot]) -> int:
    """The number of the snapshot with most bytes; of several with as many bytes massif's peak, else the first."""
    return max(snapshots, key=lambda one: (one.heap + one.extra + one.stacks, one.kind == "peak")).number


def _snapshot_table(snapshots: Sequence[Snapshot]) -> Table:
    # whole numbers, unless the file has fractions of a second
    whole = all(isinstance(one.time, int) for one in snapshots)
    columns = {
        "snapshot": Listed([one.number for one in snapshots], "int64"),
        "time": Listed([one.time for one in snapshots], "int64" if whole else "float64"),
        "heap_bytes": Listed([one.heap for one in snapshots], "int64"),
        "heap_extra_bytes": Listed([one.extra for one in snapshots], "int64"),
        "stacks_bytes": Listed([one.stacks for one in snapshots], "int64"),
        "total_bytes": Listed([one.heap + one.extra + one.stacks for one in snapshots], "int64"),
        "kind": Listed([one.kind for one in snapshots], "object"),
    }
    return Table(columns)


def _threshold(places: Sequence[Place], desc: str) -> float | None:
    stated = threshold_of(places)
    if stated is None and (match := _THRESHOLD.search(desc)):
        return float(match[1])
    return stated


def _xtree(
    source: Source, forest: Forest, tables: Mapping[str, Table | Deferred], meta: dict[str, Any], notes: NoteBook
) -> Profile:
    """The profile of an xtree file: one tree, one metric per snapshot."""
    metrics: dict[str, Metric] = {}
    column: dict[int, int] = {}
    for number, top in forest.tops.items():
        name, _, said = top.partition(" : ")
        if name in metrics:
            notes.add(f"metric {name} is there twice: the later one is numbered", f"snapshot {number}")
            name = f"{name}_{number}"
        column[number] = len(metrics)
        metrics[name] = Metric(name, "bytes" if said.lower().endswith("bytes") else "count", said)
    meta |= {"nodes_snapshot": None, "nodes_why": "an xtree file: each snapshot is a metric"}
    meta["snapshot_metrics"] = dict(zip(column, metrics, strict=True))

    def turned() -> tuple[Table, Part, Part]:
        from workbench.profiles.readers.massif.turned import of_metrics

        return of_metrics(forest.table.table(), metrics, column)

    nodes = _nodes(forest, dict(zip(metrics, column, strict=True)), turned)
    return _profile(source.name, forest.frames, tables, meta, notes, tuple(metrics.values()), nodes)


def _nodes(
    forest: Forest | None, metrics: Mapping[str, int | None], turned: Callable[[], tuple[Table, Part, Part]]
) -> tuple[Table | Ungrown, Part, Part]:
    """The nodes of these metrics, the stacks that lost outer callers, and those below massif's threshold."""
    found = None if forest is None else ungrown(forest, metrics, lambda: turned()[0])
    return turned() if found is None else (found[0], None, found[1])


def _profile(
    name: str,
    frames: TableLike,
    tables: Mapping[str, TableLike | Deferred],
    meta: Mapping[str, Any],
    notes: NoteBook,
    metrics: tuple[Metric, ...],
    turned: tuple[Table | Ungrown, Part, Part],
) -> Profile:
    """The profile, with notes about stacks that were cut and callers that were too small: see :func:`_nodes`."""
    nodes, lost, small = turned
    unit = metrics[0].name if metrics else None
    for part, what in (
        (lost, "stacks too deep to be shown whole lost outer callers"),
        (small, f"callers too small to be listed are one frame {BELOW_THRESHOLD}"),
    ):
        if part is not None:
            notes.add(what, count=part[0], metric=unit, weight=part[1])
    return from_nodes(
        FORMAT, name, metrics=metrics, frames=frames, nodes=nodes, tables=tables, meta=meta, notes=notes.notes()
    )

"""Firefox profiler JSON to Profile: all threads together, with labels for threads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import self_
from workbench.profiles.distinct import numbered
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.firefox import document, gecko
from workbench.profiles.readers.firefox.document import HINT, Document, RawThread, Samples, Tables
from workbench.profiles.readers.firefox.forest import Forest, cut_at_depth, used, whole
from workbench.profiles.readers.threads import Thread, thread_tags
from workbench.profiles.table import Deferred
from workbench.profiles.timeline import Moments, timeline
from workbench.profiles.tree import MAX_DEPTH, add_at, depths, regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "firefox"
NEWEST_VERSION = 70
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{[ \t\r\n]*+\"")
_MOST = float(2**63 - 1)
_MOST_MS = 9e12
_MOST_PROCESSES = 1_000
# children's own children are not read; each level is decoded again
_MOST_GENERATIONS = 4
_METRICS = {
    "samples": Metric("samples", "count", "samples, by their weights"),
    "tracing-ms": Metric("time", "ms", "time, as the tracer measured it"),
    "bytes": Metric("bytes", "bytes", "bytes, by the weights of the samples"),
    "js": Metric("js_allocations", "bytes", "bytes that JavaScript allocated"),
    "native": Metric("native_allocations", "bytes", "bytes allocated, less those that were freed"),
}
_CPU_UNITS = {"ns": "ns", "µs": "us", "us": "us", "variable CPU cycles": "cycles"}
_SYMBOLS = (
    "frames that have an address for a name: the file was saved before its symbols were looked up. Open it with "
    "'samply load FILE', save it from there, and read that"
)


def recognise(source: Source) -> str | None:
    """A JSON object with the tables of the profiler."""
    data = source.data
    if _OBJECT.match(data[:4096]) is None or b'"threads"' not in data:
        return None
    if b'"preprocessedProfileVersion"' in data:
        return "JSON with a preprocessedProfileVersion"
    return "JSON with a stackTable" if b'"stackTable"' in data and b'"frameTable"' in data else None


def read(source: Source) -> Profile:
    """The samples of all threads of a Firefox or samply profile.

    Metrics: ``samples`` (the sum of their weights), or ``time`` (ms) and ``bytes`` if threads have such weights;
    ``cpu`` if threads have the CPU time of each sample (the first of a thread has none); bytes of allocations if
    recorded. Labels: ``thread`` (name and tid), ``comm``, ``process``, ``pid``, ``tid``. If samples have times, the
    table ``timeline`` has the spans. Markers and counters are left out.

    Raises ReadError for a file that breaks the format, and for one without samples.
    """
    notes = NoteBook()
    file = document.decode(source, notes)
    version = file.meta.get("preprocessedProfileVersion")
    if isinstance(version, (int, float)) and version > NEWEST_VERSION:
        notes.add(f"version {str(version)[:20]} of the format is newer than {NEWEST_VERSION}, the newest known")
    taken = _Taken()
    _take(file, source, source.name, taken)
    if not any(len(piece.stack) for piece in taken.pieces):
        raise ReadError("there are no samples in it", where=source.name, hint="Markers alone make no profile")
    if taken.markers:
        notes.add("markers, left out", count=taken.markers)
    parent = taken.forest.parent()
    stands, deep = cut_at_depth(parent)
    pieces = [piece.standing(stands) for piece in taken.pieces]
    _note_deep(taken.pieces, deep, notes)
    keep = used(parent, np.concatenate([piece.stack for piece in pieces]))
    tree = regrow(parent, taken.forest.frame(), keep)
    metrics, keys = _metrics(pieces, file.meta)
    node, tags_id, costs = _summed(pieces, keys, tree.node_of, metrics, source, notes)
    _note_unnamed(taken.forest.unnamed(), tree.frame, add_at(len(tree.parent), node, costs), metrics, notes)
    tables: dict[str, Any] = {}
    moments = _moments(pieces, tree.node_of, file.meta)
    if moments is not None:
        labels = [thread.label for thread in taken.threads]
        tables["timeline"] = Deferred(lambda: timeline(moments, labels, tree.parent, tree.frame, depths(tree.parent)))
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=taken.forest.frame_table(),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=add_at(len(tree.parent), node, costs),
        samples={"node_id": node, "tags_id": tags_id, **{self_(m.name): costs[:, at] for at, m in enumerate(metrics)}},
        tags=thread_tags(taken.threads),
        tables=tables,
        meta=_meta(file, len(taken.threads)),
        notes=notes.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Samples of one thread in one metric: ``stack`` a node of the forest or -1, ``value`` its weight, ``time_ms`` None
    without times."""

    kind: str
    thread: int
    stack: NDArray[np.int64]
    value: NDArray[Any]
    time_ms: NDArray[np.float64] | None = None

    def standing(self, stands: NDArray[np.int64]) -> _Piece:
        """With nodes replaced."""
        stack = self.stack.copy()
        stack[stack >= 0] = stands[stack[stack >= 0]]
        return _Piece(self.kind, self.thread, stack, self.value, self.time_ms)


@dataclass
class _Taken:
    """The data of all threads so far."""

    forest: Forest = field(default_factory=Forest)
    pieces: list[_Piece] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    markers: int = 0
    processes: int = 0


def _take(file: Document, source: Source, where: str, taken: _Taken, depth: int = 0) -> None:
    shared = None
    if file.shared is not None and file.shared.stackTable is not None:
        strings = file.shared.stringArray or []
        shared = taken.forest.add(file.shared, strings, file.libs, f"{where}: shared")
    for number, raw in enumerate(file.threads):
        name = f"thread {number}"
        if document.is_raw(raw):
            thread = gecko.processed(document.part(raw, RawThread, name, source), file.libs)
        else:
            thread = document.part(raw, document.Thread, name, source)
        at = f"{where}: {name}"
        if thread.stackTable is not None or shared is None:
            span = _own_tables(thread, file, taken.forest, at)
        else:
            span = shared
        if thread.markers is not None and isinstance(thread.markers.length, int):
            taken.markers += max(thread.markers.length, 0)
        _take_thread(thread, span, at, taken)
    for raw in file.processes:
        taken.processes += 1
        if taken.processes > _MOST_PROCESSES or depth >= _MOST_GENERATIONS:
            raise ReadError("more processes in processes than Firefox has", where=where, hint=HINT)
        _take(document.part(raw, Document, "a process", source), source, where, taken, depth + 1)


def _own_tables(thread: document.Thread, file: Document, forest: Forest, where: str) -> tuple[int, int]:
    shared = file.shared or Tables()
    strings = thread.stringArray if thread.stringArray is not None else shared.stringArray or []
    thread.sources = thread.sources or shared.sources
    return forest.add(thread, strings, thread.libs if thread.libs is not None else file.libs, where)


def _take_thread(thread: document.Thread, span: tuple[int, int], where: str, taken: _Taken) -> None:
    number = len(taken.threads)
    before = len(taken.pieces)
    tables = (("samples", thread.samples), ("js", thread.jsAllocations), ("native", thread.nativeAllocations))
    for kind, samples in tables:
        if samples is None or not samples.stack:
            continue
        size = len(samples.stack)
        stack = whole(samples.stack, size)
        wrong = np.flatnonzero(stack >= span[1])
        if len(wrong):
            raise ReadError(
                f"sample {wrong[0]} has stack {stack[wrong[0]]}, but there are only {span[1]}",
                where=where,
                hint=f"It is damaged. {HINT}",
            )
        stack = np.where(stack >= 0, stack + span[0], -1)
        weight = np.ones(size, dtype=np.int64) if samples.weight is None else _numbers(samples.weight, size)
        if kind == "samples":
            kind = str(samples.weightType) if str(samples.weightType) in _METRICS else "samples"
            taken.pieces.append(_Piece(kind, number, stack, weight, _times(samples, size)))
            if samples.threadCPUDelta is not None:
                delta = _numbers(samples.threadCPUDelta, size)
                delta[0] = 0
                taken.pieces.append(_Piece("cpu", number, stack, np.maximum(delta, 0)))
        else:
            taken.pieces.append(_Piece(kind, number, stack, weight))
    if len(taken.pieces) > before:
        taken.threads.append(
            Thread(_word(thread.name), _word(thread.pid), _word(thread.tid), _word(thread.processName))
        )


def _numbers(values: list[Any], size: int) -> NDArray[Any]:
    """Numbers as int64, or float64 if one has a fraction or is large; 0 for missing ones."""
    array = _floats([0 if value is None else value for value in values[:size]])
    rounded = np.rint(array)
    if (rounded == array).all() and (np.abs(array) < 2**53).all():
        array = rounded.astype(np.int64)
    out = np.zeros(size, dtype=array.dtype)
    out[: len(array)] = array
    return out


def _floats(values: list[Any]) -> NDArray[np.float64]:
    """Numbers as floats; JSON may contain whole numbers too large for a float."""
    try:
        return np.asarray(values, dtype=np.float64)
    except OverflowError:
        return np.asarray([min(max(value, -_MOST), _MOST) for value in values], dtype=np.float64)


def _times(samples: Samples, size: int) -> NDArray[np.float64] | None:
    """Milliseconds since the start of the recording; None if the file has no usable ones."""
    given = samples.time if samples.time is not None else samples.timeDeltas
    if given is None or len(given) < size or any(value is None for value in given):
        return None
    times = _floats(given[:size])
    if samples.time is None:
        times = np.cumsum(times)
    return times if np.isfinite(times).all() and (np.abs(times) < _MOST_MS).all() else None


def _metrics(pieces: list[_Piece], meta: dict[str, Any]) -> tuple[list[Metric], list[str]]:
    there = {piece.kind for piece in pieces}
    keys: list[str] = [kind for kind in ("samples", "tracing-ms", "bytes", "cpu", "js", "native") if kind in there]
    units = meta.get("sampleUnits")
    unit = units.get("threadCPUDelta") if isinstance(units, dict) else None
    cpu = Metric("cpu", _CPU_UNITS.get(str(unit), str(unit or "ns")[:40]), "CPU time since the sample before")
    return [cpu if key == "cpu" else _METRICS[key] for key in keys], keys


def _summed(
    pieces: list[_Piece],
    keys: list[str],
    node_of: NDArray[np.int64],
    metrics: list[Metric],
    source: Source,
    notes: NoteBook,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Samples of one node and thread as one row: node, labels and costs, a column per metric."""
    whole_numbers = all(piece.value.dtype == np.int64 for piece in pieces)
    threads = max(piece.thread for piece in pieces) + 1
    node = np.concatenate([_nodes(piece.stack, node_of) for piece in pieces])
    thread = np.repeat([piece.thread for piece in pieces], [len(piece.stack) for piece in pieces])
    column = np.repeat([keys.index(piece.kind) for piece in pieces], [len(piece.stack) for piece in pieces])
    value = np.concatenate([piece.value for piece in pieces])
    if np.abs(value.astype(np.float64)).sum() >= _MOST:
        raise ReadError("weights sum to more than 64 bits can hold", where=source.name, hint=f"It is damaged. {HINT}")
    empty = node < 0
    for at, metric in enumerate(metrics):
        here = empty & (column == at)
        if here.any():
            weight = float(value[here].sum())
            notes.add("sample without a stack, left out", count=int(here.sum()), metric=metric.name, weight=weight)
    row, known = numbered(node[~empty] * threads + thread[~empty])
    costs = np.zeros((len(known), len(metrics)), dtype=np.int64 if whole_numbers else np.float64)
    np.add.at(costs, (row, column[~empty]), value[~empty])
    return known // threads, known % threads + 1, costs


def _nodes(stack: NDArray[np.int64], node_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The node of the tree that each stack ends at, -1 for none."""
    node = np.full(len(stack), -1, dtype=np.int64)
    node[stack >= 0] = node_of[stack[stack >= 0]]
    return node


def _moments(pieces: list[_Piece], node_of: NDArray[np.int64], meta: dict[str, Any]) -> Moments | None:
    units = meta.get("sampleUnits")
    timed = [piece for piece in pieces if piece.time_ms is not None]
    if not timed or (isinstance(units, dict) and units.get("time") == "bytes"):
        return None
    return Moments(
        np.repeat([piece.thread for piece in timed], [len(piece.stack) for piece in timed]).astype(np.int64),
        np.rint(np.concatenate([piece.time_ms for piece in timed if piece.time_ms is not None]) * 1e6).astype(np.int64),
        np.concatenate([_nodes(piece.stack, node_of) for piece in timed]),
    )


def _note_deep(pieces: list[_Piece], deep: NDArray[np.bool_], notes: NoteBook) -> None:
    for piece in pieces:
        cut = int(deep[piece.stack[piece.stack >= 0]].sum())
        if cut and piece.kind != "cpu":
            notes.add(f"stack deeper than {MAX_DEPTH:,} frames, cut at the leaf", count=cut)


def _note_unnamed(
    unnamed: NDArray[np.bool_], frame: NDArray[np.int64], costs: NDArray[Any], metrics: list[Metric], notes: NoteBook
) -> None:
    there = np.unique(frame)
    count = int(unnamed[there].sum()) if len(there) else 0
    if count:
        weight = float(costs[unnamed[frame], 0].sum())
        notes.add(_SYMBOLS, count=count, metric=metrics[0].name, weight=weight)


def _meta(file: Document, threads: int) -> dict[str, Any]:
    names = {
        "product": "product",
        "oscpu": "oscpu",
        "interval": "interval_ms",
        "startTime": "start_ms",
        "preprocessedProfileVersion": "version",
        "symbolicated": "symbolicated",
    }
    found = {name: file.meta[key] for key, name in names.items() if isinstance(file.meta.get(key), (str, int, float))}
    return {**found, "threads": threads}


def _word(value: Any) -> str:
    """A name or number as text; "" for anything else."""
    return str(value)[:200] if isinstance(value, (str, int)) and not isinstance(value, bool) else ""

"""Heap profiles of jemalloc: ``heap_v2/PERIOD``, as a program with ``prof:true`` writes them, and as ``jeprof --raw``
does, with names before the profile.

The file has sampled values; they are scaled up to allocated ones by stack, as in jeprof. Return addresses are after the
call: as in jeprof, one is subtracted, so that they are in the calling line. The allocator's own frames are left out if
recognised by name, as in jeprof.

Programs named in the file are not opened: a profile is untrusted, and the file may be another build now.
"""

from __future__ import annotations

from itertools import chain
from string import hexdigits
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.stacks import cut_deep
from workbench.profiles.readers.jemalloc.places import Places, places_of, table_of
from workbench.profiles.readers.jemalloc.text import Dump, Symbols, dump_of, symbols_of
from workbench.profiles.readers.jemalloc.unsample import unsampled
from workbench.profiles.source import line_number
from workbench.profiles.table import text
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "jemalloc"
_MARK = b"heap_v2/"
_SYMBOLS = b"--- symbol"
_NAMES = ("inuse_objects", "inuse_space", "alloc_objects", "alloc_space")
_METRICS = (
    Metric("inuse_objects", "count", "objects not yet freed"),
    Metric("inuse_space", "bytes", "bytes not yet freed"),
    Metric("alloc_objects", "count", "objects ever allocated"),
    Metric("alloc_space", "bytes", "bytes ever allocated"),
)
_MOST = float(2**63)
# Bytes per address of a stack, and per frame, during reading. Measured.
_ADDRESS_BYTES = 240
_FRAME_BYTES = 320
# jeprof writes only the symbols of a local file, without the profile after them
_NAME_IT = "`(jeprof --raw PROGRAM FILE; cat FILE) > named.heap`"
_DIGIT = np.array([int(chr(byte), 16) if chr(byte) in hexdigits else 0 for byte in range(256)], dtype=np.uint64)
_DUMP_AGAIN = "Dump it again: `prof.dump` of mallctl, or MALLOC_CONF=prof:true,prof_final:true"


def recognise(source: Source) -> str | None:
    """``heap_v2/`` at the beginning, or the symbols that ``jeprof --raw`` writes."""
    if source.data.startswith(_MARK):
        return "it begins with heap_v2/"
    if source.data.startswith(_SYMBOLS) and source.data[len(_SYMBOLS) : len(_SYMBOLS) + 2].lstrip(b"\r")[:1] == b"\n":
        return "it begins with the symbols of jeprof --raw"
    return None


def read(source: Source) -> Profile:
    """The heap as a profile of stacks: metrics ``inuse_objects`` and ``inuse_space``, and ``alloc_objects`` and
    ``alloc_space`` if the program ran with ``prof_accum:true``; all in whole objects and bytes.

    ``tables["threads"]``: thread, name, and the four counts as sampled, not scaled (``sampled_inuse_objects`` ...).
    ``meta``: ``period_bytes``, ``stacks``, ``binary`` if jeprof named it. Raises ReadError for a file that is cut off
    before its first complete stack, for the symbols of another profile, and for counts that do not fit 64 bits.
    """
    notes = NoteBook()
    symbols, start = _symbols(source)
    dump = dump_of(source, start, notes)
    if dump is None:
        raise _no_heap(source, start)
    if not dump.stacks and (dump.total is None or any(dump.total.counts) or notes.notes()):
        raise ReadError("the file was cut off before its first complete stack", where=source.name, hint=_DUMP_AGAIN)
    costs, metrics = _costs(dump, source)
    _note_missing(dump, source, notes)
    parent, frame, own, places = _tree(dump, symbols, costs, source, notes)
    _note_names(places, symbols, source, notes)
    # the allocator's frames are in no stack any more
    used, numbered = np.unique(frame, return_inverse=True)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=_led_by(costs, metrics),
        frames=table_of([places.frames[number] for number in used.tolist()]),
        parent=parent,
        frame=numbered,
        self_costs=own,
        tables={"threads": _thread_table(dump)} if dump.threads else {},
        meta={
            "period_bytes": dump.period_bytes,
            "stacks": len(dump.stacks),
            **({"binary": symbols.binary} if symbols and symbols.binary else {}),
        },
        notes=notes.notes(),
    )


def _symbols(source: Source) -> tuple[Symbols | None, int]:
    """The names before the profile, and where the profile begins."""
    data = source.data
    if not data.startswith(_SYMBOLS):
        return None, 0
    start = data.find(b"\n--- heap")
    end = data.find(b"\n---", len(_SYMBOLS))
    if end < 0 or start < 0:
        other = data[end + 1 : end + 101].split(b"\n")[1:-1] if end >= 0 else []
        if other and other[0].startswith(b"--- "):
            raise ReadError(
                f"the symbols are followed by {other[0].decode('utf-8', 'backslashreplace')!r}, not by a heap profile",
                where=source.name,
                hint="Convert it where the profiled program is: `pprof -proto FILE > new.pb.gz`",
            )
        raise ReadError(
            "the file was cut off in the symbols, before the profile",
            where=source.name,
            hint=f"Write it again: {_NAME_IT}",
        )
    line = data.find(b"\n", start + 1)
    return symbols_of(data[:end]), len(data) if line < 0 else line + 1


def _no_heap(source: Source, start: int) -> ReadError:
    line = line_number(source.data, start)
    head = source.data[start : start + 60]
    if _MARK.startswith(head[: len(_MARK)]) and b"\n" not in head:
        return ReadError("the file was cut off in its first line", where=source.at(line), hint=_DUMP_AGAIN)
    if head.startswith(b"heap profile:"):
        return ReadError(
            "this is a heap profile of gperftools or of jemalloc before 4.0",
            where=source.at(line),
            hint="Convert it where the profiled program is: `pprof -proto PROGRAM FILE > new.pb.gz`",
        )
    return ReadError(
        f"expected heap_v2/ and the sampling period in bytes, found {head.splitlines()[:1]!r}",
        where=source.at(line),
        hint=_DUMP_AGAIN,
    )


def _costs(dump: Dump, source: Source) -> tuple[NDArray[np.int64], list[Metric]]:
    """The scaled values of each stack; columns that are all 0 because nothing was accumulated are left out."""
    columns = [unsampled(dump.counts[:, at], dump.counts[:, at + 1], dump.period_bytes) for at in (0, 2)]
    accumulated = bool(dump.counts[:, 2:].any()) or (dump.total is not None and any(dump.total.counts[2:]))
    both = np.hstack(columns[: 1 + accumulated])
    if (both.sum(axis=0) >= _MOST).any():
        raise ReadError(
            "the counts add up to more than 64 bits can hold",
            where=source.name,
            hint=f"Is the sampling period, {dump.period_bytes:,} bytes, right?",
        )
    return np.rint(both).astype(np.int64), list(_METRICS[: both.shape[1]])


def _led_by(costs: NDArray[np.int64], metrics: list[Metric]) -> str:
    """Bytes in use, or ever allocated if nothing is in use."""
    return "alloc_space" if len(metrics) > 2 and not costs[:, 1].any() and costs[:, 3].any() else "inuse_space"


def _note_missing(dump: Dump, source: Source, notes: NoteBook) -> None:
    """Notes on missing parts of the file, and on the figures."""
    if not dump.mapped:
        notes.add(
            "the file ends before its list of mapped files: it was cut off, the stacks before the end are read",
            source.at(source.data.count(b"\n") + 1),
        )
    if not dump.stacks:
        notes.add("nothing was sampled", source.name)
    elif dump.period_bytes > 1:
        notes.add(
            f"a sample was taken about every {dump.period_bytes:,} bytes: figures are scaled up, as jeprof does",
            metric="inuse_space",
            weight=float(dump.counts[:, 1].sum(dtype=np.float64)),
        )


def _note_names(places: Places, symbols: Symbols | None, source: Source, notes: NoteBook) -> None:
    unnamed = len(places.first) - places.named
    if unnamed and symbols is None:
        notes.add(
            f"the file has no names, only addresses: where the program is, {_NAME_IT} writes one that has",
            count=unnamed,
        )
    elif unnamed:
        notes.add("address without a name", source.name, count=unnamed)


def _tree(
    dump: Dump, symbols: Symbols | None, costs: NDArray[np.int64], source: Source, notes: NoteBook
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Places]:
    """Parent, frame and self costs of each node, and the places of the frames."""
    offsets, address = _addresses(dump, source)
    # a return address is after the call
    behind = address > 0
    behind[offsets[:-1]] = False
    distinct, place = np.unique(address - behind.astype(np.uint64), return_inverse=True)
    places = places_of(distinct.tolist(), dump.mappings, symbols)
    kept = _outside_allocator(offsets, places.allocator[place], costs, notes)
    stack = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[kept][::-1]
    place = place[kept][::-1]
    # from here on the last stack is first, and each is outermost first
    costs = costs[::-1]
    many = places.count[place]
    # a name of a few bytes can stand for hundreds of inlined calls, at each of its addresses
    require(int(many.sum()) * _FRAME_BYTES, name=source.name)
    row = np.repeat(places.first[place], many) + np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
    lengths = np.bincount(len(costs) - 1 - np.repeat(stack, many), minlength=len(costs))
    ends = np.concatenate(([0], np.cumsum(lengths)))
    tree = grow(*cut_deep(ends, places.order[row], costs[:, 1:], _METRICS[1], notes, source.name))
    own = add_at(len(tree.parent), tree.node_of, costs)
    return tree.parent, tree.frame, own, places


def _addresses(dump: Dump, source: Source) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The stacks as offsets into an array of addresses, innermost first. A stack without any has the address 0."""
    require(sum(map(len, dump.stacks)) // 8 * _ADDRESS_BYTES, name=source.name)
    stacks = [stack.split() or [b"0x0"] for stack in dump.stacks]
    digits = np.array(list(chain.from_iterable(stacks)), dtype="S18").view(np.uint8).reshape(-1, 18)[:, 2:]
    value = np.zeros(len(digits), dtype=np.uint64)
    for column in digits.T:
        # text that is shorter is filled with zero bytes
        value = np.where(column > 0, value * np.uint64(16) + _DIGIT[column], value)
    return np.concatenate(([0], np.cumsum([len(stack) for stack in stacks], dtype=np.int64))), value


def _outside_allocator(
    offsets: NDArray[np.int64], allocator: NDArray[np.bool_], costs: NDArray[np.int64], notes: NoteBook
) -> NDArray[np.bool_]:
    """Which frames are outside of the allocator: the callers of its outermost frame. A stack without such frames keeps
    that frame."""
    position = np.arange(len(allocator))
    if not allocator.any():
        return np.ones(len(allocator), dtype=bool)
    last = np.maximum.reduceat(np.where(allocator, position, -1), offsets[:-1])
    inside = last >= 0
    last[last == offsets[1:] - 1] -= 1
    kept = np.asarray(position > np.repeat(last, np.diff(offsets)))
    notes.add(
        "the allocator's own frames are left out, as jeprof does",
        count=int((~kept).sum()),
        metric="inuse_space",
        weight=float(costs[inside, 1].sum()),
    )
    return kept


def _thread_table(dump: Dump) -> dict[str, Any]:
    threads = [thread for thread in dump.threads if thread.number != "*"]
    counts = np.array([thread.counts for thread in threads], dtype=np.int64).reshape(-1, 4)
    return {
        "thread": np.array([int(thread.number) for thread in threads], dtype=np.int64),
        "name": text([thread.name for thread in threads]),
        **{f"sampled_{name}": counts[:, at] for at, name in enumerate(_NAMES)},
    }

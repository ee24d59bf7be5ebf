"""Callgrind: functions, calls between them and cost per source line, counted by Valgrind or written by others.

Other writers of the format are read too: cachegrind before 3.21, Valgrind's ``--xtree-memory``, pprof, pprofile,
lsprof of bzr, Xdebug. 100 % is the sum of the self costs; it is compared with the file's ``totals``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import cost_, self_
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.names import crates_of, tidy_rust
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.callgrind.body import SUM_LIMIT, Walk
from workbench.profiles.readers.callgrind.header import default_metric, metric_of
from workbench.profiles.readers.callgrind.names import begins_file
from workbench.profiles.readers.callgrind.plain import BLANKS
from workbench.profiles.readers.callgrind.totals import Totals, added_up, callee_of, caller_of, read_totals
from workbench.profiles.source import Source, line_number
from workbench.profiles.table import Counts, Deferred, Table, concat, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.readers.callgrind.by_line import LineTable

    # data for another pass over a file: see LineTable
    Again: TypeAlias = tuple[Source, int, Sequence[str], NDArray[np.int64], Sequence[str], NDArray[np.int64]]

FORMAT = "callgrind"
_MARK = b"# callgrind format"
_HEAD_BYTES = 16 * 1024
_HEAD_LINES, _HEAD_LONGEST, _LONG = 1000, 16 * 1024 * 1024, 1024
# Valgrind ends each line, so a line without an end was cut off
_ENDS_LINES = re.compile(rb"^(creator:\s*(callgrind|xtree)|desc:\s*(I1 cache|Files compared))", re.MULTILINE)
# a last line that can be read, even if it was cut off
_WHOLE = re.compile(
    rb"(\*|[+-]?N([:+-]N?)?)([\x00-\x20]+(\*|[+-]?N))*|[a-z]+=[^=].*|#.*|[A-Za-z][^=\n]*:.*|=+ NEW .*=".replace(
        b"N", rb"(0[xX][0-9a-fA-F]+|[0-9]+)", 3
    ),
    re.DOTALL,
)
# Costs per source line may take this much of the file's size in memory: real files take up to about 3.
_LINES_PER_BYTE = 8
_FREE_BYTES = 256 * 1024 * 1024


def recognise(source: Source) -> str | None:
    """Callgrind's mark, or a header with ``events:`` before any other line. A call graph in DOT is recognised, so that
    it can be refused by name."""
    head = source.data[:_HEAD_BYTES]
    if head.startswith(_MARK):
        return "it begins with '# callgrind format'"
    if _is_dot(head):
        return "a DOT graph, which converters make of a callgrind profile"
    for line in _head_lines(source.data):
        if line.startswith(b"events:"):
            return "its header has events: before any other line"
        key = line.split(b":")[0].replace(b" (BB)", b"")
        if line and not line.startswith(b"#") and not key.isalpha() and not begins_file(line):
            return None
    return None


def _head_lines(data: bytes) -> Iterator[bytes]:
    """The beginnings of the first lines. Lines may be long: ``cmd:`` has all arguments of a program."""
    at = 0
    for _ in range(_HEAD_LINES):
        end = data.find(b"\n", at, _HEAD_LONGEST)
        yield data[at : min(end if end >= 0 else len(data), at + _LONG)].strip()
        if end < 0:
            return
        at = end + 1


def read(source: Source, *, instr: bool = False, jumps: bool = False) -> Profile:
    """Read a callgrind file of any number of parts and threads, summed over them.

    A function is its object, home file and name; ``'2`` of a recursion stays in ``raw_function``. Inlined code counts
    for the function it is inlined into; ``lines`` has its original file. ``tables`` has ``parts`` (costs of each dump
    or thread, with the tool's own totals) and, for several threads, ``threads`` (self costs by function); with
    ``instr`` ``instructions`` (self costs by address) and with ``jumps`` ``jumps``, if the file has them.

    Raises ReadError for a file that is damaged, has another version, or has no event names.
    """
    if _is_dot(source.data[:_HEAD_BYTES]):
        raise ReadError(
            "this is a DOT graph, which has percentages only",
            where=source.name,
            hint="Read the callgrind.out file it was made from",
        )
    notes = NoteBook()
    stop = whole_lines(source, notes)
    walk = Walk(source, notes, stop)
    totals = read_totals(walk)
    events = list(dict.fromkeys(event for part in walk.parts for event in part.events))
    if not events:
        raise ReadError(
            "no `events:` line, which names what was counted",
            where=source.name,
            hint="The file is cut off or not a callgrind profile",
        )
    metrics, factor = _metrics(events, walk, notes, source)
    files = _decoded(walk.names.files.names, notes, source)
    used = totals.functions(len(walk.context.functions))
    ids = np.full(len(walk.context.functions), -1, dtype=np.int64)
    ids[used] = np.arange(len(used))
    edges = _edges(totals, events, ids, factor)
    own = added_up(totals.own, events, [ids[piece.keys] for piece in totals.own], len(used)) * factor
    functions = {
        **_functions(walk, used, files, notes, source),
        "calls": _calls_in(len(used), edges),
        **{self_(name): costs for name, costs in zip(events, own, strict=True)},
    }
    tables: dict[str, Any] = {"parts": _parts(walk, events, factor, notes, source)}
    if len(walk.parts) > 1:
        tables["threads"] = _threads(walk, totals, events, ids, factor)
    again = source, stop, events, factor, files, ids
    tables.update(_rows(again, instr, jumps))
    _check_end(walk, len(used), source, notes)
    lines = None
    if any("line" in part.positions for part in walk.parts):
        lines = _lines(again, walk.runs, notes)
    return from_graph(
        FORMAT,
        source.name,
        metrics=metrics,
        functions=functions,
        edges=edges,
        default_metric=default_metric(metrics, own.sum(axis=1).tolist()),
        lines=lines,
        tables=tables,
        meta=_meta(walk),
        notes=notes.notes(),
    )


def _rows(again: Again, instr: bool, jumps: bool) -> dict[str, Table]:
    if not (instr or jumps):
        return {}
    from workbench.profiles.readers.callgrind.rows import Rows  # rarely needed

    rows = Rows(*again)
    asked = {"instructions": rows.instructions() if instr else None, "jumps": rows.jumps() if jumps else None}
    return {name: table for name, table in asked.items() if table is not None}


def _is_dot(head: bytes) -> bool:
    start = head.lstrip()[:400]
    return start.startswith((b"digraph", b"strict digraph")) and b"{" in start


def _metrics(
    events: Sequence[str], walk: Walk, notes: NoteBook, source: Source
) -> tuple[list[Metric], NDArray[np.int64]]:
    """The metrics, and a column of the factors that bring values to their units."""
    pairs = [metric_of(name, walk.headers.events.get(name)) for name in events]
    for metric, factor in pairs:
        # first the factor alone: it comes from a name and can be larger than any float
        if factor >= SUM_LIMIT or walk.sizes.get(metric.name, 0.0) * factor >= SUM_LIMIT:
            raise ReadError(
                f"the costs of {metric.name[:80]} add up to more than 2**63 {metric.unit}",
                where=source.name,
                hint="The file is damaged",
            )
        if not metric.additive:
            notes.add(f"{metric.name} is a ratio: its sums mean nothing")
        if factor != 1:
            notes.add(f"{metric.name} was multiplied by {factor} to be {metric.unit}")
    return [metric for metric, _ in pairs], np.asarray([factor for _, factor in pairs], dtype=np.int64)[:, None]


def _functions(
    walk: Walk, used: NDArray[np.int64], files: Sequence[str], notes: NoteBook, source: Source
) -> dict[str, Any]:
    """The names and places of the functions ``used``."""
    objects = _decoded(walk.names.objects.names, notes, source)
    names = _decoded(walk.names.functions.names, notes, source)
    object_, file, name = walk.context.function_table()[used].T
    bare = without_context(names)
    tidy = {name: tidy_rust(name) for name in set(bare)}
    shown = text([tidy[name] for name in bare])
    home = text([*files, ""])[file]
    return {
        "function": shown[name],
        "raw_function": text(names)[name],
        "file": home,
        "object": text([*objects, ""])[object_],
        "crate": text(crates_of(text(bare)[name].tolist(), home.tolist())),
    }


def _decoded(names: Sequence[bytes], notes: NoteBook, source: Source) -> list[str]:
    try:
        return b"\n".join(names).decode().split("\n") if names else []
    except UnicodeDecodeError:
        out = []
        for name in names:
            text = name.decode("utf-8", "backslashreplace")
            if text.encode() != name:
                notes.add("a name is not UTF-8: other bytes are shown as \\x..", source.name)
            out.append(text)
        return out


def without_context(names: Sequence[str]) -> list[str]:
    """Names without the suffixes of ``--separate-recs`` and ``--separate-callers``: ``fib'2``, ``fib'main'(below
    main)``.

    Rust and C++ names contain apostrophes too. So one counts as callgrind's only if everything after it is a level or
    another function of the file.
    """
    heads = {name.partition("'")[0] for name in names}
    out = []
    for name in names:
        head, *rest = name.split("'")
        if rest and head and not heads.issuperset(rest):
            rest = rest if all(part in heads or (part.isascii() and part.isdigit()) for part in rest) else []
        out.append(head if rest and head else name)
    return out


def _edges(totals: Totals, events: Sequence[str], ids: NDArray[np.int64], factor: NDArray[np.int64]) -> Table:
    pairs, row = np.unique(_joined([piece.keys for piece in totals.called]), return_inverse=True)
    bounds = np.cumsum([0, *(len(piece.keys) for piece in totals.called)])
    rows = [row[low:high] for low, high in pairwise(bounds)]
    costs = added_up(totals.called, events, rows, len(pairs)) * factor
    calls = np.zeros(len(pairs), dtype=np.int64)
    np.add.at(calls, row, _joined(totals.counts))
    # a writer that does not count calls writes 0
    columns = {
        "caller_id": ids[caller_of(pairs)],
        "callee_id": ids[callee_of(pairs)],
        "calls": Counts(calls, np.full(len(pairs), bool(calls.any()))),
    }
    return Table({**columns, **{cost_(name): column for name, column in zip(events, costs, strict=True)}})


def _calls_in(count: int, edges: Table) -> Counts:
    """How often each function was called, from all callers."""
    calls = edges.column("calls")
    if len(edges) and not calls.known.any():
        return Counts.unknown(count)
    times = np.zeros(count, dtype=np.int64)
    np.add.at(times, edges["callee_id"], calls.values)
    return Counts(times, np.ones(count, dtype=bool))


def _lines(again: Again, most: int, notes: NoteBook) -> Deferred | None:
    """Cost per source line, made on first use; None if there are too many lines."""
    source, stop, events, factor, files, ids = again
    kept = [source]

    def lines() -> LineTable:
        from workbench.profiles.readers.callgrind.by_line import LineTable  # rarely needed

        return LineTable(kept, stop, events, factor, files, ids)

    limit = _FREE_BYTES + _LINES_PER_BYTE * stop
    # a source line that occurs again counts once, but finding repetitions takes time
    if 2 * 8 * len(events) * most > limit and (count := lines().too_many(limit)):
        notes.add("costs per source line would take too much memory: left out", source.name, count=count)
        return None
    return Deferred(lambda: lines().table())


def _parts(walk: Walk, events: Sequence[str], factor: NDArray[np.int64], notes: NoteBook, source: Source) -> Table:
    """One row per part: part, thread, pid, its self costs and the tool's own totals; they are compared here."""
    columns: dict[str, Any] = {
        "part": Counts.of([part.part for part in walk.parts]),
        "thread": Counts.of([part.thread for part in walk.parts]),
        "pid": text([part.pid for part in walk.parts]),
    }
    said = [dict(zip(part.events, part.totals or (), strict=False)) for part in walk.parts]
    for name, times in zip(events, factor[:, 0].tolist(), strict=True):
        columns[self_(name)] = np.asarray([part.own.get(name, 0) * times for part in walk.parts], dtype=np.int64)
        columns[f"totals_{name}"] = Counts.of([_scaled(totals.get(name), times) for totals in said])
    for part, totals in zip(walk.parts, said, strict=True):
        where = source.name if part.part is None else f"{source.name}, part {part.part}"
        for name, total in totals.items():
            if (difference := total - part.own.get(name, 0)) != 0:
                notes.add(
                    "the sum of self costs differs from the file's totals", where, metric=name, weight=float(difference)
                )
    return Table(columns)


def _scaled(total: int | None, times: int) -> int | None:
    return None if total is None or abs(total * times) >= 2**63 else total * times


def _threads(
    walk: Walk, totals: Totals, events: Sequence[str], ids: NDArray[np.int64], factor: NDArray[np.int64]
) -> Table:
    """Self costs by thread and function, if the file has any; thread 0 stands for parts that name no thread."""
    tables = []
    for thread in sorted({part.thread or 0 for part in walk.parts}):
        pieces = [piece for piece in totals.own if (walk.parts[piece.part].thread or 0) == thread]
        functions, row = np.unique(_joined([ids[piece.keys] for piece in pieces]), return_inverse=True)
        bounds = np.cumsum([0, *(len(piece.keys) for piece in pieces)])
        rows = [row[low:high] for low, high in pairwise(bounds)]
        sums = added_up(pieces, events, rows, len(functions)) * factor
        used = np.flatnonzero(sums.any(axis=0))
        columns: dict[str, Any] = {"thread": np.full(len(used), thread), "function_id": functions[used]}
        tables.append(Table({**columns, **{self_(name): sums[at][used] for at, name in enumerate(events)}}))
    return concat(tables)


def whole_lines(source: Source, notes: NoteBook) -> int:
    """The end of the last complete line. A last line without end is left out if the writer ends every line, or if it
    cannot be read."""
    data = source.data
    stop = data.rfind(b"\n") + 1
    if stop == len(data):
        return stop
    tail = data[stop:].strip(BLANKS)
    if not tail:
        return stop
    if _ENDS_LINES.search(data[:_HEAD_BYTES]) or not _WHOLE.fullmatch(tail):
        notes.add("the file is cut off: its last line was left out", source.at(line_number(data, stop)))
        return stop
    notes.add("the last line does not end: the file may be cut off", source.name)
    return len(data)


def _check_end(walk: Walk, functions: int, source: Source, notes: NoteBook) -> None:
    """Valgrind's tools end each part with its totals."""
    last = walk.parts[-1]
    if last.has_body and last.totals is None and last.creator.startswith(("callgrind", "xtree")):
        notes.add("no totals at the end: the file may be cut off", source.name)
    if not functions:
        notes.add("no costs at all: nothing ran while the profiler was counting", source.name)


def _meta(walk: Walk) -> dict[str, Any]:
    """The header of the first part, and the tool's own sums if there is one part."""
    first, parts = walk.parts[0], len(walk.parts)
    meta: dict[str, Any] = {"creator": first.creator, "cmd": first.cmd, "pid": first.pid, "parts": parts}
    meta["positions"] = " ".join(first.positions)
    meta.update({key.lower().replace(" ", "_"): value for key, value in first.about.items()})
    for key, numbers in (("totals", first.totals), ("summary", first.summary)):
        if parts == 1 and numbers is not None:
            meta[key] = dict(zip(first.events, numbers, strict=False))
    formulas = {name: event.formula for name, event in walk.headers.events.items() if event.formula}
    if formulas:
        meta["formulas"] = formulas
    return meta


def _joined(pieces: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

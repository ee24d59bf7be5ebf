"""Callgrind: functions, calls between them and cost per source line, counted by Valgrind or written by others.

Other writers of the format are read too: cachegrind before 3.21, Valgrind's ``--xtree-memory``, pprof, pprofile,
lsprof of bzr, Xdebug. 100 % is the sum of the self costs; it is compared with the file's ``totals``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import ReadError
from workbench.profiles.columns import cost_, self_
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.names import crates_of, tidy_rust
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.callgrind.body import LINE_BITS, SUM_LIMIT, Body, added_up, read_body
from workbench.profiles.readers.callgrind.by_line import LineTable
from workbench.profiles.readers.callgrind.header import default_metric, metric_of
from workbench.profiles.source import Source
from workbench.profiles.table import Deferred
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "callgrind"
_MARK = b"# callgrind format"
_HEAD_BYTES = 16 * 1024
_LINE_MASK = 2**LINE_BITS - 1
# Costs per source line may take this much of the file's size in memory: real files take up to about 3.
_LINES_PER_BYTE = 8
_FREE_BYTES = 256 * 1024 * 1024


def recognise(source: Source) -> str | None:
    """Callgrind's mark, or a header that comes to ``events:`` before anything that is no header. A call graph in DOT is
    recognised to be refused by name."""
    head = source.data[:_HEAD_BYTES]
    if head.startswith(_MARK):
        return "it begins with '# callgrind format'"
    if _is_dot(head):
        return "a DOT graph, which converters make of a callgrind profile"
    for line in head.splitlines():
        line = line.strip()
        if line.startswith(b"events:"):
            return "its header has events: before any other line"
        if line and not line.startswith(b"#") and not line.split(b":")[0].replace(b" (BB)", b"").isalpha():
            return None
    return None


def read(source: Source, *, instr: bool = False, jumps: bool = False) -> Profile:
    """Read a callgrind file of any number of parts and threads, summed over them.

    A function is its object, home file and name; ``'2`` of a recursion stays in ``raw_function``. Inlined code counts
    to the function it is inlined into; ``lines`` has the file it was written in. ``tables`` has ``parts`` (what each
    dump or thread cost, with the tool's own totals) and, of several threads, ``threads`` (self costs by function);
    with ``instr`` ``instructions`` (self costs by address) and with ``jumps`` ``jumps``, if the file has them.

    Raises ReadError for a file that is damaged, of another version, or has no costs' names at all.
    """
    if _is_dot(source.data[:_HEAD_BYTES]):
        raise ReadError(
            "this is a DOT graph, which has percentages only",
            where=source.name,
            hint="Read the callgrind.out file it was made from",
        )
    notes = NoteBook()
    body = read_body(source, notes, instr=instr, jumps=jumps)
    events = list(dict.fromkeys(event for part in body.parts for event in part.events))
    if not events:
        raise ReadError(
            "no line events: that says what was counted",
            where=source.name,
            hint="The file is cut off or no callgrind profile",
        )
    metrics, factor = _metrics(events, body, notes, source)
    place_function, place_file = body.context.place_table().T
    files = _decoded(body.names.files.names, notes, source)
    functions = _functions(body, files, notes, source)
    count = len(functions)
    tables = {"parts": _parts(body, events, factor, notes, source)}
    if len(body.parts) > 1:
        tables["threads"] = _threads(body, events, place_function, count, factor)
    if body.instructions:
        tables["instructions"] = _instructions(body, events, place_function, factor)
    if body.jumps:
        tables["jumps"] = _jumps(body, place_function, place_file, files)
    edges = _edges(body, events, place_function, count, factor)
    places = [place_function[piece.keys >> LINE_BITS] for piece in body.own]
    self_costs = added_up(body.own, events, places, count) * factor
    columns = {self_(name): costs for name, costs in zip(events, self_costs, strict=True)}
    functions = pd.DataFrame({**functions, "calls": _calls_in(count, edges), **columns})
    _check_end(body, source, notes)
    lines = None
    if any("line" in part.positions for part in body.parts):
        lines = _lines(LineTable(body, events, factor, files), source, notes)
    return from_graph(
        FORMAT,
        source.name,
        metrics=metrics,
        functions=functions,
        edges=edges,
        default_metric=default_metric(metrics, self_costs.sum(axis=1).tolist()),
        lines=lines,
        tables=tables,
        meta=_meta(body),
        notes=notes.notes(),
    )


def _is_dot(head: bytes) -> bool:
    start = head.lstrip()[:400]
    return start.startswith((b"digraph", b"strict digraph")) and b"{" in start


def _metrics(
    events: Sequence[str], body: Body, notes: NoteBook, source: Source
) -> tuple[list[Metric], NDArray[np.int64]]:
    """The metrics, and a column of the factors that bring values to their units."""
    pairs = [metric_of(name, body.events.get(name)) for name in events]
    for metric, factor in pairs:
        # first the factor alone: it comes from a name and can be larger than any float
        if factor >= SUM_LIMIT or body.sums.get(metric.name, 0.0) * factor >= SUM_LIMIT:
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


def _functions(body: Body, files: Sequence[str], notes: NoteBook, source: Source) -> pd.DataFrame:
    objects, names = (_decoded(table.names, notes, source) for table in (body.names.objects, body.names.functions))
    keys = body.context.function_table().tolist()
    raw = [names[name] for _, _, name in keys]
    file = [files[file] if file >= 0 else "" for _, file, _ in keys]
    shown = dict(zip(names, map(tidy_rust, without_context(names)), strict=True))
    return pd.DataFrame(
        {
            "function": pd.Series([shown[name] for name in raw], dtype="str"),
            "raw_function": pd.Series(raw, dtype="str"),
            "file": pd.Series(file, dtype="str"),
            "object": pd.Series([objects[object] if object >= 0 else "" for object, _, _ in keys], dtype="str"),
            "crate": pd.Series(crates_of(raw, file), dtype="str"),
        }
    )


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
    """Names without what ``--separate-recs`` and ``--separate-callers`` append: ``fib'2``, ``fib'main'(below main)``.

    An apostrophe is also part of Rust's and C++'s names. So it is taken for callgrind's only where all that follows it
    is a level or another function of the file.
    """
    heads = {name.partition("'")[0] for name in names}
    out = []
    for name in names:
        head, *rest = name.split("'")
        appended = rest and head and all(part in heads or (part.isascii() and part.isdigit()) for part in rest)
        out.append(head if appended else name)
    return out


def _edges(
    body: Body, events: Sequence[str], place_function: NDArray[np.int64], count: int, factor: NDArray[np.int64]
) -> pd.DataFrame:
    caller = _joined([calls.caller_place for calls in body.calls])
    caller = place_function[caller] if len(caller) else caller
    callee = _joined([calls.callee for calls in body.calls])
    times = _joined([calls.count for calls in body.calls])
    pair, pairs = pd.factorize(caller * max(count, 1) + callee)
    bounds = np.cumsum([0, *(len(piece.keys) for piece in body.call_costs)])
    rows = [pair[low:high] for low, high in pairwise(bounds)]
    costs = added_up(body.call_costs, events, rows, len(pairs)) * factor
    calls = add_at(len(pairs), pair, times[:, None])[:, 0]
    # a writer that does not count calls writes 0
    columns: dict[str, Any] = {"caller_id": pairs // max(count, 1), "callee_id": pairs % max(count, 1)}
    columns["calls"] = pd.array(calls if calls.any() else [pd.NA] * len(calls), dtype="Int64")
    columns.update((cost_(name), column) for name, column in zip(events, costs, strict=True))
    return pd.DataFrame(columns)


def _calls_in(count: int, edges: pd.DataFrame) -> Any:
    """How often each function was called, from all callers."""
    if len(edges) and edges["calls"].isna().all():
        return pd.array([pd.NA] * count, dtype="Int64")
    times = edges["calls"].to_numpy(dtype=np.int64, na_value=0)
    return pd.array(add_at(count, edges["callee_id"].to_numpy(), times[:, None])[:, 0], dtype="Int64")


def _lines(lines: LineTable, source: Source, notes: NoteBook) -> Deferred | None:
    """Cost per source line, made when it is asked for, unless there are too many of them."""
    if count := lines.too_many(_FREE_BYTES + _LINES_PER_BYTE * len(source.data)):
        notes.add("costs per source line would take too much memory: left out", source.name, count=count)
        return None
    return Deferred(lines.table)


def _parts(
    body: Body, events: Sequence[str], factor: NDArray[np.int64], notes: NoteBook, source: Source
) -> pd.DataFrame:
    """One row a part: part, thread, pid, its self costs and the tool's own totals; they are compared here."""
    rows = []
    for part in body.parts:
        own = part.own
        row: dict[str, Any] = {"part": part.part, "thread": part.thread, "pid": part.pid}
        totals = dict(zip(part.events, part.totals or (), strict=False))
        for name, times in zip(events, factor[:, 0].tolist(), strict=True):
            row[self_(name)] = own.get(name, 0) * times
            total = totals.get(name)
            row[f"totals_{name}"] = None if total is None or total * times >= 2**63 else total * times
        for name, total in totals.items():
            if (difference := total - own.get(name, 0)) != 0:
                where = source.name if part.part is None else f"{source.name}, part {part.part}"
                notes.add(
                    "the sum of self costs is not the file's totals", where, metric=name, weight=float(difference)
                )
        rows.append(row)
    types = {"pid": "str"} | dict.fromkeys((self_(name) for name in events), "int64")
    return pd.DataFrame(
        {name: pd.array([row[name] for row in rows], dtype=types.get(name, "Int64")) for name in rows[0]}
    )


def _threads(
    body: Body, events: Sequence[str], place_function: NDArray[np.int64], count: int, factor: NDArray[np.int64]
) -> pd.DataFrame:
    """Self costs by thread and function, where there are any; thread 0 is a part that names none."""
    tables = []
    for thread in sorted({part.thread or 0 for part in body.parts}):
        pieces = [piece for piece in body.own if (body.parts[piece.part].thread or 0) == thread]
        rows = [place_function[piece.keys >> LINE_BITS] for piece in pieces]
        sums = added_up(pieces, events, rows, count) * factor
        used = np.flatnonzero(sums.any(axis=0))
        columns = {self_(name): column[used] for name, column in zip(events, sums, strict=True)}
        tables.append(pd.DataFrame({"thread": np.int64(thread), "function_id": used, **columns}))
    return pd.concat(tables, ignore_index=True)


def _instructions(
    body: Body, events: Sequence[str], place_function: NDArray[np.int64], factor: NDArray[np.int64]
) -> pd.DataFrame:
    """Self cost of each instruction: function_id, address, line."""
    pieces = [piece for piece, _ in body.instructions]
    keys = _joined([piece.keys for piece in pieces])
    addresses = _joined([addresses for _, addresses in body.instructions])
    bounds = np.cumsum([0, *(len(piece.keys) for piece in pieces)])
    rows = [np.arange(low, high) for low, high in pairwise(bounds)]
    costs = added_up(pieces, events, rows, len(keys)) * factor
    columns = {self_(name): column for name, column in zip(events, costs, strict=True)}
    where = {"function_id": place_function[keys >> LINE_BITS], "address": addresses, "line": keys & _LINE_MASK}
    table = pd.DataFrame({**where, **columns})[costs.any(axis=0)]
    return table.groupby(list(where), as_index=False).sum()


def _jumps(
    body: Body, place_function: NDArray[np.int64], place_file: NDArray[np.int64], files: list[str]
) -> pd.DataFrame:
    """Jumps: function_id, file and line they are in, to_line, conditional, executed (how often the instruction ran),
    followed (how often it jumped)."""
    table = pd.concat(body.jumps, ignore_index=True)
    place = table.pop("place").to_numpy()
    table.insert(0, "function_id", place_function[place])
    table.insert(1, "file", pd.Series([*files, ""], dtype="str").take(place_file[place]).reset_index(drop=True))
    return table


def _check_end(body: Body, source: Source, notes: NoteBook) -> None:
    """Valgrind's tools end each part with its totals, and each line with a line end."""
    if not source.data.endswith(b"\n"):
        notes.add("the last line does not end: the file may be cut off", source.name)
    last = body.parts[-1]
    if last.has_body and last.totals is None and last.creator.startswith(("callgrind", "xtree")):
        notes.add("no totals at the end: the file may be cut off", source.name)
    if not body.context.functions:
        notes.add("no costs at all: nothing ran while the profiler was counting", source.name)


def _meta(body: Body) -> dict[str, Any]:
    """The header of the first part, and sums as the tool wrote them where there is one part."""
    first = body.parts[0]
    meta: dict[str, Any] = {"creator": first.creator, "cmd": first.cmd, "pid": first.pid, "parts": len(body.parts)}
    meta["positions"] = " ".join(first.positions)
    meta.update({key.lower().replace(" ", "_"): value for key, value in first.about.items()})
    for key, numbers in (("totals", first.totals), ("summary", first.summary)):
        if len(body.parts) == 1 and numbers is not None:
            meta[key] = dict(zip(first.events, numbers, strict=False))
    formulas = {name: event.formula for name, event in body.events.items() if event.formula}
    if formulas:
        meta["formulas"] = formulas
    return meta


def _joined(pieces: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)

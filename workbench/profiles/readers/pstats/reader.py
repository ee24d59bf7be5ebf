"""pstats, from cProfile, the old ``profile`` and Python 3.15's sampler: functions and the calls between them.

A marshalled dict ``{(file, line, name): (primitive calls, calls, own seconds, cumulative seconds, callers)}``, where
callers is ``{(file, line, name): (calls, primitive calls, own seconds, cumulative seconds)}`` or, from the old
``profile`` module, only numbers of calls (see CPython, Lib/pstats.py). Primitive calls are those not from recursion.

The workbench's own export may have any metric: its root states what one second stands for, and is removed here.

Cumulative seconds were measured, so they are taken as totals. Built-in functions have the file ``~`` and line 0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import cost_, self_, total_
from workbench.profiles.distinct import numbered_objects
from workbench.profiles.graph import with_totals
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph
from workbench.profiles.names import crates_of
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.pstats.marshal import Pairs, load
from workbench.profiles.table import Counts, Table, text
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "pstats"
METRIC = Metric("time", "ns", "time of the profiler's clock, from seconds rounded to whole nanoseconds")
BUILTIN = "~"
SAMPLED_MARK = "__sampled__"
# the root that exports/pstats.py adds
_ROOT = re.compile(r"<all: (?P<metric>.+?)(?:, 1 s stands for 1 (?P<unit>.+))?>'*", re.DOTALL)
_MOST_ROOT = 1000
_NS = 1_000_000_000
_MOST = 2**63 - 1
_MOST_TEXT = 64 * 1024 * 1024
# a call takes at least two references and a number in the file
_BYTES_A_CALL = 3
_HINT = "pstats files come from cProfile's dump_stats; write the file again"


def recognise(source: Source) -> str | None:
    """A marshalled dict whose first key is a tuple of three, or of one (the sampler's)."""
    head = source.data[:8]
    if len(head) < 2 or head[0] & 0x7F != ord("{"):
        return None
    if head == b"{0" or head == b"\xfb0":
        return "an empty marshalled dict"
    kind = head[1] & 0x7F
    small = kind == ord(")") and head[2:3] in (b"\x03", b"\x01")
    large = kind == ord("(") and head[2:6] in (b"\x03\0\0\0", b"\x01\0\0\0")
    return "a marshalled dict of (file, line, name)" if small or large else None


def read(source: Source) -> Profile:
    """The call graph of a pstats file: ``time`` in ns (in s if ns do not fit 64 bits) or the metric that the workbench
    exported, numbers of calls, and ``primitive_calls`` in ``functions`` and ``edges`` beside them.

    Raises ReadError with the byte offset for marshal data that is cut off or not plain, and with the function for
    entries of another form or numbers that do not fit.
    """
    notes = NoteBook()
    stats = _parse(source)
    calls = _calls(stats, source, notes)
    metric, (own, cumulative, costs) = _in_unit(stats, calls, notes)
    functions = _functions(stats, metric, own)
    edges = _edges(metric, calls, cumulative, costs)
    functions = with_totals(functions, edges, [metric.name])
    if cumulative.any() or not own.any():
        functions = functions.assign(**{total_(metric.name): cumulative, "total_exact": np.ones(len(own), dtype=bool)})
    if not calls.timed:
        notes.add("callers with numbers of calls only (the old profile module): time split over them by calls")
    negative = own < 0
    if negative.any():
        weight = float(own[negative].sum())
        where = _label(stats.keys[int(np.argmax(negative))])
        notes.add("self time below zero", where, count=int(negative.sum()), metric=metric.name, weight=weight)
    if stats.sampled:
        notes.add("written by a sampler: calls are numbers of samples, not of calls")
    return from_graph(
        FORMAT,
        source.name,
        metrics=[metric],
        functions=functions,
        edges=edges,
        meta={"functions": len(functions), "calls": int(stats.calls.sum()), "sampled": stats.sampled},
        notes=notes.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Stats:
    """The file's entries as columns, with unchanged times. ``root``: the one added by the workbench, which is in no
    column; ``metric``: the one it names."""

    keys: list[tuple[str, int, str]]
    primitive: NDArray[np.int64]
    calls: NDArray[np.int64]
    own: list[int | float]
    cumulative: list[int | float]
    callers: list[Pairs]
    sampled: bool
    root: tuple[str, int, str] | None
    metric: Metric


@dataclass(frozen=True, slots=True)
class _Calls:
    """The calls, one row per pair: caller, callee, calls, primitive calls; their times as the file has them, and
    whether it has them."""

    rows: NDArray[np.int64]
    costs: list[int | float]
    timed: bool


def _parse(source: Source) -> _Stats:
    value = load(source)
    if not isinstance(value, Pairs):
        raise ReadError("marshal data, but no profile", where=source.name, hint=_HINT)
    keys: list[tuple[str, int, str]] = []
    rows: list[tuple[int, int, int | float, int | float]] = []
    callers: list[Pairs] = []
    sampled = False
    root, metric = None, METRIC
    for key, entry in value.items:
        if key == (SAMPLED_MARK,):
            sampled = True
            continue
        checked = _key(key, source)
        if not isinstance(entry, tuple) or len(entry) != 5 or not isinstance(entry[4], Pairs):
            raise _odd("is not (calls, calls, seconds, seconds, callers)", checked, source)
        numbers = _numbers(entry[0], entry[1], entry[2], entry[3], checked, source)
        named = _ROOT.fullmatch(checked[2][:_MOST_ROOT])
        if not keys and root is None and named and checked[:2] == (BUILTIN, 0) and not (numbers[2] or entry[4].items):
            root, metric = checked, _exported(named)
            continue
        keys.append(checked)
        rows.append(numbers)
        callers.append(entry[4])
    if not keys:
        raise ReadError("a profile without any call", where=source.name, hint="Was the profiler enabled?")
    if len(set(keys)) != len(keys):
        raise ReadError("the same function occurs twice", where=source.name, hint=_HINT)
    # with references a few bytes can expand to many callers, or to one long name many times
    many = sum(len(pairs.items) for pairs in callers) > len(source.data) // _BYTES_A_CALL
    if many or sum(len(file) + len(name) for file, _, name in keys) > _MOST_TEXT + 50 * len(source.data):
        raise ReadError("references expand it to more than any profile", where=source.name, hint=_HINT)
    columns = np.asarray([row[:2] for row in rows], dtype=np.int64).T
    if not _fit(columns):
        raise ReadError("numbers add up to more than 64 bits can hold", where=source.name, hint=_HINT)
    own, cumulative = ([row[place] for row in rows] for place in (2, 3))
    return _Stats(keys, columns[0], columns[1], own, cumulative, callers, sampled, root, metric)


def _exported(named: re.Match[str]) -> Metric:
    """The metric that the root of an export names: in its own unit, or as time in ns."""
    unit = named["unit"]
    return Metric(named["metric"], unit or METRIC.unit, additive=unit != "ratio")


def _fit(columns: NDArray[Any]) -> bool:
    return bool((np.abs(columns.astype(np.float64)).sum(axis=-1) < float(_MOST)).all())


def _in_unit(stats: _Stats, calls: _Calls, notes: NoteBook) -> tuple[Metric, list[NDArray[Any]]]:
    """The metric, and own, cumulative and called costs in its unit: whole numbers if these fit 64 bits and are
    exact."""
    metric = stats.metric
    raw = [np.asarray(values, dtype=np.float64) for values in (stats.own, stats.cumulative, calls.costs)]
    if metric.unit == METRIC.unit:
        if all(_fit(values * _NS) for values in raw):
            return metric, [np.rint(values * _NS).astype(np.int64) for values in raw]
        notes.add("times too long for whole nanoseconds are kept as seconds")
        return Metric(metric.name, "s", metric.description and "time of the profiler's clock"), raw
    if all(_fit(values) and (values == np.rint(values)).all() for values in raw):
        return metric, [values.astype(np.int64) for values in raw]
    return metric, raw


def _key(key: Any, source: Source) -> tuple[str, int, str]:
    if isinstance(key, tuple) and len(key) == 3:
        file, line, name = key
        if isinstance(file, str) and isinstance(name, str) and type(line) is int and abs(line) < 2**31:
            return file, line, name
    raise ReadError("a key is not (file, line, name)", where=source.name, hint=_HINT)


def _label(key: tuple[str, int, str]) -> str:
    return f"{key[0][-200:]}:{key[1]}({key[2][:200]})"


def _odd(what: str, key: tuple[str, int, str], source: Source) -> ReadError:
    return ReadError(f"the entry of {_label(key)} {what}", where=source.name, hint=_HINT)


def _numbers(
    first: Any, second: Any, own: Any, cumulative: Any, key: tuple[str, int, str], source: Source
) -> tuple[int, int, int | float, int | float]:
    """Two numbers of calls and two times in seconds."""
    for value in (first, second):
        if type(value) is not int or abs(value) > _MOST:
            raise _odd("has an invalid number of calls", key, source)
    for value in (own, cumulative):
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > _MOST:
            raise _odd("has an invalid time, or one too large", key, source)
    return first, second, own, cumulative


def _functions(stats: _Stats, metric: Metric, own: NDArray[Any]) -> Table:
    """What :func:`from_graph` needs of functions. ``raw_function`` has the line: lambdas of a file differ by it."""
    files = [file for file, _, _ in stats.keys]
    names = [name for _, _, name in stats.keys]
    raw = [f"{name}:{line}" if line else name for _, line, name in stats.keys]
    return Table(
        {
            "function": text(names),
            "raw_function": text(raw),
            "file": text("" if file == BUILTIN else file for file in files),
            "object": text([""] * len(names)),
            "crate": text(crates_of(names, files)),
            "line": np.asarray([line for _, line, _ in stats.keys], dtype=np.int64),
            "calls": _counted(stats.calls),
            "primitive_calls": _counted(stats.primitive),
            self_(metric.name): own,
        }
    )


def _calls(stats: _Stats, source: Source, notes: NoteBook) -> _Calls:
    """The calls of the file.

    A caller without its own entry is left out, since nothing is known of it; so is the root of an export.
    """
    place = {key: number for number, key in enumerate(stats.keys)}
    rows: list[tuple[int, int, int, int]] = []
    costs: list[int | float] = []
    timed = True
    for callee, callers in enumerate(stats.callers):
        for key, entry in callers.items:
            caller_key = _key(key, source)
            caller = place.get(caller_key)
            cost: int | float = 0
            if isinstance(entry, tuple) and len(entry) == 4:
                calls, primitive, _, cost = _numbers(*entry, caller_key, source)
            elif type(entry) is int and abs(entry) <= _MOST:
                calls = primitive = entry
                timed = False
            else:
                raise _odd("as a caller is neither a number of calls nor four numbers", caller_key, source)
            if caller is not None:
                rows.append((caller, callee, calls, primitive))
                costs.append(cost)
            elif caller_key != stats.root:
                what = "caller that has no entry of its own, left out"
                weight = float(cost) * (_NS if stats.metric.unit == METRIC.unit else 1)
                notes.add(what, _label(caller_key), metric=stats.metric.name, weight=weight)
    table = np.asarray(rows, dtype=np.int64).reshape(-1, 4)
    if not _fit(table[:, 2:].T):
        raise ReadError("numbers add up to more than 64 bits can hold", where=source.name, hint=_HINT)
    return _Calls(table, costs, timed)


def _counted(values: NDArray[np.int64]) -> Counts:
    return Counts(values, np.ones(len(values), dtype=bool))


def _edges(metric: Metric, calls: _Calls, cumulative: NDArray[Any], costs: NDArray[Any]) -> Table:
    """What :func:`from_graph` needs of calls, one row per pair of caller and callee."""
    pairs, first = numbered_objects(map(tuple, calls.rows[:, :2].tolist()))
    ends = np.asarray(first, dtype=np.int64).reshape(-1, 2)
    cost = costs if calls.timed else _by_calls(calls.rows[:, 1], calls.rows[:, 2], cumulative)
    counts = add_at(len(first), pairs, calls.rows[:, 2:])
    return Table(
        {
            "caller_id": ends[:, 0],
            "callee_id": ends[:, 1],
            "calls": _counted(counts[:, 0]),
            "primitive_calls": _counted(counts[:, 1]),
            cost_(metric.name): add_at(len(first), pairs, cost.reshape(-1, 1))[:, 0],
        }
    )


def _by_calls(callee: NDArray[np.int64], numbers: NDArray[np.int64], cumulative: NDArray[Any]) -> NDArray[Any]:
    """The cumulative time of each callee, divided among its calls by their numbers."""
    calls = np.maximum(numbers, 0).astype(np.float64)
    all_calls = np.bincount(callee, weights=calls, minlength=len(cumulative))[callee]
    share = np.divide(calls, all_calls, out=np.zeros(len(calls)), where=all_calls > 0)
    split: NDArray[Any] = np.floor(cumulative[callee] * share).astype(cumulative.dtype)
    return split

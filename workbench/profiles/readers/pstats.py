"""pstats: what cProfile, the old ``profile`` and Python 3.15's sampler write: functions and the calls between them.

A marshalled dict ``{(file, line, name): (primitive calls, calls, own seconds, cumulative seconds, callers)}``, where
callers is ``{(file, line, name): (calls, primitive calls, own seconds, cumulative seconds)}`` or, from the old
``profile`` module, only numbers of calls (see CPython, Lib/pstats.py). Primitive calls are those not from recursion.

Cumulative seconds were measured, so they are taken as totals. Built-in functions have the file ``~`` and line 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import ReadError
from workbench.profiles.graph import with_totals
from workbench.profiles.model import Metric, Profile, cost_, from_graph, self_, total_
from workbench.profiles.names import crates_of
from workbench.profiles.noting import NoteBook
from workbench.profiles.readers.pstats_marshal import Pairs, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "pstats"
METRIC = Metric("time", "ns", "time of the profiler's clock, from seconds rounded to whole nanoseconds")
BUILTIN = "~"
SAMPLED_MARK = "__sampled__"
_NS = 1_000_000_000
_MOST = 2**63 - 1
_MOST_TEXT = 64 * 1024 * 1024
# a call takes at least two references and a number in the file
_BYTES_A_CALL = 3
_HINT = "pstats files come from cProfile's dump_stats; write the file again"


def recognise(source: Source) -> str | None:
    """A marshalled dict whose first key is a tuple of three, or of the sampler's one."""
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
    """The call graph of a pstats file: ``time`` in ns, numbers of calls, and ``primitive_calls`` in ``functions`` and
    ``edges`` beside them.

    Raises ReadError with the byte offset for marshal data that is cut off or not plain, and with the function for
    entries of another shape or numbers that do not fit.
    """
    stats = _parse(source)
    notes = NoteBook()
    functions = _functions(stats)
    edges, cumulative_known = _edges(stats, source, notes)
    functions = with_totals(functions, edges, [METRIC.name])
    if stats.cumulative.any() or not stats.own.any():
        functions[total_(METRIC.name)] = stats.cumulative
    if not cumulative_known:
        notes.add("callers with numbers of calls only (the old profile module): time split over them by calls")
    negative = stats.own < 0
    if negative.any():
        weight = float(stats.own[negative].sum())
        where = _label(stats.keys[int(np.argmax(negative))])
        notes.add("own time below zero", where, count=int(negative.sum()), metric=METRIC.name, weight=weight)
    if stats.sampled:
        notes.add("written by a sampler: calls are numbers of samples, not of calls")
    return from_graph(
        FORMAT,
        source.name,
        metrics=[METRIC],
        functions=functions,
        edges=edges,
        meta={"functions": len(functions), "calls": int(stats.calls.sum()), "sampled": stats.sampled},
        notes=notes.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Stats:
    """The file's entries as columns. Times in ns."""

    keys: list[tuple[str, int, str]]
    primitive: NDArray[np.int64]
    calls: NDArray[np.int64]
    own: NDArray[np.int64]
    cumulative: NDArray[np.int64]
    callers: list[Pairs]
    sampled: bool


def _parse(source: Source) -> _Stats:
    value = load(source)
    if not isinstance(value, Pairs):
        raise ReadError("marshal data, but no profile", where=source.name, hint=_HINT)
    keys: list[tuple[str, int, str]] = []
    rows: list[tuple[int, int, int, int]] = []
    callers: list[Pairs] = []
    sampled = False
    for key, entry in value.items:
        if key == (SAMPLED_MARK,):
            sampled = True
            continue
        checked = _key(key, source)
        if not isinstance(entry, tuple) or len(entry) != 5 or not isinstance(entry[4], Pairs):
            raise _odd("is not (calls, calls, seconds, seconds, callers)", checked, source)
        keys.append(checked)
        rows.append(_numbers(entry[0], entry[1], entry[2], entry[3], checked, source))
        callers.append(entry[4])
    if not keys:
        raise ReadError("a profile without any call", where=source.name, hint="Was the profiler enabled?")
    if len(set(keys)) != len(keys):
        raise ReadError("the same function is there twice", where=source.name, hint=_HINT)
    # references let few bytes stand for many callers, or for one long name many times
    many = sum(len(pairs.items) for pairs in callers) > len(source.data) // _BYTES_A_CALL
    if many or sum(len(file) + len(name) for file, _, name in keys) > _MOST_TEXT + 50 * len(source.data):
        raise ReadError("references blow its bytes up to more than any profile", where=source.name, hint=_HINT)
    columns = np.asarray(rows, dtype=np.int64).T
    if (np.abs(columns.astype(np.float64)).sum(axis=1) >= float(_MOST)).any():
        raise ReadError("numbers add up to more than 64 bits hold", where=source.name, hint=_HINT)
    primitive, calls, own, cumulative = columns
    return _Stats(keys, primitive, calls, own, cumulative, callers, sampled)


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
) -> tuple[int, int, int, int]:
    """Two numbers of calls and two times in ns."""
    for value in (first, second):
        if type(value) is not int or abs(value) > _MOST:
            raise _odd("has a number of calls that is none", key, source)
    times = []
    for value in (own, cumulative):
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > _MOST // _NS:
            raise _odd("has a time that is none, or too large", key, source)
        times.append(round(value * _NS))
    return first, second, times[0], times[1]


def _functions(stats: _Stats) -> pd.DataFrame:
    """What :func:`from_graph` needs of functions. ``raw_function`` has the line: lambdas of a file differ by it."""
    files = [file for file, _, _ in stats.keys]
    names = [name for _, _, name in stats.keys]
    raw = [f"{name}:{line}" if line else name for _, line, name in stats.keys]
    return pd.DataFrame(
        {
            "function": pd.Series(names, dtype="str"),
            "raw_function": pd.Series(raw, dtype="str"),
            "file": pd.Series(["" if file == BUILTIN else file for file in files], dtype="str"),
            "object": pd.Series([""] * len(names), dtype="str"),
            "crate": pd.Series(crates_of(names, files), dtype="str"),
            "line": np.asarray([line for _, line, _ in stats.keys], dtype=np.int64),
            "calls": pd.array(stats.calls, dtype="Int64"),
            "primitive_calls": pd.array(stats.primitive, dtype="Int64"),
            self_(METRIC.name): stats.own,
        }
    )


def _edges(stats: _Stats, source: Source, notes: NoteBook) -> tuple[pd.DataFrame, bool]:
    """The calls, one row a pair, and whether the file says how long they took.

    A caller that has no entry of its own is left out: nothing is known of it.
    """
    place = {key: number for number, key in enumerate(stats.keys)}
    rows: list[tuple[int, int, int, int, int]] = []
    timed = True
    for callee, callers in enumerate(stats.callers):
        for key, entry in callers.items:
            caller_key = _key(key, source)
            caller = place.get(caller_key)
            if isinstance(entry, tuple) and len(entry) == 4:
                calls, primitive, _, cost = _numbers(*entry, caller_key, source)
            elif type(entry) is int and abs(entry) <= _MOST:
                calls = primitive = entry
                cost, timed = 0, False
            else:
                raise _odd("as a caller is neither a number of calls nor four numbers", caller_key, source)
            if caller is None:
                what = "caller that has no entry of its own, left out"
                notes.add(what, _label(caller_key), metric=METRIC.name, weight=float(cost))
                continue
            rows.append((caller, callee, calls, primitive, cost))
    columns = np.asarray(rows, dtype=np.int64).reshape(-1, 5)
    if (np.abs(columns[:, 2:].astype(np.float64)).sum(axis=0) >= float(_MOST)).any():
        raise ReadError("numbers add up to more than 64 bits hold", where=source.name, hint=_HINT)
    edges = pd.DataFrame(columns, columns=["caller_id", "callee_id", "calls", "primitive_calls", cost_(METRIC.name)])
    if not timed:
        edges[cost_(METRIC.name)] = _by_calls(edges, stats)
    edges = edges.groupby(["caller_id", "callee_id"], sort=False, as_index=False).sum()
    for column in ("calls", "primitive_calls"):
        edges[column] = edges[column].astype("Int64")
    return edges, timed


def _by_calls(edges: pd.DataFrame, stats: _Stats) -> NDArray[np.int64]:
    """The cumulative time of each callee split over its calls by their numbers."""
    callee = edges["callee_id"].to_numpy()
    calls = np.maximum(edges["calls"].to_numpy(), 0).astype(np.float64)
    all_calls = np.bincount(callee, weights=calls, minlength=len(stats.keys))[callee]
    share = np.divide(calls, all_calls, out=np.zeros(len(calls)), where=all_calls > 0)
    split: NDArray[np.int64] = np.floor(stats.cumulative[callee] * share).astype(np.int64)
    return split

"""speedscope's JSON: shared frames and one or more profiles, sampled (whole stacks) or evented (frames open and close).

Written by speedscope, py-spy, pyinstrument, memray, rbspy and others; the schema is at
https://www.speedscope.app/file-format-schema.json. Files of version 0.0.1 may keep frames in each profile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import NO_PARENT
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, frame_table, from_stacks
from workbench.profiles.names import tidy_rust
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.stacks import NO_NAME, cut_deep
from workbench.profiles.tree import MAX_DEPTH, Tree, add_at, grow, preorder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "speedscope"
_MOST_NESTING = 100
# far beyond what fits a value, and below where Python refuses on its own
_MOST_DIGITS = 1_000
# possessive, and content with an open end: linear whatever the bytes are
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SEEN_BYTES = 4096
_OBJECT = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*+\{[ \t\r\n]*+["}]')
_UNITS = {
    "none": "count", "nanoseconds": "ns", "microseconds": "us", "milliseconds": "ms", "seconds": "s", "bytes": "bytes",
}  # fmt: skip
# Tools that write one profile a metric, all on the same stacks.
_METRIC_WRITERS = ("indexer-workbench", "memray")
_MOST_METRICS = 64
_MOST = 2**63 - 1
_HINT = "Write the file again with the tool it is from"

Fail = Callable[..., NoReturn]


def recognise(source: Source) -> str | None:
    """A JSON object that names speedscope's schema or program, or has its keys, near its beginning or end."""
    data = source.data
    # a marshalled dict begins with a brace too, but never goes on with a quote
    if _OBJECT.match(data[:_SEEN_BYTES]) is None:
        return None
    seen = data[:_SEEN_BYTES] + data[-_SEEN_BYTES:]
    if b"speedscope" in seen:
        return "JSON that names speedscope"
    return "JSON with speedscope's keys" if b'"profiles"' in seen and b'"frames"' in seen else None


def read(source: Source, *, profile: int | str | None = None) -> Profile:
    """One profile of a speedscope file.

    ``profile`` is the position or name of the one to read; left out, it is the file's ``activeProfileIndex``. Profiles
    on equal stacks that differ in what they count (one a metric, as memray and the workbench write) are read as the
    metrics of one. Raises ReadError, with the number of the sample or event, for a file that breaks the schema.
    """

    def fail(what: str, hint: str = _HINT) -> NoReturn:
        raise ReadError(what, where=source.name, hint=hint)

    file = _parse(source)
    every = file.get("profiles")
    if not isinstance(every, list) or not all(isinstance(one, dict) for one in every):
        fail("no list of profiles")
    if not every:
        fail("the list of profiles is empty", "Was anything sampled?")
    notes = NoteBook()
    chosen = _choose(every, profile, file, notes, fail)
    first = every[chosen[0]]
    shared = file.get("shared")
    frames = first.get("frames", shared.get("frames") if isinstance(shared, dict) else None)
    table = _frames(frames, notes, fail)
    metrics = _metrics([every[place] for place in chosen], str(file.get("exporter", "")), notes)
    active = file.get("activeProfileIndex")
    where = f"profile {chosen[0]}"
    tree, costs, idle = (
        _sampled([every[place] for place in chosen], where, len(table), metrics, notes, fail)
        if first.get("type") == "sampled"
        else _evented(first, where, len(table), metrics[0], notes, fail)
    )
    _check_idle(first, float(costs[:, 0].sum()) + idle, metrics[0], notes)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=metrics[active].name
        if len(metrics) > 1 and _is_index(active, len(metrics))
        else metrics[0].name,
        frames=table,
        parent=tree.parent,
        frame=tree.frame,
        self_costs=costs,
        meta=_meta(file, first, chosen),
        notes=notes.notes(),
    )


def _parse(source: Source) -> dict[str, Any]:
    def no_constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is no number")

    def whole(text: str) -> int:
        if len(text) > _MOST_DIGITS:
            raise ValueError(f"a number of {len(text):,} digits")
        return int(text)

    if _nesting(source.data) > _MOST_NESTING:
        raise ReadError("JSON nested too deeply", where=source.name, hint="speedscope writes four levels")
    try:
        file = json.loads(source.data, parse_constant=no_constant, parse_int=whole)
    except json.JSONDecodeError as error:
        raise ReadError(f"not whole JSON: {error.msg}", where=source.at(error.lineno), hint=_HINT) from error
    except ValueError as error:
        # bytes in no encoding, numbers that are none
        raise ReadError(f"not JSON: {str(error)[:200]}", where=source.name, hint=_HINT) from error
    if not isinstance(file, dict):
        raise ReadError("JSON, but no speedscope file", where=source.name, hint=_HINT)
    return file


def _nesting(data: bytes) -> int:
    """How deep lists and objects go. Python's parser recurses in C: where somebody raised the limit of recursion, deep
    JSON ends the process, so the depth is known before it is parsed.
    """
    bare = np.frombuffer(_STRING.sub(b"", data), dtype=np.uint8)
    opens = (bare == ord("[")) | (bare == ord("{"))
    closes = (bare == ord("]")) | (bare == ord("}"))
    return int(np.cumsum(opens.astype(np.int8) - closes, dtype=np.int64).max(initial=0))


def _choose(every: list[Any], wanted: int | str | None, file: dict[str, Any], notes: NoteBook, fail: Fail) -> list[int]:
    """The positions of the profiles to read: one, or all where each is another metric of the same stacks."""
    names = [str(one.get("name", "")) for one in every]
    if isinstance(wanted, str) and wanted not in names:
        listed = ", ".join(map(repr, names[:20]))
        fail(f"there is no profile {wanted[:100]!r}", f"There are {listed[:1000]}")
    if isinstance(wanted, str):
        return [names.index(wanted)]
    if wanted is None and len(every) > 1 and _are_metrics(every, str(file.get("exporter", ""))):
        return list(range(len(every)))
    active = file.get("activeProfileIndex") or 0
    place = active if wanted is None else wanted
    if not _is_index(place, len(every)):
        if wanted is not None:
            fail(f"there is no profile {wanted}", f"There are {len(every)}, counted from 0")
        notes.add(f"activeProfileIndex {str(active)[:40]} is none of the profiles: the first is read")
        place = 0
    if len(every) > 1:
        others = ", ".join(repr(name[:60]) for name in names[:10])
        notes.add(f"one of several profiles is read, name another by profile=: {others}", count=len(every) - 1)
    return [int(place)]


def _are_metrics(every: list[Any], exporter: str) -> bool:
    """Whether the profiles are what one set of stacks cost in several metrics."""
    stacks = every[0].get("samples")
    if len(every) > _MOST_METRICS or not all(
        one.get("type") == "sampled" and one.get("samples") == stacks for one in every
    ):
        return False
    return len({str(one.get("unit")) for one in every}) > 1 or exporter.startswith(_METRIC_WRITERS)


def _metrics(chosen: Sequence[dict[str, Any]], exporter: str, notes: NoteBook) -> list[Metric]:
    metrics: list[Metric] = []
    for one in chosen:
        unit = str(one.get("unit", "none"))[:40]
        if unit not in _UNITS:
            notes.add(f"unknown unit {_clean(unit)!r}")
        name = "samples" if unit == "none" else _clean(unit)
        if len(chosen) > 1 or exporter.startswith(_METRIC_WRITERS):
            name = _clean(str(one.get("name", ""))[:200]) or name
        while any(name == metric.name for metric in metrics):
            name += "'"
        metrics.append(Metric(name, _UNITS.get(unit, _clean(unit))))
    return metrics


def _frames(frames: Any, notes: NoteBook, fail: Fail) -> Any:
    if not isinstance(frames, list):
        fail("no list of frames")
    raw: list[str] = []
    file: list[str] = []
    line: list[int] = []
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("name"), str):
            fail(f"frame {number} has no name")
        raw.append(_clean(frame["name"]))
        file.append(_clean(frame["file"]) if isinstance(frame.get("file"), str) else "")
        at = frame.get("line")
        line.append(at if _is_index(at, 2**31) else 0)
        if frame.get("col") is not None:
            notes.add("column of a frame, left out")
    return frame_table([tidy_rust(name) or NO_NAME for name in raw], file, line, raw_function=raw)


def _sampled(
    chosen: Sequence[dict[str, Any]], where: str, frames: int, metrics: list[Metric], notes: NoteBook, fail: Fail
) -> tuple[Tree, NDArray[Any], float]:
    samples = chosen[0].get("samples")
    if not isinstance(samples, list):
        fail(f"{where} has no samples")
    for number, stack in enumerate(samples):
        if not isinstance(stack, list):
            fail(f"{where}: sample {number} is no list of frames")
    columns = [_weights(one.get("weights"), len(samples), where, fail) for one in chosen]
    lengths = np.fromiter(map(len, samples), np.int64, len(samples))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    flat = list(chain.from_iterable(samples))
    # type() is exact: True is an int to Python, and no frame
    bad = next((place for place, index in enumerate(flat) if type(index) is not int or not 0 <= index < frames), None)
    if bad is not None:
        sample = int(np.searchsorted(offsets, bad, side="right")) - 1
        fail(f"{where}: sample {sample} has frame {str(flat[bad])[:40]}, which is none of the {frames} frames")
    costs = np.column_stack(columns)
    offsets, codes = cut_deep(offsets, np.asarray(flat, dtype=np.int64), costs, metrics[0], notes, where)
    tree = grow(offsets, codes)
    empty = tree.node_of < 0
    idle = float(costs[empty, 0].sum())
    if empty.any():
        notes.add("sample without frames", where, count=int(empty.sum()), metric=metrics[0].name, weight=idle)
    return tree, add_at(len(tree.parent), tree.node_of, costs), idle


def _weights(weights: Any, size: int, where: str, fail: Fail) -> NDArray[Any]:
    if not isinstance(weights, list):
        fail(f"{where} has no weights")
    if len(weights) != size:
        fail(f"{where} has {size} samples and {len(weights)} weights")
    for number, weight in enumerate(weights):
        if not _is_number(weight):
            fail(f"{where}: weight {number} is not a number that fits 64 bits")
    return _summable(weights, where, fail)


def _summable(values: list[Any], where: str, fail: Fail) -> NDArray[Any]:
    """Whole numbers as int64, others as float64."""
    whole = all(type(value) is int for value in values)
    if not all(abs(value) <= _MOST for value in values):
        fail(f"{where}: a weight is more than 64 bits hold")
    array = np.asarray(values, dtype=np.int64 if whole else np.float64)
    if np.abs(array.astype(np.float64)).sum() >= float(_MOST):
        fail(f"{where}: the weights add up to more than 64 bits hold")
    return array


def _evented(
    one: dict[str, Any], where: str, frames: int, metric: Metric, notes: NoteBook, fail: Fail
) -> tuple[Tree, NDArray[Any], float]:
    """The tree of an evented profile, its costs, and the time in no frame.

    What lies between two events is cost of the frame that is open then.
    """
    events = _events(one, where, fail)
    known: dict[tuple[int, int], int] = {}
    parent: list[int] = []
    frame: list[int] = []
    own: list[Any] = []
    stack: list[int] = []
    path: list[int] = [NO_PARENT]
    before: Any = None
    deep: Any = 0
    idle: Any = 0
    cuts = 0
    for number, event in enumerate(events):
        kind, index, at = _event(event, f"{where}: event {number}", frames, fail)
        if before is not None and at < before:
            fail(f"{where}: event {number} is at {at}, before the one ahead of it at {before}")
        spent = 0 if before is None else at - before
        before = at
        if stack:
            own[path[-1]] += spent
            deep += spent if len(stack) > MAX_DEPTH else 0
        else:
            idle += spent
        if kind == "O":
            stack.append(index)
            if len(stack) > MAX_DEPTH:
                cuts += 1
                continue
            key = (path[-1], index)
            node = known.setdefault(key, len(parent))
            if node == len(parent):
                parent.append(path[-1])
                frame.append(index)
                own.append(0)
            path.append(node)
            continue
        if not stack or stack[-1] != index:
            open_now = f"frame {stack[-1]} is open" if stack else "none is open"
            fail(f"{where}: event {number} closes frame {index}, but {open_now}")
        stack.pop()
        if len(stack) < MAX_DEPTH:
            path.pop()
    if stack:
        fail(f"{where} ends after event {len(events) - 1} with {len(stack)} frames open, the innermost {stack[-1]}")
    if cuts:
        what = f"stack deeper than {MAX_DEPTH:,} frames, cut at the leaf"
        notes.add(what, where, count=cuts, metric=metric.name, weight=float(deep))
    if idle:
        notes.add("between calls: no frame is open", where, metric=metric.name, weight=float(idle))
    order, ordered = preorder(np.asarray(parent, dtype=np.int64))
    costs = _summable(own, where, fail)[:, None]
    taken = np.asarray(frame, dtype=np.int64)[order]
    return Tree(ordered, taken, np.zeros(0, dtype=np.int64)), costs[order], float(idle)


def _events(one: dict[str, Any], where: str, fail: Fail) -> list[Any]:
    events = one.get("events")
    if one.get("type") != "evented":
        fail(f"{where} is {str(one.get('type'))[:40]!r}, neither sampled nor evented")
    if not isinstance(events, list):
        fail(f"{where} has no events")
    return events


def _event(event: Any, where: str, frames: int, fail: Fail) -> tuple[str, int, Any]:
    if not isinstance(event, dict) or event.get("type") not in ("O", "C"):
        fail(f"{where} is neither O (open) nor C (close)")
    if not _is_index(event.get("frame"), frames):
        fail(f"{where} has frame {str(event.get('frame'))[:40]}, which is none of the {frames} frames")
    if not _is_number(event.get("at")):
        fail(f"{where} is at no number that fits 64 bits")
    return event["type"], event["frame"], event["at"]


def _check_idle(one: dict[str, Any], told: float, metric: Metric, notes: NoteBook) -> None:
    """The file's own total is endValue - startValue; ``told`` of it is read or noted."""
    begin, end = one.get("startValue"), one.get("endValue")
    if not _is_number(begin) or not _is_number(end):
        return
    missing = float(end) - float(begin) - told
    if abs(missing) > 1e-6 * max(1.0, abs(float(end))):
        notes.add("between startValue and endValue, in no frame", metric=metric.name, weight=missing)


def _is_index(value: Any, size: int) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < size


def _is_number(value: Any) -> TypeGuard[int | float]:
    return type(value) in (int, float) and abs(value) <= _MOST


def _meta(file: dict[str, Any], one: dict[str, Any], chosen: list[int]) -> dict[str, Any]:
    meta: dict[str, Any] = {
        key: _clean(str(file[key])[:200]) for key in ("name", "exporter", "version") if isinstance(file.get(key), str)
    }
    meta["profile"] = _clean(str(one.get("name", ""))[:200])
    meta["profile_index"] = chosen[0]
    return meta


def _clean(text: str) -> str:
    """JSON can hold halves of surrogate pairs, which no file can."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

"""One profile of a file at a time: its stacks or events as a small tree with costs, and its lane of the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from workbench.profiles.readers.folded.stacks import cut_deep
from workbench.profiles.readers.speedscope.document import Fail, One
from workbench.profiles.readers.speedscope.spans import Events, Unbalanced, closed, spans_of, walk
from workbench.profiles.readers.speedscope.timeline import TIMES_NS, Lane, laid_out
from workbench.profiles.tree import MAX_DEPTH, add_at, grow, preorder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.metrics import Metric
    from workbench.profiles.notes import NoteBook

MOST = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The tree of one profile in preorder. ``costs`` has one row per node and one column per profile that shares these
    stacks; ``idle`` is the cost outside of all frames."""

    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    costs: NDArray[Any]
    idle: float
    lane: Lane | None

    def moved(self, begin: int) -> Part:
        """The part with frames renumbered from this one of the table of all frames."""
        if not begin:
            return self
        lane = None if self.lane is None else replace(self.lane, first_frame=begin)
        return replace(self, frame=self.frame + begin, lane=lane)

    def scaled(self, factor: int) -> Part:
        """The part with costs converted to a smaller unit. Costs that exceed 64 bits become floats."""
        if factor == 1:
            return self
        most = float(np.abs(self.costs.astype(np.float64)).sum()) * factor
        costs = self.costs if most < float(MOST) else self.costs.astype(np.float64)
        return replace(self, costs=costs * factor)


def nothing() -> Part:
    """The part of an empty profile."""
    none = np.zeros(0, dtype=np.int64)
    return Part(none, none, none[:, None], 0.0, None)


def sampled(
    chosen: Sequence[One], where: str, frames: int, metric: Metric, notes: NoteBook, fail: Fail, *, cut: bool = False
) -> Part:
    """The tree of a sampled profile, or of several on equal stacks."""
    samples = chosen[0].samples
    if samples is None:
        fail(f"{where} has no samples")
    weights = [one.weights for one in chosen]
    if cut and weights[-1] is not None:
        samples, weights = _both(samples, weights)
    columns = [_weights(one, len(samples), where, fail) for one in weights]
    lengths = np.fromiter(map(len, samples), np.int64, len(samples))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    flat = _indices(list(chain.from_iterable(samples)))
    bad = np.flatnonzero((flat < 0) | (flat >= frames))
    if bad.size:
        sample = int(np.searchsorted(offsets, bad[0], side="right")) - 1
        index = samples[sample][int(bad[0] - offsets[sample])]
        fail(f"{where}: sample {sample} has frame {str(index)[:40]}, but there are only {frames} frames")
    costs = np.column_stack(columns)
    offsets, codes = cut_deep(offsets, flat, costs, metric, notes, where)
    tree = grow(offsets, codes)
    empty = tree.node_of < 0
    idle = float(costs[empty, 0].sum())
    if empty.any():
        notes.add("sample without frames", where, count=int(empty.sum()), metric=metric.name, weight=idle)
    lane = None
    if metric.unit in TIMES_NS:
        start = chosen[0].startValue
        begin = start if is_number(start) else 0
        lane = Lane("", TIMES_NS[metric.unit], partial(laid_out, offsets, codes, costs[:, 0], begin))
    return Part(tree.parent, tree.frame, add_at(len(tree.parent), tree.node_of, costs), idle, lane)


def evented(
    one: One, where: str, frames: int, metric: Metric, notes: NoteBook, fail: Fail, *, cut: bool = False
) -> Part:
    """The tree of an evented profile. The time between two events is cost of the frame open then."""
    if one.type != "evented":
        fail(f"{where} is {str(one.type)[:40]!r}, neither sampled nor evented")
    if one.events is None:
        fail(f"{where} has no events")
    events = _events(one, where, frames, fail)
    if cut:
        events = closed(events)
    try:
        spans = spans_of(events)
    except Unbalanced as error:
        fail(f"{where}{': ' if str(error).startswith('event') else ' '}{error}")
    walked = walk(events, spans)
    if walked.cuts:
        what = f"stack deeper than {MAX_DEPTH:,} frames, cut at the leaf"
        notes.add(what, where, count=walked.cuts, metric=metric.name, weight=float(walked.deep))
    if walked.idle:
        notes.add("between calls: no frame is open", where, metric=metric.name, weight=float(walked.idle))
    order, parent = preorder(walked.parent)
    lane = Lane("", TIMES_NS[metric.unit], lambda: (events, spans)) if metric.unit in TIMES_NS else None
    return Part(parent, walked.frame[order], walked.own[order][:, None], float(walked.idle), lane)


def is_index(value: Any, size: int) -> TypeGuard[int]:
    """Whether it is a whole number from 0 on, below ``size``. True is a whole number in Python, but not in JSON."""
    return type(value) is int and 0 <= value < size


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it is a number that fits 64 bits."""
    return type(value) in (int, float) and abs(value) <= MOST


def _both(samples: list[list[int]], weights: list[list[Any] | None]) -> tuple[list[list[int]], list[list[Any] | None]]:
    """The samples with a weight, of a profile that was cut off."""
    size = min(len(samples), *(len(one) for one in weights if one is not None))
    return samples[:size], [None if one is None else one[:size] for one in weights]


def _indices(values: list[Any]) -> NDArray[np.int64]:
    """Whole numbers as int64; those that do not fit become -1 (no frame)."""
    try:
        return np.asarray(values, dtype=np.int64)
    except OverflowError:
        return np.asarray([value if is_index(value, MOST) else -1 for value in values], dtype=np.int64)


def _weights(weights: list[Any] | None, size: int, where: str, fail: Fail) -> NDArray[Any]:
    if weights is None:
        fail(f"{where} has no weights")
    if len(weights) != size:
        fail(f"{where} has {size} samples and {len(weights)} weights")
    array = _numbers(weights)
    if isinstance(array, int):
        fail(f"{where}: weight {array} is not a number that fits 64 bits")
    if np.abs(array.astype(np.float64)).sum() >= float(MOST):
        fail(f"{where}: the weights add up to more than 64 bits can hold")
    return array


def _numbers(values: list[Any]) -> NDArray[Any] | int:
    """Whole numbers as int64, others as float64; the position of the first that does not fit 64 bits."""
    array = np.array(values) if values else np.zeros(0, dtype=np.int64)
    if array.dtype in (np.int64, np.float64) and not (np.abs(array.astype(np.float64)) > MOST).any():
        return array
    bad = next((place for place, value in enumerate(values) if not is_number(value)), None)
    return np.asarray(values, dtype=np.float64) if bad is None else bad


def _events(one: One, where: str, frames: int, fail: Fail) -> Events:
    listed = one.events or []
    size = len(listed)
    opens = np.fromiter((event.type == "O" for event in listed), dtype=bool, count=size)
    frame = _indices([event.frame for event in listed])
    bad = np.flatnonzero((frame < 0) | (frame >= frames))
    if bad.size:
        index = str(listed[int(bad[0])].frame)[:40]
        fail(f"{where}: event {bad[0]} has frame {index}, but there are only {frames} frames")
    at = _numbers([event.at for event in listed])
    if isinstance(at, int):
        fail(f"{where}: event {at} is not at a number that fits 64 bits")
    back = np.flatnonzero(at[1:] < at[:-1])
    if back.size:
        event = int(back[0]) + 1
        fail(f"{where}: event {event} is at {at[event]}, before the one ahead of it at {at[event - 1]}")
    if size and float(at[-1]) - float(at[0]) >= float(MOST):
        fail(f"{where}: the events are further apart than 64 bits can hold")
    return Events(opens, frame, at)

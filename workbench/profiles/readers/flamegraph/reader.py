"""Flame graph SVG of inferno (cargo flamegraph, pprof-rs, py-spy) and FlameGraph (Perl).

A picture contains less than a profile: only the tree of drawn frames is read. A frame's parent is the frame that spans
its place one level nearer to the root; its self cost is its width minus that of its children, so undrawn, too narrow
frames count as self cost of their caller. inferno since 0.11 writes exact counts (``fg:x``, ``fg:w``); older ones and
Perl have rounded pixels; there the counts in the titles are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import NO_PARENT
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.flamegraph.svg import Box, Drawing, draw
from workbench.profiles.readers.folded.stacks import ends_array, frames_of_labels, opens_array
from workbench.profiles.tree import MAX_DEPTH, add_at, preorder, regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "flamegraph"
_HEAD_BYTES = 4096
_UNITS = {
    "bytes": "bytes", "byte": "bytes", "ns": "ns", "nanoseconds": "ns", "us": "us", "µs": "us", "microseconds": "us",
    "ms": "ms", "milliseconds": "ms", "s": "s", "seconds": "s",
}  # fmt: skip
_ROOT = "all"
_MOST = 2**63 - 1
# A frame narrower than this share of the picture is not drawn by default.
_MIN_SHARE = 1e-4
# No raised limit exceeds this: wider frames are always drawn.
_MOST_MIN_SHARE = 0.1
_HINT = "Save the file again from the profiler; a browser's copy or an editor may have changed it"


def recognise(source: Source) -> str | None:
    """The file begins with XML that has ``<svg`` among its first elements, and is not an HTML page with a picture."""
    head = source.data[:_HEAD_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    page = head[:20].lower().startswith((b"<!doctype html", b"<html"))
    return "an SVG picture" if head.startswith(b"<") and b"<svg" in head and not page else None


def read(source: Source) -> Profile:
    """The tree drawn in a flame graph SVG, upright or inverted.

    The metric has the picture's name for it (``samples``); a differential picture also has ``delta``, whose self costs
    are only as exact as percentages with two decimals. Raises ReadError for an SVG without frames, for XML that is cut
    off or not safe to read, and for frames outside of their callers.
    """
    drawing = draw(source)
    notes = NoteBook()
    if drawing.cut_at:
        notes.add("the file was cut off after its last frame", drawing.cut_at)
    if not drawing.boxes:
        told = next((text for text in drawing.texts if text.startswith("ERROR")), "")
        raise ReadError(
            f"a flame graph without frames: {told}" if told else "an SVG picture without flame graph frames",
            where=source.name,
            hint="Nothing was sampled: profile longer, or under load" if told else None,
        )
    counted, unit = _counted(drawing.boxes)
    shape = _stack_up(drawing, source, notes)
    own = _self_costs(shape, counted, source, notes)
    costs, metrics = own[:, None], [Metric(counted, unit)]
    delta = _deltas(shape, drawing, notes)
    if delta is not None:
        costs = np.column_stack([own, delta])
        name = "delta" if counted != "delta" else "change"
        metrics.append(Metric(name, unit, "change of the self cost compared with the other profile"))
    labels, keep = _labels(shape, own, counted, notes)
    staircase = _is_staircase(shape)
    if staircase:
        notes.add("one frame per level: functions sorted by inclusive cost, as gungraun draws them, not a call tree")
    names: dict[str, int] = {}
    frame = np.zeros(len(labels), dtype=np.int64)
    frame[keep] = [names.setdefault(label, len(names)) for label, kept in zip(labels, keep, strict=True) if kept]
    order, parent = preorder(shape.parent)
    tree = regrow(parent, frame[order], keep[order])
    costs = add_at(len(tree.parent), tree.node_of, costs[order])
    _reconcile(shape, costs, drawing, counted, source, notes)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        frames=frames_of_labels(list(names)),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=costs,
        exact=np.full(len(tree.parent), not staircase),
        meta=_meta(drawing, shape),
        notes=notes.notes(),
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """The frames by level and place, and their parents. ``start`` is None if only pixels are known; ``cost`` is each
    frame's width in the unit of the counts."""

    boxes: list[Box]
    level: NDArray[np.int64]
    parent: NDArray[np.int64]
    cost: NDArray[Any]
    start: NDArray[np.int64] | None
    inverted: bool


def _counted(boxes: list[Box]) -> tuple[str, str]:
    """The picture's metric and unit, from the first title that names it."""
    name = next((box.title.counted[:80] for box in boxes if box.title.counted), "samples")
    return name, _UNITS.get(name.lower(), "count")


def _stack_up(drawing: Drawing, source: Source, notes: NoteBook) -> _Shape:
    boxes = drawing.boxes
    heights, level = np.unique(np.asarray([box.y for box in boxes]), return_inverse=True)
    inverted = _is_inverted(drawing, level, len(heights))
    if not inverted:
        level = len(heights) - 1 - level
    exact = all(box.exact is not None for box in boxes)
    left = np.asarray([box.exact[0] for box in boxes if box.exact] if exact else [box.x for box in boxes])
    order = np.lexsort((left, level))
    if len(heights) > MAX_DEPTH:
        deep = level[order] >= MAX_DEPTH
        cut = [boxes[place] for place in np.flatnonzero(level == MAX_DEPTH)]
        weight = sum(float(box.exact[1] if box.exact else box.title.count or 0) for box in cut)
        what = f"frame deeper than {MAX_DEPTH:,} levels, counted as cost of its caller"
        notes.add(what, source.name, count=int(deep.sum()), metric=_counted(boxes)[0], weight=weight)
        order = order[~deep]
    boxes, level, left = [boxes[place] for place in order], level[order], left[order]
    if exact:
        cost = np.asarray([box.exact[1] for box in boxes if box.exact], dtype=np.int64)
        if int(left.max()) + int(cost.max()) > _MOST:
            raise _too_much(source)
        parent = _parents(level, left, left)
        slack: Any = 0
    else:
        cost = _title_costs(boxes, notes, source)
        width = np.asarray([box.width for box in boxes])
        # pixels are rounded: a child may be too wide by one
        slack = 1.0
        parent = _parents(level, left, left + width / 2)
    outside = _outside(level, parent, left, cost if exact else width, slack)
    if outside.any():
        raise ReadError(
            "this frame has no caller below it", where=source.at(boxes[int(np.argmax(outside))].line), hint=_HINT
        )
    return _Shape(boxes, level, parent, cost, left if exact else None, inverted)


def _is_inverted(drawing: Drawing, level: NDArray[np.int64], levels: int) -> bool:
    """Whether the root is at the top (an icicle): according to the script, the place of ``all``, or the wider row."""
    if drawing.inverted is not None:
        return drawing.inverted
    for row, answer in ((0, True), (levels - 1, False)):
        here = np.flatnonzero(level == row)
        if levels > 1 and len(here) == 1 and drawing.boxes[int(here[0])].title.name == _ROOT:
            return answer
    width = np.bincount(level, weights=[box.width for box in drawing.boxes])
    return bool(width[0] > width[-1])


def _parents(level: NDArray[np.int64], left: NDArray[Any], inside: NDArray[Any]) -> NDArray[np.int64]:
    """For each frame the last frame one level nearer to the root that begins at or before ``inside``, a place in the
    frame; -1 for roots. Frames are sorted by level, then place.
    """
    parent = np.full(len(level), NO_PARENT, dtype=np.int64)
    bounds = np.searchsorted(level, np.arange(level.max() + 2))
    for number in range(1, len(bounds) - 1):
        low, middle, high = bounds[number - 1 : number + 2]
        parent[middle:high] = low + np.maximum(np.searchsorted(left[low:middle], inside[middle:high], "right") - 1, 0)
    return parent


def _outside(
    level: NDArray[np.int64], parent: NDArray[np.int64], left: NDArray[Any], width: NDArray[Any], slack: Any
) -> NDArray[np.bool_]:
    above = parent[parent >= 0]
    child = parent >= 0
    out = np.zeros(len(level), dtype=bool)
    out[child] = (left[child] < left[above] - slack) | (
        left[child] + width[child] > left[above] + width[above] + 2 * slack
    )
    return out


def _title_costs(boxes: list[Box], notes: NoteBook, source: Source) -> NDArray[np.int64]:
    """Costs without exact counts: the counts of the titles, or widths in proportion to them."""
    widest = max((box for box in boxes if box.title.count is not None), key=lambda box: box.width, default=None)
    if widest is None:
        raise ReadError(
            "neither exact widths nor counts in titles", where=source.at(boxes[0].line), hint="Make it without nameattr"
        )
    scale = (widest.title.count or 0.0) / widest.width if widest.width else 0.0
    costs = np.zeros(len(boxes), dtype=np.float64)
    for place, box in enumerate(boxes):
        if box.title.count is None:
            notes.add("count estimated from the width in pixels", source.at(box.line))
        costs[place] = box.width * scale if box.title.count is None else box.title.count
    if not costs.max() < _MOST / 2 or not costs.min() >= 0:
        raise ReadError("a count that does not fit 64 bits", where=source.name, hint=_HINT)
    if (costs != np.rint(costs)).any():
        notes.add("count with a fraction, rounded")
    return np.rint(costs).astype(np.int64)


def _self_costs(shape: _Shape, counted: str, source: Source, notes: NoteBook) -> NDArray[np.int64]:
    """Each frame's cost minus that of its children."""
    if (np.bincount(shape.level, weights=shape.cost.astype(np.float64)) >= float(_MOST)).any():
        raise _too_much(source)
    own = shape.cost - add_at(len(shape.cost), shape.parent, shape.cost[:, None])[:, 0]
    over = own < 0
    if over.any():
        place = shape.boxes[int(np.argmax(over))].line
        weight = float(-own[over].sum())
        what = "frames that together are wider than their caller: its self cost is taken as 0"
        notes.add(what, source.at(place), count=int(over.sum()), metric=counted, weight=weight)
    kept: NDArray[np.int64] = np.maximum(own, 0)
    return kept


def _too_much(source: Source) -> ReadError:
    return ReadError("counts add up to more than 64 bits can hold", where=source.name, hint=_HINT)


def _deltas(shape: _Shape, drawing: Drawing, notes: NoteBook) -> NDArray[np.int64] | None:
    """The change of each frame's self cost in a differential flame graph, from percentages of the whole."""
    titles = [box.title for box in shape.boxes]
    if all(title.delta is None for title in titles):
        return None
    whole = drawing.total_samples or int(shape.cost[shape.level == 0].sum())
    percent = np.asarray([title.delta or 0.0 for title in titles])
    change = np.rint(np.clip(percent / 100 * whole, -_MOST / 4, _MOST / 4)).astype(np.int64)
    what = "differences are known only at the ends of stacks; each is rounded to 0.01 % of the whole"
    notes.add(what, metric="delta", weight=float(change.sum()))
    return change


def _labels(
    shape: _Shape, own: NDArray[np.int64], counted: str, notes: NoteBook
) -> tuple[list[str], NDArray[np.bool_]]:
    """The name of each frame, and which are frames of the program: not the root ``all``, and not half of a name that
    was split at the ``;`` of an array type."""
    labels = [box.title.name for box in shape.boxes]
    keep = np.ones(len(labels), dtype=bool)
    if len(labels) > 1 and shape.level[1] == 1 and labels[0] == _ROOT:
        keep[0] = False
        if own[0]:
            what = "no frame is drawn for it: too narrow"
            notes.add(what, metric=counted, weight=float(own[0]))
    if any(map(ends_array, labels)):
        _join_split(shape.parent.tolist(), labels, keep)
    custom = sum(box.title.count is None for box in shape.boxes)
    if custom:
        notes.add("title replaced by the tool's nameattr: taken as the name", count=custom)
    return labels, keep


def _join_split(parent: list[int], labels: list[str], keep: NDArray[np.bool_]) -> None:
    """Join ``<[u8`` and the frame `` 32] as Trait>::name`` on it, if all frames on it are such second halves."""
    rests = [ends_array(label) for label in labels]
    only_rests: dict[int, bool] = {}
    for place, below in enumerate(parent):
        if below >= 0:
            only_rests[below] = only_rests.get(below, True) and rests[place]
    for place, below in enumerate(parent):
        # names have few arrays; the limit stops malicious chains
        if below >= 0 and rests[place] and only_rests[below] and opens_array(labels[below]):
            if len(labels[below]) > 2000:
                continue
            labels[place] = f"{labels[below]};{labels[place]}"
            keep[below] = False


def _is_staircase(shape: _Shape) -> bool:
    """Whether this is gungraun's drawing of callgrind functions: one frame per level, all ending at the right border,
    each named with its object file."""
    if len(shape.boxes) < 4 or shape.start is None or len(shape.boxes) != shape.level[-1] + 1:
        return False
    ends = shape.start + shape.cost
    return bool((ends == ends[0]).all()) and all(box.title.name.endswith("]") for box in shape.boxes[1:])


def _reconcile(
    shape: _Shape, costs: NDArray[Any], drawing: Drawing, counted: str, source: Source, notes: NoteBook
) -> None:
    """Notes on how the costs relate to the picture's own total, and on undrawn frames."""
    rooted = shape.boxes[0].title.name == _ROOT and shape.level[-1] > 0
    whole = drawing.total_samples
    if whole is not None and not rooted:
        missing = whole - int(shape.cost[shape.level == 0].sum())
        if missing:
            notes.add("frames of the first level that are not drawn: too narrow", metric=counted, weight=float(missing))
    factor = _factor(shape)
    if factor != 1:
        notes.add(f"titles show counts times {factor:g} (--factor); the counts themselves are read", source.name)
    pruned = _gaps(shape)
    if pruned:
        what = "frames too narrow to be drawn, counted as self cost of their caller: at least"
        notes.add(what, metric=counted, weight=float(pruned))
    elif (narrowest := _raised_limit(shape)) is not None:
        share = 100 * narrowest / int(shape.cost[shape.level == 0].sum())
        what = (
            f"no frame narrower than {narrowest:,} {counted} ({share:.2g} %) is drawn: if the picture was made with "
            "a raised minimum width, this much self cost may belong to frames left out, at most"
        )
        notes.add(what, metric=counted, weight=float(costs[:, 0].sum()))
    elif float(costs[:, 0].sum()) * _MIN_SHARE > 1:
        notes.add("frames narrower than the picture's limit are not drawn; their cost counts as their caller's own")


def _raised_limit(shape: _Shape) -> int | None:
    """The cost of the narrowest frame, if so large that a raised limit may have left out narrower ones: more than one
    count, and more than twice the default limit."""
    drawn = shape.cost[(shape.cost > 0) & (shape.level > 0)]
    whole = int(shape.cost[shape.level == 0].sum())
    if not len(drawn):
        return None
    narrowest = int(drawn.min())
    raised = narrowest > max(1, 2 * _MIN_SHARE * whole)
    return narrowest if raised and whole * _MOST_MIN_SHARE > 1 else None


def _factor(shape: _Shape) -> float:
    """The ratio of the titles' counts to the exact ones; 1 if they agree or it is not known."""
    if shape.start is None:
        return 1.0
    known = [
        (int(cost), box.title.count)
        for cost, box in zip(shape.cost, shape.boxes, strict=True)
        if box.title.count is not None and cost
    ]
    if all(abs(count - cost) < 1 for cost, count in known):
        return 1.0
    cost, count = max(known)
    return float(f"{count / cost:.3g}")


def _gaps(shape: _Shape) -> int:
    """Cost that must belong to undrawn frames: gaps to the right of a frame's first child.

    inferno and Perl merge sorted stacks, so self cost is at the left. 0 if siblings are not sorted (a flame chart) or
    places are not exact.
    """
    child = np.flatnonzero(shape.parent >= 0)
    if shape.start is None or not len(child):
        return 0
    above = shape.parent[child]
    first = np.concatenate(([True], above[1:] != above[:-1]))
    names = [box.title.name for box in shape.boxes]
    places = child.tolist()
    for number in np.flatnonzero(~first).tolist():
        if names[places[number]] < names[places[number - 1]]:
            return 0
    sums = add_at(len(names), above, shape.cost[child][:, None])[above[first], 0]
    ends = (shape.start + shape.cost)[above[first]]
    return int(np.maximum(ends - shape.start[child[first]] - sums, 0).sum())


def _meta(drawing: Drawing, shape: _Shape) -> dict[str, Any]:
    meta: dict[str, Any] = {"frames_drawn": len(shape.boxes), "inverted": shape.inverted}
    if drawing.total_samples is not None:
        meta["total_samples"] = drawing.total_samples
    factor = _factor(shape)
    if factor != 1:
        meta["factor"] = factor
    titles = [text for text in drawing.texts if text and not text.startswith("Reset")]
    if titles:
        meta["title"] = titles[0]
    return meta

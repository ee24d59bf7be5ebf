"""Matches opening and closing events of frames, and builds their tree, with arrays.

An evented profile is a walk through a call tree. ``level`` is how many frames are open once an opening is done, or
before a closing: at one level openings and closings alternate, so pairs are adjacent when events are sorted by level.
There is no loop over events, only one over levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import NO_PARENT
from workbench.profiles.distinct import numbered
from workbench.profiles.tree import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The events of one thread in their order. ``at`` is in the profile's unit."""

    opens: NDArray[np.bool_]
    frame: NDArray[np.int64]
    at: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Each opened frame, in the order of opening: the events that opened and closed it, and its depth (roots 0)."""

    opened: NDArray[np.int64]
    closed: NDArray[np.int64]
    depth: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """The tree of a walk, parents before children: ``parent``, ``frame`` and ``own`` of each node, the time without an
    open frame, and the number and time of spans deeper than MAX_DEPTH."""

    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    own: NDArray[Any]
    idle: Any
    cuts: int
    deep: Any


class Unbalanced(Exception):
    """An event does not match earlier ones. The text names it and the reason."""


def closed(events: Events) -> Events:
    """The events of a walk that ends early, with closings added at its last time for all open frames."""
    level = np.cumsum(np.where(events.opens, 1, -1))
    if not len(level) or level[-1] <= 0:
        return events
    behind = np.minimum.accumulate(level[::-1])[::-1]
    still = events.frame[events.opens & (behind >= level)][::-1]
    return Events(
        np.concatenate([events.opens, np.zeros(len(still), dtype=bool)]),
        np.concatenate([events.frame, still]),
        np.concatenate([events.at, np.repeat(events.at[-1:], len(still))]),
    )


def spans_of(events: Events) -> Spans:
    """The spans of a walk. Raises Unbalanced with the number of the first event that does not fit."""
    opens, frame = events.opens, events.frame
    after = np.cumsum(np.where(opens, 1, -1))
    level = np.where(opens, after, after + 1)
    sound = len(level)
    if sound and int(after.min()) < 0:
        sound = int(np.argmax(after < 0))
    pair = pairs(opens[:sound], level[:sound])
    begin, end = pair
    wrong = np.flatnonzero(frame[begin] != frame[end])
    if wrong.size:
        first = wrong[np.argmin(end[wrong])]
        raise Unbalanced(
            f"event {end[first]} closes frame {frame[end[first]]}, but frame {frame[begin[first]]} is open"
        )
    if sound < len(level):
        raise Unbalanced(f"event {sound} closes frame {frame[sound]}, but none is open")
    if sound and after[-1]:
        still = events.frame[opens & (np.minimum.accumulate(after[::-1])[::-1] >= after)]
        raise Unbalanced(f"ends after event {sound - 1} with {after[-1]} frames open, the innermost {still[-1]}")
    order = np.argsort(begin)
    return Spans(begin[order], end[order], level[begin[order]] - 1)


def pairs(opens: NDArray[np.bool_], level: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Openings and the closings that belong to them, by number of the event; those still open are left out."""
    order = np.argsort(level, kind="stable")
    begins = opens[order]
    # a frame still open is the last of its level: the next event is an opening of the next level
    begin = np.flatnonzero(begins[:-1] & ~begins[1:])
    return order[begin], order[begin + 1]


def walk(events: Events, spans: Spans) -> Walked:
    """The tree of a walk and the time in each node: the time between two events is cost of the frame open then."""
    count = len(events.at)
    passed = np.diff(events.at, append=events.at[-1:])
    node, parent, frame = _nodes(spans, events.frame)
    # the node that is open after each event: an opening's own node, or the caller of a closed one
    here = np.empty(count, dtype=np.int64)
    ups = np.concatenate([parent, [NO_PARENT]])
    deep = spans.depth >= MAX_DEPTH
    here[spans.opened] = node
    here[spans.closed] = np.where(deep, node, ups[node])
    own = np.zeros(len(parent) + 1, dtype=passed.dtype)
    np.add.at(own, here, passed)
    lost = np.zeros(count, dtype=bool)
    lost[spans.opened] = deep
    lost[spans.closed] = spans.depth > MAX_DEPTH
    return Walked(parent, frame, own[:-1], own[-1], int(deep.sum()), passed[lost].sum())


def _nodes(spans: Spans, frame: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The node of each span, and parent and frame of the nodes. Spans below MAX_DEPTH are at the node above them."""
    size = len(spans.opened)
    frames = frame[spans.opened]
    base = int(frames.max(initial=0)) + 1
    order = np.argsort(spans.depth, kind="stable")
    bounds = np.searchsorted(spans.depth[order], np.arange(int(spans.depth.max(initial=-1)) + 2))
    node = np.empty(size, dtype=np.int64)
    parents, taken = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    made = 0
    above = np.zeros(0, dtype=np.int64)
    for depth in range(len(bounds) - 1):
        here = order[bounds[depth] : bounds[depth + 1]]
        # the caller is the last span one level up that began before
        up = node[above[np.searchsorted(above, here) - 1]] if depth else np.full(len(here), NO_PARENT, dtype=np.int64)
        above = here
        if depth >= MAX_DEPTH:
            node[here] = up
            continue
        codes, keys = numbered((up + 1) * base + frames[here])
        parents.append(keys // base - 1)
        taken.append(keys % base)
        node[here] = made + codes
        made += len(keys)
    return node, np.concatenate(parents), np.concatenate(taken)

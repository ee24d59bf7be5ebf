"""The frame table of a DHAT file: its texts parsed, and the stacks that use them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.locations import FRAME, located
from workbench.profiles.memory import require
from workbench.profiles.model import frame_table
from workbench.profiles.names import tidy_rust
from workbench.profiles.tree import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.metrics import Metric
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.dhat.document import Document
    from workbench.profiles.source import Source

# the crate dhat also gives the column
_PLACE = re.compile(r"(.*?):(\d{1,9})(?::\d{1,9})?", re.DOTALL)
_OWN_LIBRARY = "vgpreload_dhat-"
# Bytes per frame of a stack during reading, and in addition in the tree per metric. Measured.
_FRAME_BYTES = 100
_COST_BYTES = 20


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a file: ``keys`` has name, file, line and object of each, ``inlined`` whether it is. ``number`` is
    the frame of each text of the frame table; ``own`` whether it lies in DHAT's own library."""

    keys: Sequence[tuple[str, str, int, str]]
    inlined: NDArray[np.bool_]
    number: NDArray[np.int64]
    own: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Used:
    """How many frames each program point has, and their numbers in the frame table one after another, innermost
    first."""

    lengths: NDArray[np.int64]
    flat: NDArray[np.int64]


def used_of(document: Document, source: Source) -> Used:
    """The frames that the program points use. A point without any has the root only."""
    stacks = []
    for number, point in enumerate(document.points):
        stack = point.get("fs")
        if not isinstance(stack, list) or not {type(one) for one in stack} <= {int}:
            raise ReadError(
                f"program point {number} has no list of frames, 'fs'", where=source.name, hint="Fetch the file again"
            )
        stacks.append(stack or [0])
    lengths = np.asarray([len(stack) for stack in stacks], dtype=np.int64)
    try:
        flat = np.fromiter(chain.from_iterable(stacks), dtype=np.int64, count=int(lengths.sum()))
    except OverflowError:
        flat = np.array([-1])
    if len(flat) and flat.min() < 0:
        raise ReadError("a frame number is below 0 or too large", where=source.name, hint="Fetch the file again")
    return Used(lengths, flat)


def frames_of(document: Document, used: Used, source: Source) -> Frames:
    """The frames of the texts; texts with the same place (at several addresses) are one frame. A table that was cut off
    is filled with frames that say so."""
    require(len(document.frames) * _FRAME_BYTES)
    texts = list(document.frames)
    missing = int(used.flat.max(initial=0)) + 1 - len(texts)
    if not document.whole and missing > 0:
        require(missing * _FRAME_BYTES, name=source.name)
        texts += [f"(frame {number}, cut off)" for number in range(len(texts), len(texts) + missing)]
    numbers: dict[tuple[str, str, int, str], int] = {}
    number, address, own = [], [], []
    for text in texts:
        at, key = _taken_apart(text)
        number.append(numbers.setdefault(key, len(numbers)))
        address.append(at)
        own.append(_OWN_LIBRARY in key[3])
    addresses = np.asarray(address, dtype=np.uint64)
    rows = np.asarray(number, dtype=np.int64)
    inlined = np.zeros(len(numbers), dtype=bool)
    inlined[rows[_inlined(used, addresses)]] = True
    return Frames(list(numbers), inlined, rows, np.asarray(own, dtype=bool))


def table_of(frames: Frames, used: NDArray[np.int64]) -> Any:
    """The table of the frames that are used."""
    keys = [frames.keys[number] for number in used.tolist()]
    raw = [key[0] for key in keys]
    return frame_table(
        [tidy_rust(name) for name in raw],
        [key[1] for key in keys],
        [key[2] for key in keys],
        [key[3] for key in keys],
        frames.inlined[used],
        raw,
    )


def stacks_of(
    used: Used, frames: Frames, costs: NDArray[np.int64], metric: Metric, notes: NoteBook, source: Source
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The stacks of the program points, outermost first, as offsets into an array of frames. Left-out frames are noted
    with their weight in ``metric``, the first column of ``costs``."""
    lengths, flat = used.lengths, used.flat
    require(len(flat) * (_FRAME_BYTES + _COST_BYTES * costs.shape[1]), name=source.name)
    if len(flat) and int(flat.max()) >= len(frames.number):
        at = int(np.searchsorted(np.cumsum(lengths), int(np.argmax(flat >= len(frames.number))), side="right"))
        raise ReadError(
            f"program point {at} uses frame {int(flat.max())}, the frame table has {len(frames.number)}",
            where=source.name,
            hint="Fetch the file again",
        )
    stack = np.repeat(np.arange(len(lengths)), lengths)
    inside = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # innermost first: leading frames that are DHAT's own are dropped, but never the outermost
    outside: NDArray[np.int64] = np.cumsum(~frames.own[flat]) - np.repeat(_before(~frames.own[flat], lengths), lengths)
    outermost = inside == np.repeat(lengths, lengths) - 1
    own = (outside == 0) & ~outermost
    if own.any():
        weight = float(costs[np.unique(stack[own]), 0].sum())
        notes.add(
            "DHAT's own frames (malloc, memcpy) are left out", count=int(own.sum()), metric=metric.name, weight=weight
        )
    deep = np.repeat(lengths, lengths) - inside > MAX_DEPTH
    if deep.any():
        weight = float(costs[np.unique(stack[deep]), 0].sum())
        notes.add(
            f"stack deeper than {MAX_DEPTH:,} frames, cut at the leaf",
            source.name,
            count=len(np.unique(stack[deep])),
            metric=metric.name,
            weight=weight,
        )
    kept = ~own & ~deep
    counts = np.bincount(stack[kept], minlength=len(lengths))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    # each stack reversed
    place = np.arange(int(counts.sum())) - np.repeat(offsets[:-1], counts)
    turned = np.repeat(offsets[1:], counts) - 1 - place
    return offsets, frames.number[flat[kept][turned]]


def _before(counted: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many were counted before each stack."""
    before = np.concatenate(([0], np.cumsum(counted)))
    return np.asarray(before[np.cumsum(lengths) - lengths])


def _inlined(used: Used, address: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Which texts are inlined functions: those with the same address as the next outer one."""
    inner = np.ones(len(used.flat), dtype=bool)
    # the outermost of a stack has none
    inner[np.cumsum(used.lengths) - 1] = False
    at = np.flatnonzero(inner)
    one, other = used.flat[at], used.flat[at + 1]
    known = (one < len(address)) & (other < len(address))
    one, other = one[known], other[known]
    return np.unique(one[(address[one] != 0) & (address[one] == address[other])])


def _taken_apart(text: str) -> tuple[int, tuple[str, str, int, str]]:
    """The address of a frame, and its name, file, line and object: ``0xADDRESS: NAME (FILE:LINE)``, or ``(in
    OBJECT)``."""
    match = FRAME.fullmatch(text)
    if match is None:
        return 0, (text or "(no name)", "", 0, "")
    return int(match[1], 16), located(match[2], _place)


def _place(where: str) -> tuple[str, int, str] | None:
    match = _PLACE.fullmatch(where)
    return (match[1], int(match[2]), "") if match is not None and match[1] else None

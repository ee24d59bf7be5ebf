"""Samples as stacks of frames, root first, the input of a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.tree import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.pprof.frames import Frames
    from workbench.profiles.readers.pprof.samples import Samples
    from workbench.profiles.source import Source

_BATCH = 1 << 18
# Samples of few bytes can refer to locations with many inlined lines: a file of megabytes could expand to terabytes.
# Real files have about one frame a byte.
_FREE_FRAMES, _FRAMES_PER_BYTE = 16_000_000, 16


def stacks_of(
    source: Source, frames: Frames, samples: Samples, metric: str, notes: NoteBook
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The frames of all samples one after another, and the offset of each sample's.

    A sample without locations is the frame ``[no stack]``; a stack deeper than MAX_DEPTH ends there. Both are noted
    with their weight in ``metric``, the last one. Raises ReadError if the file expands to absurdly many frames.
    """
    size = np.diff(frames.offset)
    limit = _FREE_FRAMES + _FRAMES_PER_BYTE * len(source.data)
    depth = np.zeros(len(samples), dtype=np.int64)
    parts: list[NDArray[np.int32]] = []
    total = 0
    number = frames.frame.astype(np.int32)
    if (size == 1).all() and np.diff(samples.offset).max(initial=0) <= MAX_DEPTH:
        # one frame per location, as from writers without inlining
        parts.append(number[samples.location])
        depth = np.diff(samples.offset)
    for first, last in () if parts else _batches(samples.offset):
        offset = samples.offset[first : last + 1] - samples.offset[first]
        location = samples.location[samples.offset[first] : samples.offset[last]]
        count = size[location]
        before = np.concatenate(([0], np.cumsum(count)))
        depth[first:last] = np.diff(before[offset])
        if depth[first:last].max() > MAX_DEPTH:
            start = np.repeat(before[offset[:-1]], np.diff(offset))
            count = np.clip(MAX_DEPTH - (before[:-1] - start), 0, count)
        here = int(count.sum())
        total += here
        if total > limit:
            raise ReadError(
                f"{len(source.data):,} bytes expand to more than {limit:,} frames",
                where=source.name,
                hint="No profiler writes that",
            )
        begin = frames.offset[location]
        if here != len(location) or (len(count) and count.max() > 1):
            begin = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(here)
        parts.append(number[begin])
    deep = np.flatnonzero(depth > MAX_DEPTH)
    if len(deep):
        notes.add(
            f"stacks deeper than {MAX_DEPTH:,} frames are cut at the leaf side",
            count=len(deep),
            metric=metric,
            weight=float(samples.values[deep, -1].sum()),
        )
        depth = np.minimum(depth, MAX_DEPTH)
    frame = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.int32), *parts])
    depth, frame = _with_bare(samples, depth, frame, frames.no_stack, metric, notes)
    return np.concatenate(([0], np.cumsum(depth))), frame


def _with_bare(
    samples: Samples,
    depth: NDArray[np.int64],
    frame: NDArray[np.int32],
    no_stack: int,
    metric: str,
    notes: NoteBook,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Depths and frames with a frame for each sample without locations."""
    bare = np.flatnonzero(depth == 0)
    if len(bare):
        notes.add(
            "samples without a stack are shown as [no stack]",
            count=len(bare),
            metric=metric,
            weight=float(samples.values[bare, -1].sum()),
        )
        before = np.cumsum(depth) - depth
        frame = np.insert(frame, before[bare], no_stack)
        depth[bare] = 1
    return depth, frame


def _batches(offset: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Samples that have about _BATCH locations together."""
    size = len(offset) - 1
    cuts = np.searchsorted(offset, np.arange(0, int(offset[-1]) + _BATCH, _BATCH)).clip(0, size)
    borders = np.unique(np.concatenate(([0], cuts, [size])))
    return list(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True))

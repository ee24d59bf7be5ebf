"""Drops frames as requested by a profile's ``drop_frames`` and ``keep_frames``, like pprof.

An allocator's own frames, for example: the cost of a matching function and all below it goes to its caller. pprof does
this to every profile it loads, so figures agree only if it is done here too.

Source: profile/prune.go of google/pprof.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.names import without_argument_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.pprof.samples import Samples
    from workbench.profiles.readers.pprof.tables import Functions, Locations


def prune(
    locations: Locations, samples: Samples, functions: Functions, drop: str, keep: str, metric: str, notes: NoteBook
) -> tuple[Locations, Samples]:
    """Locations and samples without frames that ``drop`` matches and ``keep`` does not; both match whole names.

    A stack is never cut above its first kept frame. An invalid regular expression is noted and ignored, as in pprof.
    """
    matching = _matching(functions.name, drop, keep, notes)
    if matching is None or not matching.any() or not len(locations.function):
        return locations, samples
    hit = matching[locations.function]
    owner = np.repeat(np.arange(len(locations.ids)), locations.line_counts)
    # the outermost match of each location, which is the last in its lines
    last_hit = np.full(len(locations.ids), -1, dtype=np.int64)
    inside = np.arange(len(owner)) - locations.offset[owner]
    last_hit[owner[hit]] = inside[hit]
    matched = last_hit >= 0
    whole = matched & (last_hit == locations.line_counts - 1)
    trimmed = matched & ~whole
    kept_lines = ~trimmed[owner] | (inside > last_hit[owner])
    offset = np.zeros_like(locations.offset)
    np.cumsum(np.bincount(owner[kept_lines], minlength=len(locations.ids)), out=offset[1:])
    shorter = replace(
        locations, offset=offset, function=locations.function[kept_lines], line=locations.line[kept_lines]
    )
    cut = _cut(samples, matched, whole)
    lost = np.flatnonzero(np.diff(cut) != np.diff(samples.offset))
    if len(lost):
        notes.add(
            f"stacks end above the functions that drop_frames names ({drop[:80]!r}); their cost is the caller's",
            count=len(lost),
            metric=metric,
            weight=float(samples.values[lost, -1].sum()) if samples.values.shape[1] else None,
        )
    starts = np.repeat(samples.offset[:-1] - cut[:-1], np.diff(cut))
    location = samples.location[starts + np.arange(int(cut[-1]))]
    return shorter, replace(samples, offset=cut, location=location)


def _cut(samples: Samples, matched: NDArray[np.bool_], whole: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The offsets of the stacks that are left: each ends at its first match that is below a kept frame."""
    flagged = matched[samples.location]
    lengths = np.diff(samples.offset)
    stack = np.repeat(np.arange(len(lengths)), lengths)
    wanted_before = np.concatenate(([0], np.cumsum(~flagged)))
    since_root = wanted_before[:-1] - wanted_before[samples.offset[stack]]
    candidates = np.flatnonzero(flagged & (since_root > 0))
    left = lengths.copy()
    stacks, first = np.unique(stack[candidates], return_index=True)
    places = candidates[first]
    left[stacks] = places - samples.offset[stacks] + np.where(whole[samples.location[places]], 0, 1)
    return np.concatenate(([0], np.cumsum(left)))


def _matching(names: list[str], drop: str, keep: str, notes: NoteBook) -> NDArray[np.bool_] | None:
    """Which names to drop. Uses RE2, as in pprof, so that a pattern from a file cannot run forever."""
    import pyarrow as pa
    import pyarrow.compute as pc

    simple = pa.array([without_argument_list(name) for name in names], pa.string())
    try:
        out: NDArray[np.bool_] = pc.match_substring_regex(simple, f"^({drop})$").to_numpy(zero_copy_only=False)
        if keep:
            out = out & ~pc.match_substring_regex(simple, f"^({keep})$").to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        notes.add(
            f"drop_frames or keep_frames is not a regular expression and is ignored: {drop[:80]!r}, {keep[:80]!r}"
        )
        return None
    return np.array([bool(name) for name in names], dtype=bool) & out

"""Makes windows from snapshots that count from the start of a process.

pprof-rs reports are cumulative: window n is report n minus report n - 1. So are the ``alloc_`` values of heap profiles,
contention counts and delays. ``inuse_`` values are levels: the amount at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import Note
from workbench.profiles.transforms.overlay import Overlay, overlay
from workbench.profiles.transforms.stacks import restack
from workbench.profiles.tree import add_at, costs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL_PREFIX = "inuse_"
NANOSECONDS = 1e9


def windows(profiles: Sequence[Profile]) -> list[Profile]:
    """The windows between cumulative snapshots of one process, in order of time; the first reaches back to its start.

    Each has ``window_start_s`` and ``window_end_s`` in ``meta`` (seconds since 1970): the snapshots' common start plus
    the duration of one and of the next.

    Raises WorkbenchError without snapshots, or if they are not of one process: see :func:`subtract`.
    """
    if not profiles:
        raise WorkbenchError("there are no snapshots", where="windows")
    ordered = sorted(profiles, key=_duration_ns)
    first = _bounded(ordered[0], 0)
    return [first, *(subtract(after, before) for before, after in pairwise(ordered))]


def subtract(after: Profile, before: Profile) -> Profile:
    """The window between two cumulative snapshots of one process: ``after`` minus ``before``, by stack and label.

    A stack that shrank means damage or a mismatch of names: it counts 0 in the window, and a note has the weight by
    which the window's sum exceeds the difference of the two sums. Levels (``inuse_`` metrics) are those of ``after``,
    and a note says so. Frames are the same if name, file, line, object and inlining are equal; for pprof-rs, which
    keeps one arbitrary file per name, if the name is. Notes of ``after`` are kept without weights, which refer to the
    whole time.

    Raises WorkbenchError if start times or metrics differ, or ``after`` is not the later one.
    """
    _check(after, before)
    joint = _joint(after, before)
    levels = np.array([is_level(metric) for metric in after.metrics], dtype=bool)
    sums = add_at(len(joint.keys), joint.after, joint.after_values)
    sums -= add_at(len(joint.keys), joint.before, np.where(levels, 0, joint.before_values))
    shrunk = np.where(sums < 0, sums, 0)
    values = sums - shrunk
    node, tags = joint.keys // joint.width, joint.keys % joint.width
    there = (values != 0).any(axis=1)
    costs = add_at(len(joint.tree.parent), node[there], values[there])
    samples = None
    if len(joint.tags):
        samples = pd.DataFrame({"node_id": node[there], "tags_id": tags[there]})
        for position, name in enumerate(after.metric_names):
            samples[self_(name)] = values[there][:, position]
        samples = samples.sort_values(["node_id", "tags_id"], ignore_index=True)
    window = from_stacks(
        after.format,
        after.name,
        metrics=after.metrics,
        default_metric=after.default_metric,
        frames=joint.tree.frames,
        parent=joint.tree.parent,
        frame=joint.tree.frame,
        self_costs=costs,
        samples=samples,
        tags=joint.tags if samples is not None else None,
        tables=after.tables,
        meta=after.meta,
        notes=[note._replace(metric=None, weight=None) for note in after.notes],
    )
    window = restack(window, what="subtraction")
    return _bounded(window, _duration_ns(before)).with_notes(*_notes(after, shrunk, levels))


def is_level(metric: Metric) -> bool:
    """Whether a metric is a level (``inuse_``), whose difference is not a window."""
    return metric.name.startswith(LEVEL_PREFIX)


def _notes(after: Profile, shrunk: NDArray[Any], levels: NDArray[np.bool_]) -> list[Note]:
    notes = [
        Note(
            "stacks that shrank between two cumulative snapshots count 0",
            count=int((shrunk[:, position] != 0).sum()),
            metric=name,
            weight=float(-shrunk[:, position].sum()),
        )
        for position, name in enumerate(after.metric_names)
        if (shrunk[:, position] != 0).any()
    ]
    if levels.any():
        kept = ", ".join(metric.name for metric, level in zip(after.metrics, levels.tolist(), strict=True) if level)
        notes.append(Note(f"levels are not subtracted; these are from the end of the window: {kept}"))
    return notes


def _bounded(profile: Profile, from_ns: int) -> Profile:
    to_ns = _duration_ns(profile)
    start_s = float(profile.meta["start_s"])
    bounds = {
        "window_start_s": start_s + from_ns / NANOSECONDS,
        "window_end_s": start_s + to_ns / NANOSECONDS,
        "duration_ns": to_ns - from_ns,
    }
    return profile.with_meta(**bounds)


def _duration_ns(profile: Profile) -> int:
    if not profile.meta.get("start_s") or not profile.meta.get("duration_ns"):
        raise WorkbenchError(
            "the profile does not contain its start time and duration",
            where=profile.name,
            hint="Only snapshots with both can be put in order of time",
        )
    if "window_end_s" in profile.meta:
        raise WorkbenchError(
            "this is already a window", where=profile.name, hint="Subtract the snapshots as they were read"
        )
    return int(profile.meta["duration_ns"])


def _check(after: Profile, before: Profile) -> None:
    where = f"{after.name} and {before.name}"
    # descriptions can be about one snapshot only
    if [(m.name, m.unit) for m in after.metrics] != [(m.name, m.unit) for m in before.metrics]:
        raise WorkbenchError(
            f"their metrics differ: {', '.join(after.metric_names)} and {', '.join(before.metric_names)}",
            where=where,
            hint="Give snapshots of one process",
        )
    if "stacks" not in (after.basis, before.basis) or after.basis != before.basis:
        raise WorkbenchError("only profiles of recorded stacks can be subtracted", where=where)
    later, earlier = _duration_ns(after), _duration_ns(before)
    # the time in nanoseconds if available: seconds as a float hide differences below a microsecond
    if any(after.meta.get(key) != before.meta.get(key) for key in ("start_s", "time_ns")):
        raise WorkbenchError(
            "they began at different times, so neither includes the other",
            where=where,
            hint="Each is already a window, or they are of two processes",
        )
    if later <= earlier:
        raise WorkbenchError(
            f"the first must be the later one: {later / NANOSECONDS:.3f} s and {earlier / NANOSECONDS:.3f} s",
            where=where,
            hint="Give the later snapshot first" if later < earlier else "They are the same snapshot",
        )


@dataclass(frozen=True, slots=True)
class _Joint:
    """Two profiles over one tree. A key is ``node * width + tags_id``; ``after`` and ``before`` are the keys' rows of
    the samples of each."""

    tree: Overlay
    tags: pd.DataFrame
    width: int
    keys: NDArray[np.int64]
    after: NDArray[np.int64]
    before: NDArray[np.int64]
    after_values: NDArray[Any]
    before_values: NDArray[Any]


def _joint(after: Profile, before: Profile) -> _Joint:
    joint = overlay([after, before])
    tags, renamed = _joint_tags(after.tags, before.tags)
    width = int(tags["tags_id"].max()) + 1 if len(tags) else 1
    node, tag, values = _rows(after)
    other_node, other_tag, other_values = _rows(before)
    key = np.concatenate(
        [joint.node_of[0][node] * width + tag, joint.node_of[1][other_node] * width + renamed[other_tag]]
    )
    rows, keys = pd.factorize(key)
    return _Joint(joint, tags, width, keys, rows[: len(node)], rows[len(node) :], values, other_values)


def _rows(profile: Profile) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Node, labels and values of each stack with a cost."""
    if len(profile.samples):
        table = profile.samples
        node, tags = table["node_id"].to_numpy(dtype=np.int64), table["tags_id"].to_numpy(dtype=np.int64)
        return node, tags, costs_of(table, profile.metric_names)
    values = costs_of(profile.nodes, profile.metric_names)
    node = np.flatnonzero((values != 0).any(axis=1))
    return node, np.zeros(len(node), dtype=np.int64), values[node]


def _joint_tags(after: pd.DataFrame, before: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The sets of labels of both, those of ``after`` with their own numbers, and the new numbers of ``before``'s."""
    known = {labels: number for number, labels in _sets(after).items()}
    renamed = np.zeros(int(before["tags_id"].max()) + 1 if len(before) else 1, dtype=np.int64)
    following = int(after["tags_id"].max()) + 1 if len(after) else 1
    fresh: list[int] = []
    for number, labels in _sets(before).items():
        if labels not in known:
            known[labels] = following
            following += 1
            fresh.append(number)
        renamed[number] = known[labels]
    more = before[before["tags_id"].isin(fresh)]
    if more.empty:
        return after, renamed
    more = more.assign(tags_id=renamed[more["tags_id"].to_numpy(dtype=np.int64)])
    return pd.concat([after, more], ignore_index=True) if len(after) else more.reset_index(drop=True), renamed


def _sets(tags: pd.DataFrame) -> dict[int, tuple[tuple[str, str, str], ...]]:
    """The labels of each tags_id, in an order that does not depend on the file."""
    sets: dict[int, list[tuple[str, str, str]]] = {}
    for number, key, value, unit in tags[["tags_id", "key", "value", "unit"]].itertuples(index=False):
        sets.setdefault(int(number), []).append((key, value, unit))
    return {number: tuple(sorted(labels)) for number, labels in sets.items()}

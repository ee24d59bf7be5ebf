"""Several profiles as one: their sum, and the difference of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import FUNCTION_COLUMNS, cost_, self_, total_
from workbench.profiles.labels import labels_of
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_graph, only
from workbench.profiles.notes import Note
from workbench.profiles.share import whole_of
from workbench.profiles.transforms.group import without_levels
from workbench.profiles.transforms.matching import Matching, matching, unmatched
from workbench.profiles.transforms.overlay import Overlay, overlay, overlay_of_builds, same_functions
from workbench.profiles.transforms.stacks import as_stacks, with_tree
from workbench.profiles.tree import add_at, costs_of, depths, subtree_sums, totals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["none", "total"]

# how times of headers are combined
_OF_ALL: dict[str, Callable[[list[Any]], Any]] = {
    "duration_ns": sum,
    "time_ns": min,
    "start_s": min,
    "period": max,
    "window_start_s": min,
    "window_end_s": max,
}


def merge(profiles: Sequence[Profile]) -> Profile:
    """The sum of profiles with the same metrics: of call graphs as a graph, otherwise as stacks.

    Frames are the same if function, file, line, object and inlining are equal; for pprof-rs if the name is. Labels of
    samples and the formats' own tables are not kept, since they belong to one profile. ``meta`` keeps what is equal in
    all; as in pprof (profile/merge.go) durations add up, the start is the earliest and the period the largest.

    Raises WorkbenchError without profiles, or if metrics or units differ.
    """
    if not profiles:
        raise WorkbenchError("there is nothing to merge", where="merge")
    first = profiles[0]
    for other in profiles[1:]:
        _same_metrics(first, other)
    if len(profiles) == 1:
        return first
    notes = [note for profile in profiles for note in profile.notes]
    if all(profile.basis == "graph" for profile in profiles):
        return _merged_graph(profiles, notes)
    stacks = [as_stacks(profile) for profile in profiles]
    joint = overlay(stacks)
    size = len(joint.parent)
    if any(len(profile.samples) for profile in profiles):
        notes.append(Note("labels of samples were left out when profiles were merged"))
    merged = with_tree(
        stacks[0],
        np.sum([_costs(one, node, size) for one, node in zip(stacks, joint.node_of, strict=True)], axis=0),
        parent=joint.parent,
        frame=joint.frame,
        frames=joint.frames,
        exact=_exact(stacks, joint),
    )
    return _of_all(merged, profiles, notes)


@dataclass(frozen=True, eq=False)
class Difference:
    """The changes from ``before`` to ``after`` in one metric.

    ``functions``: name, file, object, crate, before_self, after_self, change_self, before_total, after_total,
    change_total, ratio_total (after / before; NaN if before is not above 0), state (``both``, ``added`` or
    ``removed``), matched_by (see :mod:`workbench.profiles.transforms.matching`; "" if it is not in both), label (see
    :mod:`workbench.profiles.labels`), sorted by size of the change in self, then in total. Figures are multiplied by
    ``factors``, as ``scaling`` says. ``before_sum`` and ``after_sum`` are the unscaled sums. ``before`` and ``after``
    are without levels of recursion.
    """

    before: Profile
    after: Profile
    metric: Metric
    factors: tuple[float, float]
    scaling: str
    functions: pd.DataFrame
    match: Matching

    @property
    def before_sum(self) -> float:
        """The metric's sum before."""
        return float(self.before.total(self.metric.name))

    @property
    def after_sum(self) -> float:
        """The metric's sum after."""
        return float(self.after.total(self.metric.name))

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes of both profiles, and what could not be matched, with its weight on its own side."""
        return (*dict.fromkeys((*self.before.notes, *self.after.notes)), *self.unmatched)

    @property
    def unmatched(self) -> tuple[Note, ...]:
        """Functions of only one side, with their weight there."""
        name = self.metric.name
        sides = [(side.functions[self_(name)].to_numpy() * factor) for side, factor in self._sides]
        return unmatched(self.match, *sides, metric=name)

    @property
    def frames(self) -> pd.DataFrame:
        """The frames of both profiles."""
        return self._joint.frames

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """The joint tree in preorder, made at first use: parent_id, depth, frame_id (of ``frames``), exact,
        before_self, after_self, before_total, after_total, state."""
        joint = self._joint
        size = len(joint.parent)
        nodes = pd.DataFrame(
            {
                "parent_id": joint.parent,
                "depth": depths(joint.parent),
                "frame_id": joint.frame,
                "exact": _exact(self._stacks, joint),
            }
        )
        sides = zip(("before", "after"), self._stacks, joint.node_of, self.factors, strict=True)
        for label, profile, node, factor in sides:
            costs = _costs(profile, node, size) * factor
            nodes[f"{label}_self"] = costs[:, 0]
            nodes[f"{label}_total"] = subtree_sums(joint.parent, costs)[:, 0]
        nodes["state"] = _state(*(_present(node, size) for node in joint.node_of))
        return nodes

    @property
    def _sides(self) -> tuple[tuple[Profile, float], ...]:
        return (self.before, self.factors[0]), (self.after, self.factors[1])

    @cached_property
    def _stacks(self) -> tuple[Profile, Profile]:
        return as_stacks(only(self.before, self.metric.name)), as_stacks(only(self.after, self.metric.name))

    @cached_property
    def _joint(self) -> Overlay:
        return overlay_of_builds(*self._stacks, self.match)


def difference(
    before: Profile,
    after: Profile,
    metric: str | None = None,
    *,
    scale: Scale = "none",
    per: tuple[float, float] | None = None,
) -> Difference:
    """The difference of ``after`` from ``before``.

    ``scale="total"`` compares shares: ``before`` is scaled to the sum of ``after``. ``per=(n, m)`` compares costs per
    unit of work: ``before`` did n units (for example receipts), ``after`` m; all figures are then per unit.

    Functions are matched by :func:`workbench.profiles.transforms.matching.matching`, regardless of recursion levels;
    nodes match if all functions on their paths do, except those that :mod:`workbench.profiles.transforms.alignment`
    skips.

    Raises WorkbenchError if a metric is missing or has different units, or for invalid scales.
    """
    chosen = after.metric(metric)
    if before.metric(chosen.name).unit != chosen.unit:
        raise WorkbenchError(
            f"{chosen.name} is in {before.metric(chosen.name).unit} before and in {chosen.unit} after",
            where=f"{before.name} and {after.name}",
        )
    factors, scaling = _factors(before, after, chosen, scale, per)
    before, after = without_levels(before), without_levels(after)
    match = matching(before.functions, after.functions)
    table = _functions(before, after, match, chosen.name, factors)
    return Difference(before, after, chosen, factors, scaling, functions=table, match=match)


def _costs(profile: Profile, node_of: NDArray[np.int64], size: int) -> NDArray[Any]:
    return add_at(size, node_of, costs_of(profile.nodes, profile.metric_names))


def _exact(profiles: Sequence[Profile], joint: Overlay) -> NDArray[np.bool_]:
    exact = np.ones(len(joint.parent), dtype=bool)
    for profile, node in zip(profiles, joint.node_of, strict=True):
        np.logical_and.at(exact, node, profile.nodes["exact"].to_numpy(dtype=bool))
    return exact


def _present(node: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    there = np.zeros(size, dtype=bool)
    there[node] = True
    return there


def _merged_graph(profiles: Sequence[Profile], notes: list[Note]) -> Profile:
    first = profiles[0]
    names = first.metric_names
    stacked = pd.concat([profile.functions for profile in profiles], ignore_index=True)
    codes = same_functions(profiles)
    _, at = np.unique(codes, return_index=True)
    functions = stacked.iloc[at][list(FUNCTION_COLUMNS)].reset_index(drop=True)
    # pstats has primitive calls beside the calls
    counts = [name for name in ("calls", "primitive_calls") if name in stacked]
    for name in counts:
        functions[name] = stacked[name].astype("Int64").groupby(codes).sum(min_count=1).reset_index(drop=True)
    own = add_at(len(functions), codes, costs_of(stacked, names))
    # profiles do not call each other: the total is the sum of the totals, even if joined they have a cycle
    totals = add_at(len(functions), codes, totals_of(stacked, names))
    for position, name in enumerate(names):
        functions[self_(name)], functions[total_(name)] = own[:, position], totals[:, position]
    functions["total_exact"] = stacked["total_exact"].groupby(codes).all().reset_index(drop=True)
    starts = np.cumsum([0, *(len(profile.functions) for profile in profiles)])
    edges = pd.concat(
        [
            profile.edges.assign(
                caller_id=codes[profile.edges["caller_id"].to_numpy() + start],
                callee_id=codes[profile.edges["callee_id"].to_numpy() + start],
            )
            for profile, start in zip(profiles, starts, strict=False)
        ],
        ignore_index=True,
    )
    costs = [*(name for name in counts if name in edges), *(cost_(name) for name in names)]
    edges = edges.groupby(["caller_id", "callee_id"], sort=False, as_index=False)[costs].sum(min_count=1)
    lines = pd.concat(
        [
            profile.lines.assign(function_id=codes[profile.lines["function_id"].to_numpy(dtype=np.int64) + start])
            for profile, start in zip(profiles, starts, strict=False)
            if len(profile.lines)
        ]
        or [first.lines],
        ignore_index=True,
    )
    if len(lines):
        lines = lines.groupby(["function_id", "file", "line"], sort=False, as_index=False).sum()
    merged = from_graph(
        first.format,
        first.name,
        metrics=first.metrics,
        functions=functions,
        edges=edges[["caller_id", "callee_id", *costs]],
        default_metric=first.default_metric,
        lines=lines,
    )
    return _of_all(merged, profiles, notes)


def _functions(
    before: Profile, after: Profile, match: Matching, metric: str, factors: tuple[float, float]
) -> pd.DataFrame:
    stacked = pd.concat([before.functions, after.functions], ignore_index=True)
    codes = match.code
    _, first = np.unique(codes, return_index=True)
    table = stacked.iloc[first][["function", "file", "object", "crate"]].reset_index(drop=True)
    table = table.rename(columns={"function": "name"})
    split = len(before.functions)
    present = []
    sides = (("before", before, codes[:split], factors[0]), ("after", after, codes[split:], factors[1]))
    for label, side, at, factor in sides:
        costs = side.functions[[self_(metric), total_(metric)]].to_numpy() * factor
        summed = add_at(len(table), at, costs)
        table[f"{label}_self"], table[f"{label}_total"] = summed[:, 0], summed[:, 1]
        present.append(_present(at, len(table)))
    table["change_self"] = table["after_self"] - table["before_self"]
    table["change_total"] = table["after_total"] - table["before_total"]
    table["ratio_total"] = table["after_total"] / table["before_total"].where(table["before_total"] > 0)
    table["state"] = _state(present[0], present[1])
    table["matched_by"] = pd.Series(match.by, dtype="str")
    table["label"] = pd.Series(labels_of(stacked.iloc[first]), dtype="str")
    columns = [
        "name", "file", "object", "crate", "before_self", "after_self", "change_self", "before_total", "after_total",
        "change_total", "ratio_total", "state", "matched_by", "label",
    ]  # fmt: skip
    own, total = (table[f"change_{which}"].abs().to_numpy(dtype=float) for which in ("self", "total"))
    order = np.lexsort((-total, -own))
    return table.iloc[order][columns].reset_index(drop=True)


def _factors(
    before: Profile, after: Profile, metric: Metric, scale: Scale, per: tuple[float, float] | None
) -> tuple[tuple[float, float], str]:
    if per is not None:
        if not all(math.isfinite(units) and units > 0 for units in per) or scale != "none":
            raise WorkbenchError(
                f"cannot compare per unit of work with {per} units and scale={scale!r}",
                where="difference",
                hint="Give two numbers above 0 and no scale",
            )
        return (1 / per[0], 1 / per[1]), f"per unit of work, {per[0]:,.10g} before and {per[1]:,.10g} after"
    if scale == "none":
        return (1, 1), "absolute"
    if scale != "total":
        raise WorkbenchError(f"there is no scale {scale!r}", where="difference", hint="There are none and total")
    if not metric.additive:
        raise WorkbenchError(
            f"{metric.name} is a ratio and has no total to scale by",
            where="difference",
            hint="Compare without scaling, or by a metric that can be summed",
        )
    for profile in (before, after):
        if not whole_of(profile, metric.name) > 0:
            raise WorkbenchError(
                f"{metric.name} sums to {profile.total(metric.name):,.10g}, with negative costs or without any",
                where=profile.name,
                hint="Compare without scaling",
            )
    factor = float(after.total(metric.name)) / float(before.total(metric.name))
    return (factor, 1), f"before scaled by {factor:.6g} to the total of after"


def _same_metrics(one: Profile, other: Profile) -> None:
    mine = [(metric.name, metric.unit) for metric in one.metrics]
    theirs = [(metric.name, metric.unit) for metric in other.metrics]
    if mine != theirs:
        raise WorkbenchError(
            f"their metrics differ: {mine} and {theirs}",
            where=f"{one.name} and {other.name}",
            hint="Merge profiles of one tool and one set of options",
        )


def _of_all(merged: Profile, profiles: Sequence[Profile], notes: Sequence[Note]) -> Profile:
    """The merged profile with a joint name and header."""
    metas = [profile.meta for profile in profiles]
    meta = {key: value for key, value in metas[0].items() if all(_agree(value, other.get(key)) for other in metas[1:])}
    for key, combine in _OF_ALL.items():
        meta.pop(key, None)
        # the duration of only some would be too short for the costs of all
        if all(other.get(key) for other in metas):
            meta[key] = combine([other[key] for other in metas])
    return merged.but(
        name=f"{len(profiles)} profiles",
        notes=tuple(notes),
        meta=meta,
        samples=merged.samples.iloc[:0],
        tags=merged.tags.iloc[:0],
        tables={},
    )


def _agree(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _state(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> pd.Series[str]:
    return pd.Series(np.where(before & after, "both", np.where(after, "added", "removed")), dtype="str")

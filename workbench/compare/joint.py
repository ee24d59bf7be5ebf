"""The call graphs of two builds merged: each function and each call with its cost per receipt before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.findings.code import of_the_system, roles
from workbench.profiles.columns import cost_, self_
from workbench.profiles.cycles import components
from workbench.profiles.transforms.group import legible, without_levels
from workbench.profiles.transforms.matching import matching
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Both graphs. All figures are per receipt, in two rows: before and after.

    ``receipts``: how many were measured on each side.
    Per function: ``names``, ``system`` (it belongs to a system library),
    ``role`` (see :mod:`workbench.analysis.findings.code`), ``own`` cost and ``times`` called,
    ``state`` (both, added, removed).
    Per call: ``caller``, ``callee``, ``calls`` and ``cost``, that of the callee with everything it called. Calls of a
    function to itself are left out. ``order`` lists the functions, callers before callees. A cycle has no such order:
    its functions are sorted by how many calls they are away from its entry, and ``back`` marks the calls against the
    order. ``inner`` are calls within a cycle: their costs repeat and are not used.
    """

    receipts: tuple[float, float]
    names: tuple[str, ...]
    files: tuple[str, ...]
    crates: tuple[str, ...]
    system: tuple[bool, ...]
    role: NDArray[np.object_]
    own: Floats
    times: Floats
    state: NDArray[np.object_]
    caller: Whole
    callee: Whole
    calls: Floats
    cost: Floats
    order: Whole
    back: NDArray[np.bool_]
    inner: NDArray[np.bool_]

    @property
    def whole(self) -> tuple[float, float]:
        """What a receipt costs, before and after."""
        return float(self.own[0].sum()), float(self.own[1].sum())


def joint(before: Profile, after: Profile, metric: str, receipts: tuple[float, float]) -> Joint:
    """The two call graphs merged for one metric; functions are matched by
    :func:`workbench.profiles.transforms.matching.matching`."""
    sides = [legible(without_levels(profile)) for profile in (before, after)]
    tables = [side.functions for side in sides]
    code = matching(*tables).code
    split, count = len(tables[0]), int(code.max(initial=-1)) + 1
    codes = (code[:split], code[split:])
    own, times = np.zeros((2, count)), np.zeros((2, count))
    there = np.zeros((2, count), dtype=bool)
    ends, parts = [], []
    for side, (profile, table, number, sent) in enumerate(zip(sides, tables, codes, receipts, strict=True)):
        own[side] = add_at(count, number, table[self_(metric)].to_numpy(dtype=np.float64)[:, None])[:, 0] / sent
        times[side] = add_at(count, number, _counts(table)[:, None])[:, 0] / sent
        there[side, number] = True
        edges = profile.edges
        ends.append(np.stack([number[edges[end].to_numpy(dtype=np.int64)] for end in ("caller_id", "callee_id")]))
        parts.append(np.stack([_counts(edges), edges[cost_(metric)].to_numpy(dtype=np.float64)]) / sent)
    caller, callee, calls, cost = _edges(count, ends, parts)
    component = components(count, caller, callee)
    inner = component[caller] == component[callee]
    distance = _distance(count, caller, callee, component, inner)
    order = np.lexsort((distance, -component))
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    names, files, crates, objects, kinds = _described(sides, tables, code, count)
    return Joint(
        receipts, names, files, crates, tuple(map(of_the_system, objects)), kinds, own, times,
        state=np.where(there.all(axis=0), "both", np.where(there[1], "added", "removed")).astype(object),
        caller=caller, callee=callee, calls=calls, cost=cost,
        order=order, back=place[caller] >= place[callee], inner=inner,
    )  # fmt: skip


def _counts(table: pd.DataFrame) -> Floats:
    counts: Floats = table["calls"].astype("Float64").fillna(0).to_numpy(dtype=np.float64)
    return counts


def _edges(count: int, ends: list[Whole], parts: list[Floats]) -> tuple[Whole, Whole, Floats, Floats]:
    """The calls of both sides, each pair of caller and callee once."""
    keys = [caller * count + callee for caller, callee in ends]
    known, at = np.unique(np.concatenate(keys), return_inverse=True)
    both = np.zeros((2, 2, len(known)))
    for side, (key, start) in enumerate(zip(keys, (0, len(keys[0])), strict=True)):
        both[side] = add_at(len(known), at.reshape(-1)[start : start + len(key)], parts[side].T).T
    apart = known // max(count, 1) != known % max(count, 1)
    kept, both = known[apart], both[:, :, apart]
    return kept // max(count, 1), kept % max(count, 1), both[:, 0], both[:, 1]


def _distance(count: int, caller: Whole, callee: Whole, component: Whole, inner: NDArray[np.bool_]) -> Whole:
    """How many calls a function is away from the entry of its cycle; 0 outside of cycles."""
    distance = np.zeros(count, dtype=np.int64)
    cyclic = np.zeros(count, dtype=bool)
    cyclic[caller[inner]] = cyclic[callee[inner]] = True
    entered = np.zeros(count, dtype=bool)
    entered[callee[~inner]] = True
    reached = cyclic & entered
    # a cycle without an entry, as when the window began inside it, has all its functions at one distance
    seen = reached | ~cyclic
    level = 0
    while reached.any():
        level += 1
        fresh = np.zeros(count, dtype=bool)
        fresh[callee[inner & reached[caller]]] = True
        reached = fresh & ~seen
        distance[reached] = level
        seen |= reached
    return distance


def _described(
    sides: list[Profile], tables: list[pd.DataFrame], code: Whole, count: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], NDArray[np.object_]]:
    """Names, files, crates, objects and roles of the functions; those of after if both sides have the function."""
    described: list[tuple[str, ...]] = []
    at = np.full(count, -1, dtype=np.int64)
    at[code] = np.arange(len(code))
    for column in ("function", "file", "crate", "object"):
        values = [*tables[0][column], *tables[1][column]]
        described.append(tuple(str(values[row]) for row in at.tolist()))
    kinds = np.concatenate([roles(table) for table in tables])[at]
    names, files, crates, objects = described
    return names, files, crates, objects, kinds

"""Views of a massif profile: memory over time, allocators, growth between two snapshots, possible leaks.

A detailed snapshot has a heap tree; the others have only sums. Allocators are those of ``heap_sites``. Massif does not
list places below its threshold: their bytes are in the row ``rest``, so that every snapshot adds up to its heap.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.names import apart
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.massif.reader import choose, heap_profile
from workbench.profiles.views.heap_leaks import Leaks, leak_candidates
from workbench.profiles.views.heap_sites import (
    PLUMBING,
    By,
    Plumbing,
    bytes_by_allocator,
    described,
    pieces,
    require_massif,
    skipped,
    time_of,
)

__all__ = [
    "PLUMBING",
    "REST",
    "By",
    "Leaks",
    "Plumbing",
    "allocation_sites",
    "allocators_over_time",
    "at_snapshot",
    "growth",
    "leak_candidates",
    "timeline",
    "top_allocators",
]

REST = "rest"


def timeline(profile: Profile) -> pd.DataFrame:
    """Memory at each snapshot in bytes, with ``time`` in ``meta["time_unit"]``, and which snapshot is massif's peak and
    which the largest. Massif's peak is exact to 1 %, so the two can differ."""
    require_massif(profile)
    table = profile.tables["snapshots"].copy()
    table["is_peak"] = table["kind"] == "peak"
    table["is_largest"] = table["snapshot"] == profile.meta["largest_snapshot"]
    return table


def at_snapshot(profile: Profile, snapshot: int | str) -> Profile:
    """The same profile with the heap tree of another snapshot as its call tree: a number, ``peak``, ``largest``,
    ``first`` or ``last``. Raises ReadError if that snapshot has none."""
    require_massif(profile)
    detailed = profile.meta["detailed"]
    number, why = choose(profile.tables["snapshots"], detailed, snapshot, profile.name)
    meta = {**profile.meta, "nodes_snapshot": number, "nodes_why": why}
    return heap_profile(profile.name, profile.arrays.frames, profile.arrays.tables, meta, NoteBook())


def allocation_sites(
    profile: Profile, snapshot: int | str | None = None, *, plumbing: Plumbing = PLUMBING
) -> pd.DataFrame:
    """The allocators of one snapshot: allocator, function, file, line, object, crate, bytes, share_pct of the heap,
    number of stacks, and ``skipped``: the allocator functions skipped in the largest stack.

    ``snapshot``: None is that of the profile's call tree.
    """
    require_massif(profile)
    columns = (
        "allocator", "function", "file", "line", "object", "crate", "bytes", "share_pct", "stacks", "skipped"
    )  # fmt: skip
    number = profile.meta["nodes_snapshot"] if snapshot is None else _number(profile, snapshot)
    parts = pieces(profile, plumbing)
    parts = parts[parts["snapshot"] == number].sort_values("bytes", ascending=False, kind="stable")
    if parts.empty:
        return pd.DataFrame(columns=list(columns))
    groups = parts.groupby("frame_id", sort=False)
    table = groups.agg(bytes=("bytes", "sum"), stacks=("bytes", "size"), top=("top", "first"), first=("first", "first"))
    table = table.reset_index().rename(columns={"frame_id": "key"}).sort_values("bytes", ascending=False, kind="stable")
    out = described(profile, table.reset_index(drop=True), "site")
    out["share_pct"] = _share(out["bytes"], int(out["bytes"].sum()))
    out["skipped"] = [skipped(profile, top, first) for top, first in zip(table["top"], table["first"], strict=True)]
    return out[list(columns)]


def top_allocators(
    profile: Profile, n: int = 10, *, by: By = "function", plumbing: Plumbing = PLUMBING
) -> pd.DataFrame:
    """Bytes of the ``n`` largest allocators at each detailed snapshot, in long form: snapshot, time, allocator, bytes,
    share_pct of the heap. ``rest`` is all other allocators, including those below the threshold, so that each snapshot
    adds up to its heap. Allocators are ordered by their largest snapshot; an allocator not listed by massif has 0."""
    require_massif(profile)
    wide = bytes_by_allocator(profile, by, plumbing)
    keep = wide.drop(columns=[key for key in wide if key < 0])
    order = keep.max().sort_values(ascending=False, kind="stable").index[: max(n, 0)]
    names = described(profile, pd.DataFrame({"key": order}), by)["allocator"]
    # two functions of one name are two allocators
    chosen = wide[order].set_axis(apart(names.tolist(), "[{}]"), axis=1)
    heap = wide.sum(axis=1)
    chosen[REST] = heap - chosen.sum(axis=1)
    long = chosen.rename_axis("snapshot").reset_index().melt("snapshot", var_name="allocator", value_name="bytes")
    long["allocator"] = long["allocator"].astype("str")
    long["share_pct"] = _share(long["bytes"], long["snapshot"].map(heap))
    long.insert(1, "time", long["snapshot"].map(time_of(profile)))
    return long.sort_values("snapshot", kind="stable").reset_index(drop=True)


def allocators_over_time(
    profile: Profile, n: int = 10, *, by: By = "function", plumbing: Plumbing = PLUMBING
) -> pd.DataFrame:
    """:func:`top_allocators` at every snapshot. Snapshots without a heap tree have only the heap's size: there each
    allocator keeps its bytes of the previous tree, all reduced by the same factor if the heap has shrunk since; growth
    of the heap is ``rest``. There ``measured`` is False and ``bytes`` a float."""
    top = top_allocators(profile, n, by=by, plumbing=plumbing)
    times = timeline(profile)[["snapshot", "time", "heap_bytes"]]
    names = [name for name in dict.fromkeys(top["allocator"]) if name != REST]
    heap = times.set_index("snapshot")["heap_bytes"].astype("float64")
    last = heap.where(heap.index.isin(profile.meta["detailed"])).ffill()
    held = top.pivot(index="snapshot", columns="allocator", values="bytes").reindex(index=heap.index, columns=names)
    held = held.ffill().fillna(0.0).mul((heap / last).clip(upper=1.0).fillna(0.0), axis=0)
    held[REST] = heap - held.sum(axis=1)
    long = held.rename_axis("snapshot").reset_index().melt("snapshot", var_name="allocator", value_name="bytes")
    long["allocator"] = long["allocator"].astype("str")
    long.insert(1, "time", long["snapshot"].map(time_of(profile)))
    long["measured"] = long["snapshot"].isin(profile.meta["detailed"])
    return long


def growth(
    profile: Profile,
    before: int | str | None = None,
    after: int | str | None = None,
    *,
    by: By = "site",
    plumbing: Plumbing = PLUMBING,
) -> pd.DataFrame:
    """Changes between two snapshots with heap trees (by default the first and the last): allocator, function, file,
    line, before_bytes, after_bytes, change_bytes, share_pct of the heap's change, and unsure_bytes.

    An allocator that massif did not list on one side had at most ``unsure_bytes`` there, the snapshot's bytes below the
    threshold; its change is uncertain by that much. The changes of all rows add up to the heap's change.
    """
    require_massif(profile)
    detailed = profile.meta["detailed"]
    if len(detailed) < 2 and (before is None or after is None):
        raise WorkbenchError(
            f"growth needs two snapshots with heap trees, found {len(detailed)}",
            where=profile.name,
            hint="Run massif longer, or with a smaller --detailed-freq",
        )
    one = detailed[0] if before is None else _number(profile, before)
    two = detailed[-1] if after is None else _number(profile, after)
    wide = bytes_by_allocator(profile, by, plumbing)
    hidden = _hidden(profile)
    sides = wide.loc[[one, two]]
    table = pd.DataFrame(
        {
            "key": wide.columns.to_numpy(dtype=np.int64),
            "before_bytes": sides.iloc[0].to_numpy(),
            "after_bytes": sides.iloc[1].to_numpy(),
        }
    )
    table["change_bytes"] = table["after_bytes"] - table["before_bytes"]
    listed = table["key"] >= 0
    table["unsure_bytes"] = np.where(listed & (table["before_bytes"] == 0), hidden[one], 0) + np.where(
        listed & (table["after_bytes"] == 0), hidden[two], 0
    )
    table = table[(table["before_bytes"] > 0) | (table["after_bytes"] > 0)]
    table = table.sort_values("change_bytes", ascending=False, kind="stable").reset_index(drop=True)
    out = described(profile, table, by)
    out["share_pct"] = _share(out["change_bytes"], int(out["change_bytes"].sum()))
    columns = ["allocator", "function", "file", "line", "before_bytes", "after_bytes", "change_bytes", "share_pct"]
    return out[[*columns, "unsure_bytes"]]


def _number(profile: Profile, snapshot: int | str) -> int:
    number, _ = choose(profile.tables["snapshots"], profile.meta["detailed"], snapshot, profile.name)
    if number is None:
        raise WorkbenchError("no snapshot has a heap tree", where=profile.name, hint="Run massif longer")
    return number


def _hidden(profile: Profile) -> dict[int, int]:
    """Bytes below the threshold at each detailed snapshot."""
    heap = profile.tables["heap_trees"]
    sums = heap["bytes"].where(heap["below_threshold"], 0).groupby(heap["snapshot"]).sum()
    return {int(number): int(amount) for number, amount in sums.items()}


def _share(part: pd.Series, whole: pd.Series | int) -> pd.Series:
    return (100 * part / (whole if isinstance(whole, pd.Series) else float(whole or np.nan))).astype("float64")

"""The basis of all transforms of stacks: drop costs, leave out frames, and rebuild the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.columns import TIMELINE
from workbench.profiles.distinct import ascending
from workbench.profiles.frames import identify
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import Note
from workbench.profiles.table import Table
from workbench.profiles.tree import add_at, costs_of, regrow, subtree_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.table import TableLike


def as_stacks(profile: Profile) -> Profile:
    """The profile with basis "stacks". A call graph gets the tree built from it: nodes with an assumed share keep
    ``exact=False``, and a note gives their part of the total.
    """
    if profile.basis == "stacks":
        return profile
    return with_tree(profile, costs_of(profile.arrays.nodes, profile.metric_names)).with_notes(*profile.tree_notes())


def with_tree(
    profile: Profile,
    self_costs: NDArray[Any],
    *,
    parent: NDArray[np.int64] | None = None,
    frame: NDArray[np.int64] | None = None,
    frames: TableLike | None = None,
    exact: NDArray[np.bool_] | None = None,
    node_of: NDArray[np.int64] | None = None,
) -> Profile:
    """The profile with these costs per node and, if given, another tree and frames.

    ``node_of``: the new node of each old node, -1: no longer in the profile. Samples and tables with node numbers
    (system calls) are renumbered. Tables with numbers of frames or functions are dropped with other frames, and the
    time line with any change, since its spans belong to the old tree.
    """
    nodes = profile.arrays.nodes
    kept = profile.arrays.tables.without(TIMELINE)
    tables = {
        # a table with its own frames has its own nodes: massif's trees
        name: table if "frame_id" in table else _followed(table, node_of)
        for name, table in kept.items()
        if frames is None or not {"frame_id", "function_id"} & set(table.columns)
    }
    return from_stacks(
        profile.format,
        profile.name,
        metrics=profile.metrics,
        frames=profile.arrays.frames if frames is None else frames,
        parent=nodes["parent_id"] if parent is None else parent,
        frame=nodes["frame_id"] if frame is None else frame,
        self_costs=self_costs,
        default_metric=profile.default_metric,
        exact=nodes["exact"].astype(bool) if exact is None else exact,
        samples=_followed(profile.arrays.samples, node_of),
        tags=profile.arrays.tags,
        tables=tables,
        meta=profile.meta,
        notes=profile.notes,
    )


def restack(
    profile: Profile,
    *,
    keep_frame: NDArray[np.bool_] | None = None,
    keep_cost: NDArray[np.bool_] | None = None,
    frame: NDArray[np.int64] | None = None,
    frames: TableLike | None = None,
    what: str,
) -> Profile:
    """Rebuild the tree of a profile of stacks.

    ``keep_cost``: whether each node's self cost stays in the profile. ``keep_frame``: whether the node stays in its
    stacks; otherwise its cost goes to the nearest kept ancestor, or is dropped without one. ``frame`` and ``frames``
    give nodes new frames; siblings with the same one are joined. Nodes without cost are removed. ``what`` names the
    transform in the note on the dropped weight.
    """
    nodes = profile.arrays.nodes
    names = profile.metric_names
    parent = nodes["parent_id"]
    own = costs_of(nodes, names)
    before = own.sum(axis=0)
    if keep_cost is not None:
        own = np.where(keep_cost[:, None], own, 0)
    keep = np.ones(len(parent), dtype=bool) if keep_frame is None else keep_frame
    if names:
        # costs can be negative in differences
        keep = keep & (subtree_sums(parent, np.abs(own)) != 0).any(axis=1)
    tree = regrow(parent, nodes["frame_id"] if frame is None else frame, keep)
    costs = add_at(len(tree.parent), tree.node_of, own)
    exact = np.ones(len(tree.parent), dtype=bool)
    stays = tree.node_of >= 0
    np.logical_and.at(exact, tree.node_of[stays], nodes["exact"].astype(bool)[stays])
    table, used = used_frames(profile.arrays.frames if frames is None else Table.of(frames), tree.frame)
    grown = with_tree(
        profile,
        costs,
        parent=tree.parent,
        frame=used,
        frames=table,
        exact=exact,
        node_of=tree.node_of if keep_cost is None else np.where(keep_cost, tree.node_of, -1),
    )
    return grown.with_notes(*dropped(profile, before - costs.sum(axis=0), what))


def dropped(profile: Profile, lost: NDArray[Any], what: str) -> list[Note]:
    """A note with the part of ``lost`` (a figure per metric) in the default metric; none if it is 0."""
    if not profile.metrics:
        return []
    weight = lost[profile.metric_names.index(profile.default_metric)].item()
    return [Note(f"dropped by {what}", metric=profile.default_metric, weight=weight)] if weight else []


def used_frames(frames: Table, frame: NDArray[np.int64]) -> tuple[Table, NDArray[np.int64]]:
    """Only the used frames, renumbered."""
    kept = ascending(frame)
    table = frames.take(kept)
    return table.assign(function_id=identify(table)), np.searchsorted(kept, frame).astype(np.int64)


def _followed(table: Table, node_of: NDArray[np.int64] | None) -> Table:
    """The rows whose node still exists, with its new number."""
    if node_of is None or "node_id" not in table or not len(table):
        return table
    node = node_of[table["node_id"].astype(np.int64)]
    return table.take(node >= 0).assign(node_id=node[node >= 0])

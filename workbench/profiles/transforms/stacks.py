"""What all transforms of stacks stand on: dropping costs, leaving out frames, and growing the tree again."""

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
    """The profile with basis "stacks". That of a call graph gets the tree built from it: nodes whose share was assumed
    keep ``exact=False``, and a note says how much of the total they are.
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
    """The profile with these costs a node, and where given with another tree and frames.

    ``node_of`` says where what was recorded at each old node is now, -1: no longer in the profile. Samples and the rows
    of tables that speak of nodes by number (system calls) follow it, so that they stay what the tree is made of. Tables
    that speak of frames or functions by number do not outlive other frames, and the time line, whose spans are those of
    the tree before, no change at all.
    """
    nodes = profile.arrays.nodes
    kept = profile.arrays.tables.without(TIMELINE)
    tables = {
        # a table with frames of its own has nodes of its own: massif's trees
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
    """Grow the tree of a profile of stacks again.

    ``keep_cost`` says, a node, whether what was spent there stays in the profile. ``keep_frame`` says whether the node
    stays in its stacks; without it its costs go to the nearest node above that stays, and are dropped where there is
    none. ``frame`` and ``frames`` give nodes new frames; siblings with the same one become one. Nodes that hold no cost
    any more go. ``what`` names the transform in the note that says the dropped weight.
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
    """A note with what ``lost`` (a figure a metric) is of the default metric; none if that is nothing."""
    if not profile.metrics:
        return []
    weight = lost[profile.metric_names.index(profile.default_metric)].item()
    return [Note(f"dropped by {what}", metric=profile.default_metric, weight=weight)] if weight else []


def used_frames(frames: Table, frame: NDArray[np.int64]) -> tuple[Table, NDArray[np.int64]]:
    """Only the frames that are in use, renumbered."""
    kept = ascending(frame)
    table = frames.take(kept)
    return table.assign(function_id=identify(table)), np.searchsorted(kept, frame).astype(np.int64)


def _followed(table: Table, node_of: NDArray[np.int64] | None) -> Table:
    """The rows whose node is still there, with its new number."""
    if node_of is None or "node_id" not in table or not len(table):
        return table
    node = node_of[table["node_id"].astype(np.int64)]
    return table.take(node >= 0).assign(node_id=node[node >= 0])

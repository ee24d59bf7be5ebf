"""Changes the tree's shape: collapses recursion, inverts it, joins small parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.columns import total_
from workbench.profiles.model import Profile, frame_table
from workbench.profiles.notes import Note
from workbench.profiles.transforms.stacks import as_stacks, restack, with_tree
from workbench.profiles.tree import add_at, costs_of, grow, preorder, sizes_of

TRIMMED = "(trimmed)"


def collapse_recursion(profile: Profile) -> Profile:
    """Join a frame that is called by its own function with its caller. No cost is lost."""
    profile = as_stacks(profile)
    nodes = profile.nodes
    parent = nodes["parent_id"].to_numpy()
    function = profile.frames["function_id"].to_numpy()[nodes["frame_id"].to_numpy()]
    repeats = (parent >= 0) & (function == function[parent]) if len(parent) else np.zeros(0, dtype=bool)
    return restack(profile, keep_frame=~repeats, what="collapse_recursion")


def invert(profile: Profile) -> Profile:
    """Leaves first: roots are the functions with self cost, below them are their callers. Totals of roots are self
    costs."""
    profile = as_stacks(profile)
    nodes = profile.nodes
    names = profile.metric_names
    parent = nodes["parent_id"].to_numpy()
    frame = nodes["frame_id"].to_numpy()
    own = costs_of(nodes, names)
    leaves = np.flatnonzero((own != 0).any(axis=1)) if names else np.arange(len(parent))
    lengths = nodes["depth"].to_numpy()[leaves] + 1
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    flat = np.empty(int(offsets[-1]), dtype=np.int64)
    at = leaves.copy()
    for step in range(int(lengths.max()) if len(lengths) else 0):
        going = lengths > step
        flat[offsets[:-1][going] + step] = frame[at[going]]
        at[going] = parent[at[going]]
    tree = grow(offsets, flat)
    # each stack's cost is at the far end, so that sums from there reach its leaf
    costs = add_at(len(tree.parent), tree.node_of, own[leaves])
    exact = np.ones(len(tree.parent), dtype=bool)
    np.logical_and.at(exact, tree.node_of, nodes["exact"].to_numpy(dtype=bool)[leaves])
    node = np.full(len(parent), -1, dtype=np.int64)
    node[leaves] = tree.node_of
    return with_tree(profile, costs, parent=tree.parent, frame=tree.frame, exact=exact, node_of=node)


def trim(profile: Profile, share: float, metric: str | None = None) -> Profile:
    """Put the nodes whose total is below ``share`` (0 to 1) of the whole together, under each parent as one frame
    ``(trimmed)``. Sums are unchanged; a note gives the number of nodes and their weight. Negative costs, as in
    differences, count by size, so that costs that cancel out are not small.
    """
    if not 0 <= share <= 1:
        raise WorkbenchError(f"{share} is not a share", where="trim", hint="Give a number from 0 to 1, as 0.001")
    profile = as_stacks(profile)
    name = profile.metric(metric).name
    nodes = profile.nodes
    parent = nodes["parent_id"].to_numpy()
    total = nodes[total_(name)].to_numpy()
    size = sizes_of(nodes, name)
    small = size < share * size[parent < 0].sum()
    if not small.any():
        return profile
    # sizes grow toward the root: everything below a small node is joined too
    top = small & ~np.where(parent >= 0, small[parent], False)
    frames = pd.concat([profile.frames, frame_table([TRIMMED]).frame()], ignore_index=True)
    frames["function_id"] = np.concatenate([profile.frames["function_id"].to_numpy(), [len(profile.functions)]])
    frame = np.where(top, len(frames) - 1, nodes["frame_id"].to_numpy())
    weight = float(total[top].sum())
    cut = restack(profile, keep_frame=~small | top, frame=frame, frames=frames, what="trim")
    return cut.with_notes(
        Note(f"nodes below {share:.3%} of {name} joined", int(small.sum()), metric=name, weight=weight)
    )


def sorted_by_weight(profile: Profile, metric: str | None = None) -> Profile:
    """The same tree with the largest child first (left-heavy), by size for negative costs."""
    profile = as_stacks(profile)
    nodes = profile.nodes
    parent = nodes["parent_id"].to_numpy()
    weight = sizes_of(nodes, profile.metric(metric).name)
    depth = nodes["depth"].to_numpy()
    # by depth first, so that parents still come before their children
    by_weight = np.lexsort((-weight, depth))
    place = np.empty(len(parent), dtype=np.int64)
    place[by_weight] = np.arange(len(parent))
    moved = np.where(parent[by_weight] >= 0, place[parent[by_weight]], -1)
    order, ordered = preorder(moved)
    old = by_weight[order]
    new = np.empty(len(parent), dtype=np.int64)
    new[old] = np.arange(len(parent))
    return with_tree(
        profile,
        costs_of(nodes, profile.metric_names)[old],
        parent=ordered,
        frame=nodes["frame_id"].to_numpy()[old],
        exact=nodes["exact"].to_numpy(dtype=bool)[old],
        node_of=new,
    )

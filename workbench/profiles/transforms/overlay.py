"""Joins the trees of several profiles: the basis of merging, comparing and subtracting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.columns import total_
from workbench.profiles.model import Profile, identify
from workbench.profiles.transforms.alignment import Side, aligned
from workbench.profiles.tree import regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.transforms.matching import Matching

# formats that record calls: their trees are built, also after a selection
OF_CALLS = ("callgrind", "pstats")
_SAME_FUNCTION = ("raw_function", "file", "object")
_SAME_FRAME = ("raw_function", "file", "line", "object", "inlined")


@dataclass(frozen=True, slots=True)
class Overlay:
    """One tree in preorder for several profiles. ``node_of[i]`` is the node of each of profile ``i``'s nodes."""

    frames: pd.DataFrame
    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    node_of: tuple[NDArray[np.int64], ...]


def overlay(profiles: Sequence[Profile]) -> Overlay:
    """Join the trees of profiles of stacks: nodes are one if their whole paths have the same frames.

    Frames are the same if raw name, file, line, object and inlining are equal; for pprof-rs if the name is.
    """
    stacked = pd.concat([profile.frames for profile in profiles], ignore_index=True)
    codes = numbered(stacked, ["raw_function"] if joins_by_name(profiles) else _SAME_FRAME)
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    frames = stacked.iloc[first].reset_index(drop=True)
    frames["function_id"] = identify(frames)
    # the trees side by side, parents before children; then siblings with one frame become one
    parents, numbers = [], []
    frames_before = nodes_before = 0
    bounds = [0]
    for profile in profiles:
        parent = profile.nodes["parent_id"].to_numpy()
        parents.append(np.where(parent >= 0, parent + nodes_before, -1))
        numbers.append(codes.reshape(-1)[profile.nodes["frame_id"].to_numpy() + frames_before])
        frames_before += len(profile.frames)
        nodes_before += len(profile.nodes)
        bounds.append(nodes_before)
    tree = regrow(np.concatenate(parents), np.concatenate(numbers), np.ones(nodes_before, dtype=bool))
    node_of = tuple(tree.node_of[low:high] for low, high in pairwise(bounds))
    return Overlay(frames, tree.parent, tree.frame, node_of)


def overlay_of_builds(before: Profile, after: Profile, match: Matching) -> Overlay:
    """The same for two profiles of different builds or windows: nodes are one if their paths have the same functions
    according to ``match``, regardless of lines, after :mod:`workbench.profiles.transforms.alignment`."""
    stacked = pd.concat([before.frames, after.frames], ignore_index=True)
    shift = np.repeat([0, len(before.functions)], [len(before.frames), len(after.frames)])
    codes = match.code[stacked["function_id"].to_numpy(dtype=np.int64) + shift]
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    codes = codes.reshape(-1)
    split = len(before.frames)
    sides = []
    for profile, of_frame in ((before, codes[:split]), (after, codes[split:])):
        nodes = profile.nodes
        weight = nodes[total_(profile.default_metric)].to_numpy()
        parent = nodes["parent_id"].to_numpy()
        calls = profile.format in OF_CALLS
        sides.append(Side(parent, of_frame[nodes["frame_id"].to_numpy()], weight, calls))
    forest = aligned(*sides)
    tree = regrow(forest.parent, forest.function, np.ones(len(forest.parent), dtype=bool))
    frames = stacked.iloc[first].reset_index(drop=True)
    frames["function_id"] = identify(frames)
    low = len(before.nodes)
    return Overlay(frames, tree.parent, tree.frame, (tree.node_of[:low], tree.node_of[low:]))


def same_functions(profiles: Sequence[Profile]) -> NDArray[np.int64]:
    """A number for each row of the profiles' ``functions``, one after another, equal for one function: if raw name,
    file and object are equal; for pprof-rs if the name is."""
    stacked = pd.concat([profile.functions for profile in profiles], ignore_index=True)
    return numbered(stacked, ["raw_function"] if joins_by_name(profiles) else _SAME_FUNCTION)


def joins_by_name(profiles: Sequence[Profile]) -> bool:
    """Whether files cannot distinguish functions: pprof-rs keeps the file and line of the first function seen with a
    name, which changes between reports."""
    return any(profile.meta.get("dialect") == "pprof-rs" for profile in profiles)


def numbered(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """A number for each row, equal for equal columns, in order of appearance."""
    if table.empty:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(table.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy(), dtype=np.int64)

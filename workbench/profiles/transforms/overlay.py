"""The trees of several profiles laid over each other: what merging, comparing and subtracting stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.model import Profile, identify
from workbench.profiles.tree import regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_FRAME = ("raw_function", "file", "line", "object", "inlined")


@dataclass(frozen=True, slots=True)
class Overlay:
    """One tree in preorder for several profiles. ``node_of[i]`` is the node of each of profile ``i``'s nodes."""

    frames: pd.DataFrame
    parent: NDArray[np.int64]
    frame: NDArray[np.int64]
    node_of: tuple[NDArray[np.int64], ...]


def overlay(profiles: Sequence[Profile], same_frame: Sequence[str] = SAME_FRAME) -> Overlay:
    """Lay the trees of profiles of stacks over each other: nodes are one where their whole paths have the same frames.
    Frames are the same where the columns ``same_frame`` are.
    """
    stacked = pd.concat([profile.frames for profile in profiles], ignore_index=True)
    codes = numbered(stacked, same_frame)
    _, first = np.unique(codes, return_index=True)
    frames = stacked.iloc[first].reset_index(drop=True)
    frames["function_id"] = identify(frames)
    # the trees beside each other, parents before children; siblings with one frame then become one
    parents, numbers = [], []
    frames_before = nodes_before = 0
    bounds = [0]
    for profile in profiles:
        parent = profile.nodes["parent_id"].to_numpy()
        parents.append(np.where(parent >= 0, parent + nodes_before, -1))
        numbers.append(codes[profile.nodes["frame_id"].to_numpy() + frames_before])
        frames_before += len(profile.frames)
        nodes_before += len(profile.nodes)
        bounds.append(nodes_before)
    tree = regrow(np.concatenate(parents), np.concatenate(numbers), np.ones(nodes_before, dtype=bool))
    node_of = tuple(tree.node_of[low:high] for low, high in pairwise(bounds))
    return Overlay(frames, tree.parent, tree.frame, node_of)


def numbered(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """A number for each row, equal where the columns are, in order of appearance."""
    if table.empty:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(table.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy(), dtype=np.int64)

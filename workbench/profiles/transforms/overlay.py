"""The trees of several profiles laid over each other: what merging, comparing and subtracting stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.profiles.model import Profile, identify
from workbench.profiles.names import without_build
from workbench.profiles.tree import regrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    """Lay the trees of profiles of stacks over each other: nodes are one where their whole paths have the same frames.

    Frames are the same where raw name, file, line, object and inlining are; of pprof-rs where the name is.
    """
    stacked = pd.concat([profile.frames for profile in profiles], ignore_index=True)
    codes = numbered(stacked, ["raw_function"] if joins_by_name(profiles) else _SAME_FRAME)
    return _laid_over(profiles, stacked, codes)


def overlay_of_builds(before: Profile, after: Profile) -> Overlay:
    """The same for two profiles that may be of two builds: nodes are one where their paths have the same functions, as
    :func:`same_in_both` tells, whatever their lines."""
    stacked = pd.concat([before.frames, after.frames], ignore_index=True)
    codes = same_in_both(before.functions, after.functions)
    shift = np.repeat([0, len(before.functions)], [len(before.frames), len(after.frames)])
    return _laid_over([before, after], stacked, codes[stacked["function_id"].to_numpy(dtype=np.int64) + shift])


def _laid_over(profiles: Sequence[Profile], stacked: pd.DataFrame, codes: NDArray[np.int64]) -> Overlay:
    """The overlay, where ``codes`` number the frames of all profiles, one after another (``stacked``)."""
    _, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    frames = stacked.iloc[first].reset_index(drop=True)
    frames["function_id"] = identify(frames)
    # the trees beside each other, parents before children; siblings with one frame then become one
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


def same_functions(profiles: Sequence[Profile]) -> NDArray[np.int64]:
    """A number for each row of the profiles' ``functions``, one after another, equal where they are one function: where
    raw name, file and object are; of pprof-rs where the name is."""
    stacked = pd.concat([profile.functions for profile in profiles], ignore_index=True)
    return numbered(stacked, ["raw_function"] if joins_by_name(profiles) else _SAME_FUNCTION)


def same_in_both(before: pd.DataFrame, after: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each row of two tables of functions, one after the other, equal where they are one function.

    Those are the same whose raw name, file and object are. Of the others, that only one of the two has, those are the
    same that are alone with their raw name on each side: files and objects move from build to build, and pprof-rs keeps
    any file of a name. Of what is left, those that are alone with their name without the hash of a build.
    """
    stacked = pd.concat([before, after], ignore_index=True)
    is_after = np.arange(len(stacked)) >= len(before)
    raw = stacked["raw_function"]
    codes = _paired(numbered(stacked, _SAME_FUNCTION), raw, is_after)
    values, names = raw.factorize()
    bare = pd.Series(np.asarray([without_build(name) for name in names], dtype=object)[values], dtype="str")
    numbers, _ = pd.factorize(_paired(codes, bare, is_after))
    return np.asarray(numbers, dtype=np.int64)


def _paired(codes: NDArray[np.int64], names: pd.Series[str], is_after: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers of rows of two tables, where of those that only one side has, two that are alone with their name on
    each side have got one number."""
    rows = pd.DataFrame({"code": codes, "name": names, "after": is_after})
    rest = rows[(rows.groupby("code")["after"].transform("nunique") == 1).to_numpy()]
    sides = rest.groupby("name")["after"]
    pairs = rest[(sides.transform("size") == 2) & (sides.transform("nunique") == 2)]
    _, partner = np.unique(pairs["name"].to_numpy(dtype=object), return_inverse=True)
    joined = codes.copy()
    joined[pairs.index.to_numpy()] = codes.max(initial=0) + 1 + partner
    return joined


def joins_by_name(profiles: Sequence[Profile]) -> bool:
    """Whether files cannot tell functions apart: pprof-rs keeps the file and line of whichever function of a name it
    saw first, and that changes from report to report."""
    return any(profile.meta.get("dialect") == "pprof-rs" for profile in profiles)


def numbered(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """A number for each row, equal where the columns are, in order of appearance."""
    if table.empty:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(table.groupby(list(columns), sort=False, dropna=False).ngroup().to_numpy(), dtype=np.int64)

"""Selects stacks and frames, with pprof's meaning of the names (google/pprof, doc/README.md and profile/filter.go).

A pattern is a regular expression searched in the function's name (raw or tidied), the file and the object; that of
``prune_from`` only in the displayed name without arguments. Objects have their base names here, full paths in pprof. If
a pattern matches nothing, the profile gets a note. For a call graph the tree built from it is filtered (see
:func:`workbench.profiles.transforms.stacks.as_stacks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles.chains import levels
from workbench.profiles.distinct import numbered_objects
from workbench.profiles.model import Profile
from workbench.profiles.names import without_argument_list
from workbench.profiles.notes import Note
from workbench.profiles.transforms.patterns import compiled
from workbench.profiles.transforms.stacks import as_stacks, dropped, restack, with_tree
from workbench.profiles.transforms.tag_filter import matching_tags
from workbench.profiles.tree import add_at, costs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def focus(profile: Profile, pattern: str) -> Profile:
    """Keep only stacks with a matching frame."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "focus", pattern), keep_cost=_below(profile, hit), what=f"focus={pattern}")


def ignore(profile: Profile, pattern: str) -> Profile:
    """Keep only stacks without a matching frame."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "ignore", pattern), keep_cost=~_below(profile, hit), what=f"ignore={pattern}")


def hide(profile: Profile, pattern: str) -> Profile:
    """Remove the frames that match; their costs go to their callers. A stack of only such frames is dropped."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "hide", pattern), keep_frame=~hit, what=f"hide={pattern}")


def show(profile: Profile, pattern: str) -> Profile:
    """Keep only the frames that match. A stack without one is dropped."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "show", pattern), keep_frame=hit, what=f"show={pattern}")


def show_from(profile: Profile, pattern: str) -> Profile:
    """Keep only frames from the outermost match on. A stack without a match is dropped."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(
        _said(profile, hit, "show_from", pattern), keep_frame=_below(profile, hit), what=f"show_from={pattern}"
    )


def prune_from(profile: Profile, pattern: str) -> Profile:
    """Cut all stacks below the innermost frame whose name matches; the cost below becomes that frame's self cost.

    The name is the displayed function name without arguments. Files and objects are not matched.
    """
    profile = as_stacks(profile)
    search = compiled(pattern).search
    values, names = numbered_objects(profile.arrays.frames["function"].tolist())
    simple = [without_argument_list(name) for name in names]
    found = np.array([bool(name) and search(name) is not None for name in simple], dtype=bool)
    hit = found[values][profile.arrays.nodes["frame_id"]] if len(found) else np.zeros(0, dtype=bool)
    nodes = profile.arrays.nodes
    parent = nodes["parent_id"]
    ends_at = np.arange(len(parent))
    for level in levels(parent)[1:]:
        above = ends_at[parent[level]]
        ends_at[level] = np.where(~hit[level] & hit[above], above, level)
    costs = add_at(len(parent), ends_at, costs_of(nodes, profile.metric_names))
    cut = with_tree(_said(profile, hit, "prune_from", pattern), costs, node_of=ends_at)
    return restack(cut, what=f"prune_from={pattern}")


def tag_focus(profile: Profile, wanted: str) -> Profile:
    """Only samples with labels that match ``[key=]value``: a number or range of numbers with units, or regular
    expressions (see :mod:`workbench.profiles.transforms.tag_filter`). Needs a format with labels (pprof)."""
    return _by_tag(profile, wanted, keep=True)


def tag_ignore(profile: Profile, wanted: str) -> Profile:
    """Only samples without labels that match, as for :func:`tag_focus`."""
    return _by_tag(profile, wanted, keep=False)


def matching_frames(profile: Profile, pattern: str) -> NDArray[np.bool_]:
    """Which rows of ``frames`` match a pattern in function, raw_function, file or object."""
    search = compiled(pattern).search
    frames = profile.arrays.frames
    hit = np.zeros(len(frames), dtype=bool)
    for column in ("function", "raw_function", "file", "object"):
        values, names = numbered_objects(frames[column].tolist())
        hit |= np.fromiter((search(name) is not None for name in names), dtype=bool, count=len(names))[values]
    return hit


def _matching(profile: Profile, pattern: str) -> NDArray[np.bool_]:
    hit: NDArray[np.bool_] = matching_frames(profile, pattern)[profile.arrays.nodes["frame_id"]]
    return hit


def _below(profile: Profile, hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes that match or have an ancestor that does."""
    parent = profile.arrays.nodes["parent_id"]
    out = hit.copy()
    for level in levels(parent)[1:]:
        out[level] |= out[parent[level]]
    return out


def _by_tag(profile: Profile, wanted: str, *, keep: bool) -> Profile:
    if profile.tags.empty:
        raise WorkbenchError("the profile has no labels", where=profile.name, hint="Only pprof profiles have any")
    hit = profile.samples["tags_id"].isin(matching_tags(profile.tags, wanted)).to_numpy()
    what = f"tag_{'focus' if keep else 'ignore'}={wanted}"
    if not hit.any():
        keys = ", ".join(sorted(set(profile.tags["key"])))
        profile = profile.with_notes(Note(f"{what} matched nothing; existing labels: {keys}"))
    names = profile.metric_names
    left = profile.samples[hit if keep else ~hit].reset_index(drop=True)
    costs = add_at(len(profile.arrays.nodes), left["node_id"].to_numpy(dtype=np.int64), costs_of(left, names))
    lost = costs_of(profile.arrays.nodes, names).sum(axis=0) - costs.sum(axis=0)
    chosen = restack(with_tree(profile.but(samples=left), costs), what=what)
    return chosen.with_notes(*dropped(profile, lost, what))


def _said(profile: Profile, hit: NDArray[np.bool_], word: str, pattern: str) -> Profile:
    return profile if hit.any() else profile.with_notes(Note(f"{word}={pattern} matched nothing"))

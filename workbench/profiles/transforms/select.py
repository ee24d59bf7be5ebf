"""Choosing stacks and frames, with pprof's meaning of the words (google/pprof, doc/README.md and profile/filter.go).

A pattern is a regular expression searched in the function's name (raw or tidied), the file and the object. Where a
pattern matches nothing, the profile gets a note that says so. On a profile of a call graph the tree built from it is
filtered (see :func:`workbench.profiles.transforms.stacks.as_stacks`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.profiles.model import Note, Profile
from workbench.profiles.transforms.stacks import as_stacks, dropped, restack, with_tree
from workbench.profiles.tree import add_at, costs_of, levels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def focus(profile: Profile, pattern: str) -> Profile:
    """Only stacks in which some frame matches."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "focus", pattern), keep_cost=_below(profile, hit), what=f"focus={pattern}")


def ignore(profile: Profile, pattern: str) -> Profile:
    """Only stacks in which no frame matches."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "ignore", pattern), keep_cost=~_below(profile, hit), what=f"ignore={pattern}")


def hide(profile: Profile, pattern: str) -> Profile:
    """All stacks, without the frames that match; their costs go to their callers. A stack of nothing else goes."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "hide", pattern), keep_frame=~hit, what=f"hide={pattern}")


def show(profile: Profile, pattern: str) -> Profile:
    """Only the frames that match. A stack without one goes."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(_said(profile, hit, "show", pattern), keep_frame=hit, what=f"show={pattern}")


def show_from(profile: Profile, pattern: str) -> Profile:
    """Only what lies at or below the outermost frame that matches. A stack without one goes."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    return restack(
        _said(profile, hit, "show_from", pattern), keep_frame=_below(profile, hit), what=f"show_from={pattern}"
    )


def prune_from(profile: Profile, pattern: str) -> Profile:
    """All stacks, cut below the innermost frame that matches; what was below becomes that frame's own cost."""
    profile = as_stacks(profile)
    hit = _matching(profile, pattern)
    nodes = profile.nodes
    parent = nodes["parent_id"].to_numpy()
    ends_at = np.arange(len(parent))
    for level in levels(parent)[1:]:
        above = ends_at[parent[level]]
        ends_at[level] = np.where(~hit[level] & hit[above], above, level)
    costs = add_at(len(parent), ends_at, costs_of(nodes, profile.metric_names))
    cut = with_tree(_said(profile, hit, "prune_from", pattern), costs, node_of=ends_at)
    return restack(cut, what=f"prune_from={pattern}")


def tag_focus(profile: Profile, key: str, pattern: str) -> Profile:
    """Only samples with a label ``key`` whose value matches as a whole. Needs a format with labels (pprof)."""
    return _by_tag(profile, key, pattern, keep=True)


def tag_ignore(profile: Profile, key: str, pattern: str) -> Profile:
    """Only samples without a label ``key`` whose value matches as a whole."""
    return _by_tag(profile, key, pattern, keep=False)


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled. Raises WorkbenchError that shows what is wrong with it."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise WorkbenchError(
            f"{error}", where=f"pattern {pattern!r}", hint="Give a Python regular expression"
        ) from None


def matching_frames(profile: Profile, pattern: str) -> NDArray[np.bool_]:
    """Which rows of ``frames`` match a pattern in function, raw_function, file or object."""
    search = compiled(pattern).search
    hit = np.zeros(len(profile.frames), dtype=bool)
    for column in ("function", "raw_function", "file", "object"):
        values, names = profile.frames[column].factorize()
        hit |= np.fromiter((search(name) is not None for name in names), dtype=bool, count=len(names))[values]
    return hit


def _matching(profile: Profile, pattern: str) -> NDArray[np.bool_]:
    hit: NDArray[np.bool_] = matching_frames(profile, pattern)[profile.nodes["frame_id"].to_numpy()]
    return hit


def _below(profile: Profile, hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes that match or have an ancestor that does."""
    parent = profile.nodes["parent_id"].to_numpy()
    out = hit.copy()
    for level in levels(parent)[1:]:
        out[level] |= out[parent[level]]
    return out


def _by_tag(profile: Profile, key: str, pattern: str, *, keep: bool) -> Profile:
    keys = sorted(set(profile.tags["key"].dropna())) if len(profile.tags) else []
    if key not in keys:
        raise WorkbenchError(
            f"there is no label {key!r}", where=profile.name, hint=f"It has {', '.join(keys) or 'no labels at all'}"
        )
    match = compiled(pattern).fullmatch
    rows = profile.tags[profile.tags["key"] == key]
    text = rows["value"].where(rows["value"].notna() & (rows["value"] != ""), rows["number"].astype("str"))
    wanted = rows["tags_id"][[match(str(value)) is not None for value in text]].unique()
    hit = profile.samples["tags_id"].isin(wanted).to_numpy()
    what = f"tag_{'focus' if keep else 'ignore'}={key}:{pattern}"
    if not hit.any():
        profile = profile.with_notes(Note(f"{what} matched nothing"))
    names = profile.metric_names
    left = profile.samples[hit if keep else ~hit].reset_index(drop=True)
    costs = add_at(len(profile.nodes), left["node_id"].to_numpy(dtype=np.int64), costs_of(left, names))
    lost = costs_of(profile.nodes, names).sum(axis=0) - costs.sum(axis=0)
    chosen = restack(with_tree(replace(profile, samples=left), costs), what=what)
    return chosen.with_notes(*dropped(profile, lost, what))


def _said(profile: Profile, hit: NDArray[np.bool_], word: str, pattern: str) -> Profile:
    return profile if hit.any() else profile.with_notes(Note(f"{word}={pattern} matched nothing"))

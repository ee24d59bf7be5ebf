"""Allocation sites: the first frame of an allocation's stack that belongs to the program.

Functions that allocate for others (malloc, ``alloc::alloc``, vectors and maps of the standard library) are skipped, see
:class:`Plumbing`. Bytes below massif's threshold, which have no place, are counted under BELOW_THRESHOLD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.profiles.model import Profile
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD
from workbench.profiles.readers.massif.trees import own_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

By = Literal["function", "site"]
# what Valgrind writes for an inlined function whose name is not in the debug information
_NAMELESS = "UnknownInlinedFun"


@dataclass(frozen=True, slots=True)
class Plumbing:
    """Functions that allocate for others: ``crates`` by name, ``functions`` as regular expressions of whole names."""

    crates: frozenset[str] = frozenset({"alloc", "core", "std", "hashbrown", "__gnu_cxx"})
    functions: tuple[str, ...] = (
        r"(?:__libc_|g_|x|je_|mi_)?(?:m|c|re)alloc(?:array)?",
        r"(?:posix_)?memalign|aligned_alloc|valloc|strn?dup",
        r"operator new(?:\[\])?\(.*",
        r"(?:__rustc::)?__(?:rust|rdl|rg)_\w*alloc\w*",
        r"(?:<.*as core::alloc::global::)?GlobalAlloc>?::\w*alloc\w*",
        r"mmap(?:64)?|__mmap(?:64)?|mremap|s?brk|__default_morecore|sysmalloc|_int_(?:m|re)alloc|(?:alloc_)?new_heap|arena_get.*",
        _NAMELESS,
        r"start_thread|(?:__)?clone3?|\(below main\)|_start|__libc_start_main.*|call_init.*",
    )


PLUMBING = Plumbing()


def require_massif(profile: Profile) -> None:
    """Raise WorkbenchError for a profile without heap snapshots over time."""
    if profile.format != "massif":
        raise WorkbenchError("this is not a massif profile", where=profile.name, hint="Read a massif.out file")
    if "heap_trees" not in profile.tables or "snapshots" not in profile.tables:
        raise WorkbenchError(
            "this profile has no snapshots: it was merged, or its frames were chosen or grouped",
            where=profile.name,
            hint="Use the unchanged profile",
        )
    if profile.meta.get("xtree"):
        raise WorkbenchError(
            "an xtree file has no snapshots over time: each is a metric",
            where=profile.name,
            hint="Use its metrics like those of any profile, or give a massif.out file",
        )


def time_of(profile: Profile) -> dict[int, int]:
    """The time of each snapshot by number, in the profile's unit."""
    table = profile.tables["snapshots"]
    return dict(zip(table["snapshot"].tolist(), table["time"].tolist(), strict=True))


def pieces(profile: Profile, plumbing: Plumbing) -> pd.DataFrame:
    """The bytes of the heap trees by leaf: snapshot, bytes, ``frame_id`` of the allocation site (-1: below the
    threshold before the program's own code was reached), and the nodes from the allocator (``top``) to it
    (``first``)."""
    heap = profile.tables["heap_trees"]
    parent, depth = heap["parent_id"].to_numpy(), heap["depth"].to_numpy()
    frame, below = heap["frame_id"].to_numpy(), heap["below_threshold"].to_numpy()
    usable = ~below & (depth > 0)
    own = usable & ~_plumbing_nodes(profile, plumbing)
    site, top = _inherited(parent, depth, own), _inherited(parent, depth, usable)
    # if a stack has only such functions, the caller of the allocator is the best choice
    physical = _inherited(parent, depth, usable & ~heap["inlined"].to_numpy())
    held = own_bytes(parent, heap["bytes"].to_numpy())
    leaf = np.flatnonzero(held > 0)
    hidden = below[leaf] & (site[leaf] < 0)
    first = np.where(site[leaf] >= 0, site[leaf], np.where(hidden, -1, physical[leaf]))
    return pd.DataFrame(
        {
            "snapshot": heap["snapshot"].to_numpy()[leaf],
            "bytes": held[leaf],
            "frame_id": np.where(first >= 0, frame[first], -1),
            "top": top[leaf],
            "first": first,
        }
    )


def _plumbing_nodes(profile: Profile, plumbing: Plumbing) -> NDArray[np.bool_]:
    """Which heap tree nodes allocate for others. An inlined frame often has a name without a crate; then the crate of
    the function it was inlined into is used."""
    heap = profile.tables["heap_trees"]
    frames = profile.frames
    pattern = re.compile("|".join(f"(?:{one})" for one in plumbing.functions) or r"(?!)")
    by_name = np.array([pattern.fullmatch(name) is not None for name in frames["raw_function"].tolist()], dtype=bool)
    crates = frames["crate"].tolist()
    by_crate = np.array([crate in plumbing.crates for crate in crates], dtype=bool)
    nameless = np.array([not crate for crate in crates], dtype=bool)
    frame, inlined = heap["frame_id"].to_numpy(), heap["inlined"].to_numpy()
    size = len(frame)
    if not size:
        return np.zeros(0, dtype=bool)
    real = np.where(inlined, size - 1, np.arange(size))
    real = np.minimum.accumulate(real[::-1])[::-1]
    through = np.where(nameless[frame] & inlined, by_crate[frame[real]], by_crate[frame])
    return np.asarray(by_name[frame] | through, dtype=bool)


def _inherited(parent: NDArray[np.int64], depth: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each node, the chosen node nearest to the allocator on the path between them; -1 if there is none."""
    nearest = np.full(len(parent), -1, dtype=np.int64)
    order = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[order], np.arange(1, int(depth.max(initial=0)) + 2))
    for low, high in pairwise(bounds.tolist()):
        level = order[low:high]
        above = nearest[parent[level]]
        nearest[level] = np.where(above >= 0, above, np.where(chosen[level], level, -1))
    return nearest


def bytes_by_allocator(profile: Profile, by: By, plumbing: Plumbing) -> pd.DataFrame:
    """Bytes: a row per detailed snapshot, a column per allocator (frame or function id, -1 below the threshold)."""
    if by not in ("function", "site"):
        raise WorkbenchError(f"allocators are counted by function or site, not by {by!r}", where="by")
    parts = pieces(profile, plumbing)
    key = parts["frame_id"].to_numpy()
    if by == "function":
        key = np.where(key >= 0, profile.frames["function_id"].to_numpy()[key], -1)
    table = parts.assign(key=key).pivot_table(
        index="snapshot", columns="key", values="bytes", aggfunc="sum", fill_value=0, sort=False
    )
    return table.reindex(profile.meta["detailed"], fill_value=0).astype("int64")


def described(profile: Profile, table: pd.DataFrame, by: By) -> pd.DataFrame:
    """The table with columns for its ``key``: allocator, function, file, line, object, crate."""
    frames = profile.frames if by == "site" else profile.functions.assign(line=0)
    rows = frames[["function", "file", "line", "object", "crate"]].reindex(table["key"].to_numpy())
    rows["line"] = rows["line"].fillna(0).astype("int64")
    rows = rows.reset_index(drop=True)
    hidden = table["key"].to_numpy() < 0
    for column in ("function", "file", "object", "crate"):
        rows[column] = rows[column].fillna("").mask(hidden, BELOW_THRESHOLD if column == "function" else "")
    labels = [
        _label(function, file, line, object)
        for function, file, line, object in zip(
            rows["function"], rows["file"], rows["line"], rows["object"], strict=True
        )
    ]
    rows.insert(0, "allocator", pd.Series(labels, dtype="str"))
    return pd.concat([rows, table.drop(columns="key").reset_index(drop=True)], axis=1)


def _label(function: str, file: str, line: int, object: str) -> str:
    if file and line:
        return f"{function} ({file}:{line})"
    if function == "???" and object:
        return f"{function} ({object.rsplit('/', 1)[-1]})"
    return function


def skipped(profile: Profile, top: int, first: int) -> str:
    """The functions between the allocator and the site, from the allocator on."""
    if first < 0 or top < 0:
        return ""
    heap = profile.tables["heap_trees"]
    parent, frame = heap["parent_id"].to_numpy(), heap["frame_id"].to_numpy()
    names: list[str] = []
    node = int(parent[first])
    while node >= top:
        names.append(str(profile.frames["function"].iat[int(frame[node])]))
        node = int(parent[node])
    return " < ".join(dict.fromkeys(name for name in reversed(names) if name != _NAMELESS))

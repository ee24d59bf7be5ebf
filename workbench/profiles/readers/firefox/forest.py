"""The stacks of all threads as one forest, with frames numbered jointly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.columns import NO_PARENT
from workbench.profiles.distinct import numbered
from workbench.profiles.model import frame_table
from workbench.profiles.names import tidy_rust
from workbench.profiles.readers.firefox.document import HINT, Frames, Functions, Resources, Sources, Stacks, Tables
from workbench.profiles.readers.folded.stacks import NO_NAME
from workbench.profiles.tree import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST = 2**31 - 1
_ADDRESS = re.compile(r"0x[0-9a-f]+")
# A file on a source server: ``hg:host/repository:path:revision``, and a crate's in its registry
_VERSIONED = re.compile(r"(?:hg|git|s3):([^:]*):([^:]+):([^:]*)")
_CARGO = re.compile(r"cargo:([^:]*):([^:]*):(.*)")


@dataclass
class Forest:
    """Stacks as nodes, parents before children, and their frames; both grow with each added table."""

    parents: list[NDArray[np.int64]] = field(default_factory=list)
    frames: list[NDArray[np.int64]] = field(default_factory=list)
    known: dict[tuple[str, str, str, int, bool], int] = field(default_factory=dict)
    size: int = 0

    def add(self, tables: Tables, strings: Sequence[str], libs: Any, where: str) -> tuple[int, int]:
        """Add the stacks of one set of tables; returns the number of the first and their count. Raises ReadError."""
        if tables.stackTable is None or tables.frameTable is None or tables.funcTable is None:
            return self.size, 0
        parent, frame = _stacks(tables.stackTable, len(tables.frameTable.func), where)
        rows = self._numbers(tables, strings, libs, where)
        first = self.size
        self.parents.append(np.where(parent >= 0, parent + first, NO_PARENT))
        self.frames.append(rows[frame])
        self.size += len(parent)
        return first, len(parent)

    def parent(self) -> NDArray[np.int64]:
        """The parent of each node, -1 for roots."""
        return np.concatenate(self.parents) if self.parents else np.zeros(0, dtype=np.int64)

    def frame(self) -> NDArray[np.int64]:
        """The frame of each node."""
        return np.concatenate(self.frames) if self.frames else np.zeros(0, dtype=np.int64)

    def frame_table(self) -> Any:
        """The table of all frames."""
        names, files, objects, lines, inlined = zip(*self.known, strict=True) if self.known else ((), (), (), (), ())
        return frame_table(
            [tidy_rust(name) or NO_NAME for name in names],
            list(files),
            list(lines),
            list(objects),
            list(inlined),
            names,
        )

    def unnamed(self) -> NDArray[np.bool_]:
        """Which frames have only an address."""
        return np.array([_ADDRESS.fullmatch(key[0]) is not None for key in self.known], dtype=bool)

    def _numbers(self, tables: Tables, strings: Sequence[str], libs: Any, where: str) -> NDArray[np.int64]:
        """The joint number of each row of a table of frames."""
        frames, functions = tables.frameTable or Frames(func=[]), tables.funcTable or Functions(name=[])
        size, count = len(frames.func), len(functions.name)
        func = whole(frames.func, size)
        wrong = np.flatnonzero((func < 0) | (func >= count))
        if len(wrong):
            raise _lost(where, f"frame {wrong[0]}", "function", func[wrong[0]], count)
        lib = whole(frames.lib, size)
        if not frames.lib:
            lib = _libraries(functions, tables.resourceTable or Resources())[func]
        line = np.maximum(whole(frames.line, size), 0)
        inlined = whole(frames.inlineDepth, size) > 0
        code = numbered(func)[0]
        for column in (lib + 1, line, inlined.astype(np.int64)):
            part = numbered(column)[0]
            code = numbered(code * (int(part.max(initial=0)) + 1) + part)[0]
        some = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
        some[code] = np.arange(size)
        names = _texts(functions.name, strings, count)
        files = _files(functions, strings, tables.sources, count)
        objects = _objects(libs)
        numbers = []
        for row in some.tolist():
            function = int(func[row])
            object = objects[lib[row]] if 0 <= lib[row] < len(objects) else ""
            key = (names[function], files[function], object, int(line[row]), bool(inlined[row]))
            numbers.append(self.known.setdefault(key, len(self.known)))
        return np.asarray(numbers, dtype=np.int64)[code]


def whole(values: Sequence[Any], size: int) -> NDArray[np.int64]:
    """Values as whole numbers, -1 if unknown, out of range or missing at the end."""
    listed = [-1 if value is None else value for value in values[:size]]
    try:
        array = np.asarray(listed, dtype=np.float64)
    except (OverflowError, ValueError, TypeError):
        array = np.asarray([value if abs(value) <= _MOST else -1 for value in listed], dtype=np.float64)
    out = np.full(size, -1, dtype=np.int64)
    out[: len(array)] = np.where((array >= 0) & (array <= _MOST), array, -1)
    return out


def cut_at_depth(parent: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each node its replacement: itself, or for nodes deeper than MAX_DEPTH the last of their stack that is not;
    and which are deeper. Parents come before children."""
    depth = (parent >= 0).astype(np.int64)
    jump = parent.copy()
    while (going := jump >= 0).any():
        # pointer doubling: each round jumps twice as far
        depth[going] += np.where(jump[going] >= 0, depth[jump[going]], 0)
        jump[going] = jump[jump[going]]
    deep = depth >= MAX_DEPTH
    stands = np.where(deep, parent, np.arange(len(parent)))
    while deep[stands].any():
        stands = stands[stands]
    return stands, deep


def used(parent: NDArray[np.int64], leaves: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which nodes are one of these leaves or an ancestor."""
    out = np.zeros(len(parent), dtype=bool)
    fresh = np.unique(leaves[leaves >= 0])
    while len(fresh):
        out[fresh] = True
        above = parent[fresh]
        above = above[above >= 0]
        fresh = np.unique(above[~out[above]])
    return out


def _stacks(stacks: Stacks, frames: int, where: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    size = len(stacks.frame)
    frame = whole(stacks.frame, size)
    wrong = np.flatnonzero((frame < 0) | (frame >= frames))
    if len(wrong):
        raise _lost(where, f"stack {wrong[0]}", "frame", frame[wrong[0]], frames)
    if stacks.prefixOffset is not None:
        back = whole(stacks.prefixOffset, size)
        parent = np.where(back > 0, np.arange(size) - back, NO_PARENT)
        wrong = np.flatnonzero(back > np.arange(size))
    else:
        parent = whole(stacks.prefix or [], size)
        wrong = np.flatnonzero(parent >= np.arange(size))
    if len(wrong):
        raise ReadError(
            f"the parent of stack {wrong[0]} does not come before it", where=where, hint=f"It is damaged. {HINT}"
        )
    return parent, frame


def _libraries(functions: Functions, resources: Resources) -> NDArray[np.int64]:
    """The library of each function, -1: none."""
    count = len(functions.name)
    resource = whole(functions.resource, count)
    libs = whole(resources.lib, len(resources.lib))
    known = (resource >= 0) & (resource < len(libs))
    out = np.full(count, -1, dtype=np.int64)
    out[known] = libs[resource[known]]
    return out


def _texts(rows: Sequence[Any], strings: Sequence[str], size: int) -> list[str]:
    """The string of each row, or ""."""
    most = len(strings)
    return [strings[row] if 0 <= row < most else "" for row in whole(rows, size).tolist()]


def _files(functions: Functions, strings: Sequence[str], sources: Sources | None, size: int) -> list[str]:
    if not functions.source:
        return [tidy_source(file) for file in _texts(functions.fileName, strings, size)]
    names = [tidy_source(file) for file in _texts(sources.filename, strings, len(sources.filename))] if sources else []
    return [names[row] if 0 <= row < len(names) else "" for row in whole(functions.source, size).tolist()]


def tidy_source(file: str) -> str:
    """A compiler's path, from the profiler's name for a file on a source server.

    >>> tidy_source("cargo:github.com-1ecc6299db9ec823:addr2line-0.16.0:src/lib.rs")
    '/registry/src/github.com-1ecc6299db9ec823/addr2line-0.16.0/src/lib.rs'
    >>> tidy_source("hg:hg.mozilla.org/mozilla-central:widget/nsAppShell.cpp:997f00815e6bc28806b75448c8829f0259d2cb28")
    'widget/nsAppShell.cpp'
    """
    match = _CARGO.fullmatch(file)
    if match:
        return f"/registry/src/{match[1]}/{match[2]}/{match[3]}"
    match = _VERSIONED.fullmatch(file)
    if not match:
        return file
    if match[1].endswith("/rust-lang/rust") and match[3]:
        return f"/rustc/{match[3]}/{match[2]}"
    return match[2]


def _objects(libs: Any) -> list[str]:
    found = []
    for lib in libs if isinstance(libs, list) else []:
        names = (lib.get("path"), lib.get("name"), lib.get("debugName")) if isinstance(lib, dict) else ()
        found.append(next((name for name in names if isinstance(name, str) and name), ""))
    return found


def _lost(where: str, who: str, what: str, number: Any, size: int) -> ReadError:
    return ReadError(
        f"{who} has {what} {number}, but there are only {size}", where=where, hint=f"It is damaged. {HINT}"
    )

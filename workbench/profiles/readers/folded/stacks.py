"""Common parts of readers of plain stacks: labels to frames, too deep stacks, names split at a semicolon."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.model import frame_table
from workbench.profiles.names import tidy_rust
from workbench.profiles.tree import MAX_DEPTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.metrics import Metric
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.table import Table

# py-spy and austin2speedscope: ``fit (implicit/als.py:130)``
_PYTHON = re.compile(r"(.+) \(((?:[^()]*\.(?:py|pyx|pxd|pyi|ipynb))|<[^()]*>):(\d{1,9})\)")
# heaptrack, and py-spy without lines: ``leak (m.c)``
_SOURCE = re.compile(
    r"(.+\S) \(([^()/]+\.(?:c|cc|cpp|cxx|c\+\+|C|h|hh|hpp|hxx|inl|tcc|m|mm|rs|py|pyx|go|d|zig|f90|S|s))\)"
)
# The rest of a Rust array type whose ``;`` was taken for a separator: ``[u8; 32]`` leaves the piece `` 32]``.
ARRAY_REST = r" [^;\[\]\n]*\]"
_ARRAY_REST = re.compile(ARRAY_REST)
NO_NAME = "(no name)"


@dataclass(frozen=True, slots=True)
class Label:
    """A parsed label: a function's raw name and its place."""

    name: str
    file: str = ""
    line: int = 0
    object: str = ""


def split_label(label: str) -> Label:
    """Parse a label: ``name (file.py:3)`` and heaptrack's ``name (m.c)``. The marks of FlameGraph's collapsers
    (``_[k]`` kernel, ``_[j]`` compiled at run time, ``_[i]`` inlined, ``_[w]`` waker) are kept, since they distinguish
    functions."""
    if label.endswith(")"):
        if match := _PYTHON.fullmatch(label):
            return Label(match[1], match[2], int(match[3]))
        if match := _SOURCE.fullmatch(label):
            return Label(match[1], match[2])
    return Label(label)


def frames_of_labels(labels: Sequence[str], split: Callable[[str], Label] = split_label) -> Table:
    """The frames of labels, one per label. Rust names are tidied; ``name (file.py:line)`` is parsed by ``split``, so
    that all lines of a function belong to one function."""
    parts = [split(label) for label in labels]
    return frame_table(
        [tidy_rust(part.name) or NO_NAME for part in parts],
        [part.file for part in parts],
        [part.line for part in parts],
        [part.object for part in parts],
        raw_function=[part.name for part in parts],
    )


def label_of(raw_function: str, file: str, line: int) -> str:
    """The label of a frame: the inverse of :func:`frames_of_labels`."""
    label = f"{raw_function} ({file}:{line})" if line else raw_function
    return label if _PYTHON.fullmatch(label) else raw_function


def ends_array(label: str) -> bool:
    """Whether this piece of a stack is the rest of a Rust array type that was split at its ``;``."""
    return label.startswith(" ") and _ARRAY_REST.match(label) is not None


def opens_array(label: str) -> bool:
    """Whether a ``[`` of this piece of a stack is not closed in it."""
    return label.count("[") > label.count("]")


def cut_deep(
    offsets: NDArray[np.int64],
    frames: NDArray[np.int64],
    costs: NDArray[np.int64] | NDArray[np.float64],
    metric: Metric,
    notes: NoteBook,
    where: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stacks (root first, as for :func:`workbench.profiles.tree.grow`) without the frames below MAX_DEPTH; a note gives
    the weight of the cut stacks in ``metric``, the first column of ``costs``."""
    lengths = np.diff(offsets)
    deep = lengths > MAX_DEPTH
    if not deep.any():
        return offsets, frames
    notes.add(
        f"stack deeper than {MAX_DEPTH:,} frames, cut at the leaf",
        where,
        count=int(deep.sum()),
        metric=metric.name,
        weight=float(costs[deep, 0].sum()),
    )
    kept = np.minimum(lengths, MAX_DEPTH)
    inside = np.arange(len(frames)) - np.repeat(offsets[:-1], lengths)
    return np.concatenate(([0], np.cumsum(kept))).astype(np.int64), frames[inside < MAX_DEPTH]

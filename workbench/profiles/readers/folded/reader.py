"""Folded stacks: a line a stack, ``frame;frame;frame COUNT``, root first.

Written by FlameGraph's and inferno's collapsers, py-spy (raw), austin, pprofutils and others. There is no
specification; what is taken as what:

- The count is the text after the last blank; it may be fractional. Two counts on every line are a comparison: before
  and after. A line without a count is ignored and noted, ``# `` begins a comment.
- ``;`` inside a Rust array type (``[u8; 32]``) does not separate frames.
- UTF-8, UTF-16 with a mark at the start, any line ends.

Columns are worked on as Arrow arrays, since such files grow to 100 MB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.lines import NUMBER, WIDE, Stacks, stacks_of
from workbench.profiles.readers.folded.stacks import ARRAY_REST, cut_deep, frames_of_labels
from workbench.profiles.source import check_fits
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "folded"
_HEAD_BYTES = 65_536
_PLAUSIBLE = re.compile(rf"\S.* {NUMBER}\s*")
# Stands for the ``;`` of an array type while stacks are split.
_HELD = "\x1f"
# What a profile takes where every frame of every stack is a node of its own, and for each name. Measured.
_NODE_BYTES = 150
_LABEL_BYTES = 350


def recognise(source: Source) -> str | None:
    """Most of the first lines end in a number. Folded stacks have no mark, so they are asked for last."""
    head = source.data[:_HEAD_BYTES]
    text = head.decode(WIDE.get(head[:2], "utf-8-sig"), "replace")
    if "\0" in text:
        return None
    lines = text.splitlines()
    if len(source.data) > _HEAD_BYTES:
        # the last line is cut; if it is the only one, its own end says whether it has a count
        end = source.data.find(b"\n", _HEAD_BYTES)
        rest = source.data[_HEAD_BYTES : None if end < 0 else end][-40:].decode("utf-8", "replace")
        lines = lines[:-1] or [lines[0] + rest]
    told = [line for line in lines if line.strip() and not line.startswith(("#", "//"))]
    plausible = sum(1 for line in told if _PLAUSIBLE.fullmatch(line))
    if plausible and plausible * 2 > len(told):
        return f"{plausible} of the first {len(told)} lines end in a count"
    return None


def read(source: Source, *, metric: str = "samples", unit: str = "count") -> Profile:
    """The stacks of a folded file as a profile.

    The file does not say what was counted: ``metric`` and ``unit`` do. A file with two counts a line has the metrics
    ``before`` and ``after`` instead. Raises ReadError where no line has a count, or a count does not fit 64 bits.
    """
    notes = NoteBook()
    stacks, comments = stacks_of(source, notes)
    costs = stacks.costs
    metrics = [Metric(metric, unit)] if costs.shape[1] == 1 else [Metric("before", unit), Metric("after", unit)]
    offsets, codes, labels = _frames(stacks.text, source)
    if "" in labels:
        _note_nameless(stacks, offsets, codes == labels.index(""), source, notes)
    offsets, codes = cut_deep(offsets, codes, costs, metrics[0], notes, source.name)
    tree = grow(offsets, codes)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=metrics[-1].name,
        frames=frames_of_labels(labels),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=add_at(len(tree.parent), tree.node_of, costs),
        meta={"stacks": int(stacks.times.sum()), **({"comments": "\n".join(comments)} if comments else {})},
        notes=notes.notes(),
    )


def _frames(stacks: Any, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Stacks as offsets into an array of label numbers, and the labels."""
    import pyarrow.compute as pc

    held = pc.any(pc.match_substring(stacks, "; ")).as_py()
    if held:
        stacks = pc.replace_substring_regex(stacks, f";({ARRAY_REST})", f"{_HELD}\\1")
    parts = pc.split_pattern(stacks, ";")
    encoded = parts.values.dictionary_encode()
    offsets, codes = parts.offsets.to_numpy().astype(np.int64), encoded.indices.to_numpy().astype(np.int64)
    check_fits(len(codes) * _NODE_BYTES + len(encoded.dictionary) * _LABEL_BYTES, source)
    labels = encoded.dictionary.to_pylist()
    if held:
        labels = [label.replace(_HELD, ";") for label in labels]
    return offsets, codes, labels


def _note_nameless(
    stacks: Stacks, offsets: NDArray[np.int64], nameless: NDArray[np.bool_], source: Source, notes: NoteBook
) -> None:
    which = np.searchsorted(offsets, np.flatnonzero(nameless), side="right") - 1
    line = source.at(int(stacks.line[which].min()))
    notes.add("frame without a name", line, count=int(stacks.times[which].sum()))

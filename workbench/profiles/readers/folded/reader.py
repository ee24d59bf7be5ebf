"""Folded stacks: a line per stack, ``frame;frame;frame COUNT``, root first.

Written by FlameGraph's and inferno's collapsers, py-spy (raw), austin, pprofutils and others. There is no
specification; these rules are used:

- The count is the text after the last blank; it may be fractional. Two counts on every line are a comparison: before
  and after. A line without a count is ignored and noted, ``# `` begins a comment.
- A ``;`` at the end of a stack is no frame. One at its beginning, or two in a row, are a frame without a name.
- ``;`` inside a Rust array type (``[u8; 32]``) does not separate frames.
- UTF-8, UTF-16 with a mark at the start, any line ends.

Columns are worked on as Arrow arrays, since such files grow to 100 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.arrow import to_numbers
from workbench.profiles.memory import require
from workbench.profiles.metrics import Metric
from workbench.profiles.model import Profile, from_stacks
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.folded.austin import Austin, austin_of
from workbench.profiles.readers.folded.austin import split as split_austin
from workbench.profiles.readers.folded.lines import WIDE, Stacks, stacks_of
from workbench.profiles.readers.folded.shape import why_stacks
from workbench.profiles.readers.folded.stacks import ARRAY_REST, cut_deep, frames_of_labels, split_label
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "folded"
_HEAD_BYTES = 65_536
# Replaces the ``;`` of an array type while stacks are split.
_HELD = "\x1f"
# Bytes per frame if every frame of every stack is a separate node, and per name. Measured.
_NODE_BYTES = 150
# and per frame of a stack before common frames are found
_PART_BYTES = 40
_LABEL_BYTES = 350


def recognise(source: Source) -> str | None:
    """The first lines are stacks beyond doubt (:mod:`.shape`). They have no mark, so they are checked last."""
    head = source.data[:_HEAD_BYTES]
    text = head.decode(WIDE.get(head[:2], "utf-8-sig"), "replace")
    if "\0" in text:
        return None
    lines = text.splitlines()
    if len(source.data) > _HEAD_BYTES and lines:
        # the last line is cut; if it is the only one, its own end says whether it has a count
        end = source.data.find(b"\n", _HEAD_BYTES)
        rest = source.data[_HEAD_BYTES : None if end < 0 else end][-40:].decode("utf-8", "replace")
        lines = lines[:-1] or [lines[0] + rest]
    return why_stacks(lines)


def read(source: Source, *, metric: str | None = None, unit: str | None = None) -> Profile:
    """The stacks of a folded file as a profile.

    The file does not name its metric: ``metric`` and ``unit`` do, by default ``samples`` and ``count`` or those of
    austin's header. A file with two counts per line has the metrics ``before`` and ``after`` instead; austin's full one
    has ``wall``, ``cpu`` and ``memory``. Raises ReadError if no line has a count, or a count does not fit 64 bits.
    """
    notes = NoteBook()
    austin = austin_of(source.data)
    stacks, comments = stacks_of(source, notes, full=austin is not None and austin.is_full)
    costs = stacks.costs
    metrics = _metrics(costs.shape[1], austin, metric, unit)
    offsets, codes, labels = _frames(stacks.text, source)
    if "" in labels:
        _note_nameless(stacks, offsets, codes == labels.index(""), source, notes)
    offsets, codes = cut_deep(offsets, codes, costs, metrics[0], notes, source.name)
    tree = grow(offsets, codes)
    return from_stacks(
        FORMAT,
        source.name,
        metrics=metrics,
        default_metric=metrics[-1].name if costs.shape[1] == 2 else metrics[0].name,
        frames=frames_of_labels(labels, split_austin if austin else split_label),
        parent=tree.parent,
        frame=tree.frame,
        self_costs=add_at(len(tree.parent), tree.node_of, costs),
        meta={"stacks": int(stacks.times.sum()), **({"comments": "\n".join(comments)} if comments else {})},
        notes=notes.notes(),
    )


def _metrics(columns: int, austin: Austin | None, metric: str | None, unit: str | None) -> list[Metric]:
    if columns == 2:
        return [Metric("before", unit or "count"), Metric("after", unit or "count")]
    if austin is not None and (columns > 1 or metric is None):
        return austin.metrics()
    return [Metric(metric or "samples", unit or "count")]


def _frames(stacks: Any, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Stacks as offsets into an array of label numbers, and the labels."""
    import pyarrow.compute as pc

    # a stack may end in a separator, like heaptrack's: no frame follows (flamegraph.pl drops it too)
    stacks = pc.utf8_rtrim(stacks, ";")
    held = pc.any(pc.match_substring(stacks, "; ")).as_py()
    if held:
        stacks = pc.replace_substring_regex(stacks, f";({ARRAY_REST})", f"{_HELD}\\1")
    require(int(pc.sum(pc.count_substring(stacks, ";")).as_py() or 0) * _PART_BYTES)
    parts = pc.split_pattern(stacks, ";")
    encoded = parts.values.dictionary_encode()
    offsets, codes = to_numbers(parts.offsets).astype(np.int64), to_numbers(encoded.indices).astype(np.int64)
    require(len(codes) * _NODE_BYTES + len(encoded.dictionary) * _LABEL_BYTES, name=source.name)
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

"""Folded stacks: a line a stack, ``frame;frame;frame COUNT``, root first.

Written by FlameGraph's and inferno's collapsers, py-spy (raw), austin, pprofutils and others. There is no
specification; what is taken as what:

- The count is the text after the last blank; it may be fractional. Two counts on every line are a comparison: before
  and after. A line without a count is ignored and noted, ``# `` begins a comment.
- ``;`` inside a Rust array type (``[u8; 32]``) does not separate frames.
- UTF-8, UTF-16 with a mark at the start, any line ends.

Columns are worked on as whole Arrow arrays, since such files grow to 100 MB.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.model import Metric, Profile, from_stacks
from workbench.profiles.noting import NoteBook
from workbench.profiles.readers.folded.stacks import ARRAY_REST, cut_deep, frames_of_labels
from workbench.profiles.tree import add_at, grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

FORMAT = "folded"
_HEAD_BYTES = 65_536
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PLAUSIBLE = re.compile(rf"\S.* {_NUMBER}\s*")
_WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Stands for the ``;`` of an array type while stacks are split.
_HELD = "\x1f"
_MOST = 2**63 - 1


def recognise(source: Source) -> str | None:
    """Most of the first lines end in a number. Folded stacks have no mark, so they are asked for last."""
    head = source.data[:_HEAD_BYTES]
    text = head.decode(_WIDE.get(head[:2], "utf-8-sig"), "replace")
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
    import pyarrow.compute as pc

    notes = NoteBook()
    lines = pc.ascii_rtrim_whitespace(_lines(source, notes))
    comment = pc.or_(pc.starts_with(lines, "# "), pc.equal(lines, "#"))
    comments = lines.filter(comment).slice(0, 20).to_pylist()
    number = np.flatnonzero(_bools(pc.and_(pc.greater(pc.binary_length(lines), 0), pc.invert(comment))))
    stacks, counts, number = _counted(lines.take(number), number, source, notes)
    columns = [_values(counts, number, source)]
    metrics = [Metric(metric, unit)]
    more = _second(stacks)
    if more is not None:
        stacks, before = more
        columns.insert(0, _values(before, number, source))
        metrics = [Metric("before", unit), Metric("after", unit)]
    costs = np.column_stack(columns)
    _check_sum(costs, source)
    offsets, codes, labels = _frames(stacks)
    if "" in labels:
        empty = codes == labels.index("")
        notes.add("frame without a name", _line_of(source, number, offsets, empty), count=int(empty.sum()))
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
        meta={"stacks": len(number), **({"comments": "\n".join(comments)} if comments else {})},
        notes=notes.notes(),
    )


def _lines(source: Source, notes: NoteBook) -> Any:
    """The lines as an Arrow array; position + 1 is the line's number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    data = source.data
    encoding = _WIDE.get(data[:2], "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        text = data.decode(encoding, "backslashreplace" if encoding == "utf-8-sig" else "replace")
        notes.add(
            f"bytes that are not {encoding.removesuffix('-sig').upper()}, shown escaped", source.at(offset=error.start)
        )
    return pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten()


def _counted(lines: Any, number: NDArray[np.int64], source: Source, notes: NoteBook) -> tuple[Any, Any, Any]:
    """Stacks and count texts of the lines that have a count, with the positions of their lines."""
    stacks, counts, has = _split_last(lines)
    if not has.all():
        first = source.at(int(number[~has][0]) + 1)
        if not has.any():
            raise ReadError(
                "no line ends in a count", where=first, hint="Folded stacks are lines of the form: frame;frame 12"
            )
        notes.add("line without a count, ignored", first, count=int((~has).sum()))
    elif not len(has):
        raise ReadError("there is no line with a stack", where=source.name, hint="Was anything sampled?")
    return stacks, counts, number[has]


def _split_last(lines: Any) -> tuple[Any, Any, NDArray[np.bool_]]:
    """What is before and after the last blanks, of the lines that end in a number, and which lines those are."""
    import pyarrow.compute as pc

    parts = pc.split_pattern(lines, " ", max_splits=1, reverse=True)
    has = np.diff(parts.offsets.to_numpy()) == 2
    first = parts.offsets.to_numpy()[:-1][has]
    values = parts.values
    counts = values.take(first + 1)
    right = _bools(pc.match_substring_regex(counts, rf"^{_NUMBER}$"))
    has[has] = right
    return pc.ascii_rtrim_whitespace(values.take(first[right])), counts.filter(right), has


def _second(stacks: Any) -> tuple[Any, Any] | None:
    """Stacks and first counts where every line has two counts, else None: then the number is part of a name."""
    if not _split_last(stacks.slice(0, 1))[2].all():
        return None
    shorter, counts, has = _split_last(stacks)
    return (shorter, counts) if has.all() else None


def _values(counts: Any, number: NDArray[np.int64], source: Source) -> NDArray[Any]:
    """Count texts as int64, or as float64 where any has a fraction."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = pc.utf8_ltrim(counts, "+")
    if not pc.any(pc.match_substring(counts, ".")).as_py():
        long = np.flatnonzero(_bools(pc.greater(pc.binary_length(counts), 18)))
        for position in long.tolist():
            digits = counts[position].as_py()
            if len(digits) > 40 or not -_MOST <= int(digits) <= _MOST:
                raise _too_large(source.at(int(number[position]) + 1))
        return np.asarray(counts.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
    values = np.asarray(counts.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if not (np.abs(values) <= _MOST).all():
        raise _too_large(source.at(int(number[~(np.abs(values) <= _MOST)][0]) + 1))
    return values


def _check_sum(costs: NDArray[Any], source: Source) -> None:
    if (np.abs(costs.astype(np.float64)).sum(axis=0) >= float(_MOST)).any():
        raise _too_large(source.name, "the counts add up to more than")


def _too_large(where: str, what: str = "the count is more than") -> ReadError:
    return ReadError(f"{what} 64 bits hold", where=where, hint="Count in a larger unit")


def _frames(stacks: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Stacks as offsets into an array of label numbers, and the labels."""
    import pyarrow.compute as pc

    held = pc.any(pc.match_substring(stacks, "; ")).as_py()
    if held:
        stacks = pc.replace_substring_regex(stacks, f";({ARRAY_REST})", f"{_HELD}\\1")
    parts = pc.split_pattern(stacks, ";")
    encoded = parts.values.dictionary_encode()
    labels = encoded.dictionary.to_pylist()
    if held:
        labels = [label.replace(_HELD, ";") for label in labels]
    return parts.offsets.to_numpy().astype(np.int64), encoded.indices.to_numpy().astype(np.int64), labels


def _line_of(source: Source, number: NDArray[np.int64], offsets: NDArray[np.int64], which: NDArray[np.bool_]) -> str:
    stack = np.searchsorted(offsets, np.flatnonzero(which)[0], side="right") - 1
    return source.at(int(number[stack]) + 1)


def _bools(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)

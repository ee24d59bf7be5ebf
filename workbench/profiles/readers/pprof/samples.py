"""Samples: stacks of locations with values and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.distinct import numbered
from workbench.profiles.readers.pprof.schema import LABEL_FIELDS, SAMPLE, SAMPLE_FIELDS
from workbench.profiles.readers.pprof.tables import Finder, Strings
from workbench.profiles.readers.pprof.wire import DAMAGED, Column, Spans, TopLevel, batches, decode, joined, signed
from workbench.profiles.table import Counts, Table, text
from workbench.profiles.tree import grow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source
    from workbench.profiles.tree import Tree

_LIMIT = 1 << 63
_MOST_LABELS = 1000
_DEFAULT_UNITS = {"request": "bytes", "alignment": "bytes"}


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples. The stack of sample ``i`` is ``location[offset[i]:offset[i + 1]]`` (rows of the location table),
    root first; ``values`` has one row per sample and one column per sample type; ``tags_id`` is 0 for a sample without
    labels; ``tags`` is the table of labels."""

    offset: NDArray[np.int64]
    location: NDArray[np.int32]
    values: NDArray[np.int64]
    tags_id: NDArray[np.int64]
    tags: Table

    def __len__(self) -> int:
        return len(self.values)


def read_samples(
    source: Source, top: TopLevel, strings: Strings, location_ids: NDArray[np.uint64], width: int, notes: NoteBook
) -> Samples:
    """Samples with ``width`` values each. Raises ReadError for other numbers of values, locations that are not there,
    and values whose sum does not fit 64 bits."""
    spans = top.spans[SAMPLE]
    lengths: list[NDArray[np.int64]] = []
    stacks: list[NDArray[np.int32]] = []
    rows: list[NDArray[np.int64]] = []
    labels: list[Column] = []
    find = Finder(location_ids)
    for first, columns in batches(source, spans, SAMPLE_FIELDS):
        location, value = columns[1], columns[2]
        wrong = np.flatnonzero(value.counts != width)
        if len(wrong):
            raise ReadError(
                f"a sample has {int(value.counts[wrong[0]])} values, the profile {width} sample types",
                where=source.at(offset=int(spans.start[first + wrong[0]])),
                hint=DAMAGED,
            )
        found = find(location.value)
        if len(found) and found.min() < 0:
            lost = int(np.flatnonzero(found < 0)[0])
            row = int(np.searchsorted(location.offset, lost, side="right")) - 1
            raise ReadError(
                f"a sample refers to location {int(location.value[lost])}, which is not there",
                where=source.at(offset=int(spans.start[first + row])),
                hint=DAMAGED,
            )
        lengths.append(location.counts)
        stacks.append(_turned(location.offset, found).astype(np.int32))
        rows.append(signed(value.value).reshape(-1, width))
        labels.append(columns[3])
    values = np.concatenate(rows) if rows else np.zeros((0, width), np.int64)
    _check_sums(source, spans, values)
    tags_id, tags = _labels(source, joined(labels), strings, notes)
    return Samples(
        np.concatenate(([0], np.cumsum(np.concatenate(lengths)))) if lengths else np.zeros(1, np.int64),
        np.concatenate(stacks) if stacks else np.zeros(0, np.int32),
        values,
        tags_id,
        tags,
    )


def _turned(offset: NDArray[np.int64], location: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each stack reversed."""
    place = np.repeat(offset[:-1] + offset[1:] - 1, np.diff(offset))
    place -= np.arange(len(location))
    return location[place]


def _check_sums(source: Source, spans: Spans, values: NDArray[np.int64]) -> None:
    """Check that no sum of values exceeds int64."""
    for column in values.T:
        sizes = np.abs(column.astype(np.float64))
        # a float is good enough to see that it is far from the limit
        if sizes.sum() >= _LIMIT / 2 and sum(abs(value) for value in column.tolist()) >= _LIMIT:
            raise ReadError(
                "the values of one sample type sum to more than 64 bits can hold",
                where=source.at(offset=int(spans.start[sizes.argmax()])),
                hint=DAMAGED,
            )


def _labels(source: Source, column: Column, strings: Strings, notes: NoteBook) -> tuple[NDArray[np.int64], Table]:
    """For each sample the number of its set of labels (0: none), and the table of these sets.

    A label is text if ``str`` is given, otherwise a number if ``num`` or its unit is; a label with neither is left out,
    as in pprof.
    """
    none = np.zeros(len(column.offset) - 1, dtype=np.int64)
    if not len(column.value):
        return none, tags_table([])
    spans = column.spans()
    fields = decode(source, spans, LABEL_FIELDS)
    key, text, number, unit = (fields[field].last() for field in (1, 2, 3, 4))
    sample = column.message
    given = (text != 0) | (number != 0) | (unit != 0)
    if not given.all():
        first = int(np.flatnonzero(~given)[0])
        notes.add(
            "a label has neither text nor number and is left out",
            source.at(offset=int(spans.start[first])),
            count=int((~given).sum()),
        )
        key, text, number, unit, sample = (each[given] for each in (key, text, number, unit, sample))
    # the label is the text, or the number with its unit, never both
    number, unit = np.where(text != 0, 0, number), np.where(text != 0, 0, unit)
    code = np.zeros(len(key), dtype=np.int64)
    for each in (key, text, number, unit):
        codes, known = numbered(each.astype(np.int64))
        code, _ = numbered(code * (len(known) + 1) + codes)
    _, chosen = np.unique(code, return_index=True)
    order = np.lexsort((code, sample))
    code, sample = code[order], sample[order]
    counts = np.bincount(sample, minlength=len(none))
    if counts.max(initial=0) > _MOST_LABELS:
        kept = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts) < _MOST_LABELS
        notes.add(f"labels beyond {_MOST_LABELS} of one sample are left out", count=int((~kept).sum()))
        code, counts = code[kept], np.minimum(counts, _MOST_LABELS)
    sets = grow(np.concatenate(([0], np.cumsum(counts))), code)
    used, tags_id = np.unique(sets.node_of, return_inverse=True)
    # an empty set, if there is one, comes first, as -1
    tags_id = tags_id + (0 if used[0] < 0 else 1)
    labels = list(
        zip(
            (strings.many(key[chosen], spans)),
            (strings.many(text[chosen], spans)),
            (text[chosen] != 0).tolist(),
            signed(number[chosen]).tolist(),
            (strings.many(unit[chosen], spans)),
            strict=True,
        )
    )
    return np.asarray(tags_id, dtype=np.int64), tags_table(_rows(sets, used[used >= 0].tolist(), labels))


def _rows(
    sets: Tree, used: list[int], labels: list[tuple[str, str, bool, int, str]]
) -> list[tuple[int, str, str, int | None, str]]:
    """The rows of ``tags_table``. Each set in ``used`` is the path to a node, whose frames are numbers of ``labels``:
    key, text, whether the text is used, number, unit. A number without a unit has the unit of its key, as in pprof."""
    units: dict[str, str] = {}
    for name, _, is_text, _, given_unit in labels:
        if not is_text and given_unit:
            units.setdefault(name, given_unit)
    rows: list[tuple[int, str, str, int | None, str]] = []
    for identity, node in enumerate(used, start=1):
        path: list[int] = []
        while node >= 0:
            path.append(int(sets.frame[node]))
            node = int(sets.parent[node])
        for label in reversed(path):
            name, value, is_text, amount, given_unit = labels[label]
            if is_text:
                rows.append((identity, name, value, None, ""))
            else:
                shown = given_unit or units.get(name) or _DEFAULT_UNITS.get(name, name)
                rows.append((identity, name, str(amount), amount, shown))
    return rows


def tags_table(rows: list[tuple[int, str, str, int | None, str]]) -> Table:
    """The ``tags`` of a Profile from rows of tags_id, key, value, number (None: a text), unit."""
    ids, keys, values, numbers, units = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Table(
        {
            "tags_id": np.array(ids, dtype=np.int64),
            "key": text(keys),
            "value": text(values),
            "number": Counts(
                np.array([number or 0 for number in numbers], dtype=np.int64),
                np.array([number is not None for number in numbers], dtype=bool),
            ),
            "unit": text(units),
        }
    )

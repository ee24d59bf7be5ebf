"""The tables of a pprof profile that samples refer to: strings, mappings, functions, locations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.readers.pprof.schema import (
    FUNCTION,
    FUNCTION_FIELDS,
    LINE_FIELDS,
    LOCATION,
    LOCATION_FIELDS,
    MAPPING,
    MAPPING_FIELDS,
    STRING,
)
from workbench.profiles.readers.pprof.wire import DAMAGED, Spans, TopLevel, as_int64, decode, signed
from workbench.profiles.table import Table, text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source


# Bytes per text in addition to its length, as bytes and as text, and for its position
_TEXT_BYTES = 120
# and a function or a location
_ROW_BYTES = 100


@dataclass(frozen=True, slots=True)
class Strings:
    """The string table. Names, files, labels and units are numbers into it."""

    source: Source
    texts: list[str]

    def __getitem__(self, number: int) -> str:
        """One text by its number, unchanged."""
        index = as_int64(number)
        if index == 0:
            return ""
        if not 0 < index < len(self.texts):
            raise self._outside(index, self.source.at())
        return self.texts[index]

    def many(self, numbers: NDArray[np.uint64], spans: Spans) -> list[str]:
        """The texts of one field of the messages at ``spans``."""
        index = signed(numbers)
        outside = np.flatnonzero((index != 0) & ((index < 0) | (index >= len(self.texts))))
        if len(outside):
            first = int(outside[0])
            raise self._outside(int(index[first]), self.source.at(offset=int(spans.start[first])))
        return [self.texts[number] for number in index.tolist()] if self.texts else [""] * len(index)

    def _outside(self, index: int, where: str) -> ReadError:
        return ReadError(
            f"the file refers to string {index}, but the string table has {len(self.texts):,}",
            where=where,
            hint=DAMAGED,
        )


def read_strings(source: Source, top: TopLevel, notes: NoteBook) -> Strings:
    """The string table. Its first entry must be empty."""
    spans = top.spans[STRING]
    if len(spans) and spans.start[0] != spans.end[0]:
        raise ReadError(
            'the first string is not ""',
            where=source.at(offset=int(spans.start[0])),
            hint="This is not a pprof profile",
        )
    require(len(spans) * _TEXT_BYTES)
    texts: list[str] = []
    for raw in spans.text(source.data):
        try:
            texts.append(raw.decode())
        except UnicodeDecodeError:
            notes.add(
                "text that is not UTF-8: its bytes are shown as \\x..",
                source.at(offset=int(spans.start[len(texts)])),
            )
            texts.append(raw.decode(errors="backslashreplace"))
    return Strings(source, texts)


def read_mappings(source: Source, top: TopLevel, strings: Strings) -> Table:
    """The mapped files: id, start, limit, offset (uint64), file, build_id."""
    spans = top.spans[MAPPING]
    columns = decode(source, spans, MAPPING_FIELDS)
    ids = columns[1].last()
    _check_ids(source, spans, ids, "mapping")
    return Table(
        {
            "id": ids,
            "start": columns[2].last(),
            "limit": columns[3].last(),
            "offset": columns[4].last(),
            "file": text(strings.many(columns[5].last(), spans)),
            "build_id": text(strings.many(columns[6].last(), spans)),
        }
    )


@dataclass(frozen=True, slots=True)
class Functions:
    """The function table: id, name and file of each."""

    ids: NDArray[np.uint64]
    name: list[str]
    file: list[str]


def read_functions(source: Source, top: TopLevel, strings: Strings) -> Functions:
    """The function table; a function without name has its system name."""
    spans = top.spans[FUNCTION]
    require(len(spans) * _ROW_BYTES)
    columns = decode(source, spans, FUNCTION_FIELDS)
    ids = columns[1].last()
    _check_ids(source, spans, ids, "function")
    names = strings.many(columns[2].last(), spans)
    system = strings.many(columns[3].last(), spans)
    return Functions(
        ids,
        [name or other for name, other in zip(names, system, strict=True)],
        strings.many(columns[4].last(), spans),
    )


@dataclass(frozen=True, slots=True)
class Locations:
    """The location table, one row per location, and its lines: those of location ``i`` are
    ``function[offset[i]:offset[i + 1]]`` (rows of the function table), innermost inlined call first."""

    ids: NDArray[np.uint64]
    address: NDArray[np.uint64]
    object: list[str]
    offset: NDArray[np.int64]
    function: NDArray[np.int64]
    line: NDArray[np.int64]

    @property
    def line_counts(self) -> NDArray[np.int64]:
        """How many lines each location has."""
        return np.diff(self.offset)


def read_locations(source: Source, top: TopLevel, mappings: Table, functions: Functions, notes: NoteBook) -> Locations:
    """The location table. Raises ReadError for a line of a function that is not there."""
    spans = top.spans[LOCATION]
    require(len(spans) * _ROW_BYTES)
    columns = decode(source, spans, LOCATION_FIELDS)
    ids = columns[1].last()
    _check_ids(source, spans, ids, "location")
    wanted = columns[2].last()
    mapping = Finder(mappings["id"])(wanted)
    lost = np.flatnonzero((mapping < 0) & (wanted != 0))
    if len(lost):
        notes.add(
            "a location refers to a missing mapping: its object is unknown",
            source.at(offset=int(spans.start[lost[0]])),
            count=len(lost),
        )
    objects = ["", *(_base_name(file) for file in mappings["file"].tolist())]
    lines = columns[4].spans()
    fields = decode(source, lines, LINE_FIELDS)
    function = Finder(functions.ids)(fields[1].last())
    if len(function) and function.min() < 0:
        first = int(np.flatnonzero(function < 0)[0])
        raise ReadError(
            f"a line refers to function {int(fields[1].last()[first])}, which does not exist",
            where=source.at(offset=int(lines.start[first])),
            hint=DAMAGED,
        )
    return Locations(
        ids=ids,
        address=columns[3].last(),
        object=[objects[row + 1] for row in mapping.tolist()],
        offset=columns[4].offset,
        function=function,
        line=signed(fields[2].last()),
    )


class Finder:
    """Finds the row of an id. Ids are any 64-bit numbers, most often 1, 2, 3 ..."""

    def __init__(self, ids: NDArray[np.uint64]) -> None:
        self._top = int(ids.max(initial=0))
        self._sorted: NDArray[np.uint64] | None = None
        if self._top < 4 * len(ids) + 1024:
            self._table = np.full(self._top + 2, -1, dtype=np.int32)
            self._table[ids.astype(np.int64)] = np.arange(len(ids))
        else:
            self._order = np.argsort(ids, kind="stable")
            self._sorted = ids[self._order]

    def __call__(self, wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The row of each wanted id, -1 if there is no such id."""
        if self._sorted is not None:
            place = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            return np.where(self._sorted[place] == wanted, self._order[place], -1)
        return self._table[np.minimum(wanted, np.uint64(self._top + 1)).astype(np.intp)].astype(np.int64)


def _check_ids(source: Source, spans: Spans, ids: NDArray[np.uint64], what: str) -> None:
    if not len(ids):
        return
    _, first = np.unique(ids, return_index=True)
    bad = np.ones(len(ids), dtype=bool)
    bad[first] = False
    bad |= ids == 0
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        wrong = "has the reserved id 0" if ids[row] == 0 else f"has id {int(ids[row])}, like an earlier one"
        raise ReadError(
            f"a {what} {wrong}",
            where=source.at(offset=int(spans.start[row])),
            hint="Several profiles in one file cannot be separated: merge them with `pprof -proto A B > AB.pb.gz`",
        )


def _base_name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]

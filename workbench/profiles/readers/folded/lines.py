"""The lines of a folded file: comments, stacks and counts. Equal lines and stacks are summed chunk by chunk, so that
memory depends on the distinct stacks, not on the file.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.arrow import of_bytes, of_numbers, to_bools, to_numbers
from workbench.profiles.memory import MIB, require
from workbench.profiles.readers.folded.austin import FULL, full_costs
from workbench.profiles.readers.folded.shape import NUMBER
from workbench.profiles.tree import add_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
CHUNK_BYTES = MIB
MOST_COMMENTS = 20
# Bytes of memory per line while distinct lines are found (measured).
_LINE_BYTES = 200
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Stacks:
    """Distinct stacks in the order of their first line. ``text`` is an Arrow array, ``costs`` has a column per count,
    ``times`` is the number of lines of a stack, ``line`` the number of the first.
    """

    text: Any
    costs: NDArray[Any]
    times: NDArray[np.int64]
    line: NDArray[np.int64]


def stacks_of(source: Source, notes: NoteBook, *, full: bool = False) -> tuple[Stacks, list[str]]:
    """The distinct stacks of a file with their costs, and its first comments. Two cost columns if every line has two
    counts, else one: then a number before the count is part of a name. ``full``: three columns, of austin's figures.

    Raises ReadError if no line has a count, or counts do not fit 64 bits.
    """
    data = _utf8(source, notes)
    two = not full and _two_counts(data)
    number = FULL if full else NUMBER
    sums, comments = _Sums(), _Comments()
    weight = np.zeros(3 if full else 1 + two)
    uncounted = 0
    for first, text in _chunks(data):
        require(text.count(b"\n") * _LINE_BYTES)
        lines, times, line = _told(text, first, comments)
        stacks, counts, has = _split_last(lines, number)
        if not has.all():
            uncounted = uncounted or int(line[~has][0])
            notes.add("line without a count, ignored", source.at(int(line[~has][0])), count=int(times[~has].sum()))
        times, line = times[has], line[has]
        columns = _full_columns(counts, line, source) if full else [_values(counts, line, source)]
        if two:
            stacks, before, _ = _split_last(stacks)
            columns.insert(0, _values(before, line, source))
        costs = np.column_stack(columns)
        weight += (np.abs(costs.astype(np.float64)) * times[:, None]).sum(axis=0)
        if (weight >= float(_MOST)).any():
            raise _too_large(source.name, "the counts add up to more than")
        sums.add(Stacks(stacks, costs * times[:, None], times, line))
    found = sums.settled()
    if found is None and uncounted:
        raise ReadError(
            "no line ends in a count",
            where=source.at(uncounted),
            hint="Folded stacks are lines of the form: frame;frame 12",
        )
    if found is None:
        raise ReadError("there is no line with a stack", where=source.name, hint="Was anything sampled?")
    if data[-1:].isdigit():
        # tools end every line, but people who join lines by hand may not, so this line is read
        notes.add(
            "the last line has no end: if the file was cut off, its count may be too small",
            source.at(data.count(b"\n") + 1),
        )
    return found, comments.found


@dataclass
class _Comments:
    found: list[str] = field(default_factory=list)

    def add(self, lines: Any) -> None:
        self.found += lines.slice(0, MOST_COMMENTS - len(self.found)).to_pylist()


class _Sums:
    """Collects stacks chunk by chunk, and sums them again whenever their number has doubled."""

    def __init__(self) -> None:
        self._pieces: list[Stacks] = []
        self._waiting = 0
        self._known = 0

    def add(self, piece: Stacks) -> None:
        piece = _summed(piece)
        if not len(piece.line):
            return
        self._pieces.append(piece)
        self._waiting += len(piece.line)
        if self._waiting > 2 * self._known + 1000:
            self._settle()

    def settled(self) -> Stacks | None:
        """All stacks; None if there are none."""
        if len(self._pieces) > 1:
            self._settle()
        return self._pieces[0] if self._pieces else None

    def _settle(self) -> None:
        import pyarrow as pa

        pieces = self._pieces
        joined = Stacks(
            pa.concat_arrays([piece.text for piece in pieces]),
            np.concatenate([piece.costs for piece in pieces]),
            np.concatenate([piece.times for piece in pieces]),
            np.concatenate([piece.line for piece in pieces]),
        )
        self._pieces = [_summed(joined)]
        self._known = self._waiting = len(self._pieces[0].line)


def _summed(stacks: Stacks) -> Stacks:
    code, distinct, first = _encoded(stacks.text)
    count = len(distinct)
    if count == len(code):
        return stacks
    return Stacks(
        distinct,
        add_at(count, code, stacks.costs),
        add_at(count, code, stacks.times[:, None])[:, 0],
        stacks.line[first],
    )


def _encoded(texts: Any) -> tuple[NDArray[np.int64], Any, NDArray[np.int64]]:
    """The number of each text among the distinct ones, these in order of appearance, and where each is first."""
    encoded = texts.dictionary_encode()
    code = to_numbers(encoded.indices).astype(np.int64)
    first = np.zeros(len(encoded.dictionary), dtype=np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    return code, encoded.dictionary, first


def _utf8(source: Source, notes: NoteBook) -> bytes:
    """The text in UTF-8; invalid bytes are escaped and noted."""
    data = source.data
    encoding = WIDE.get(data[:2], "utf-8")
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    if encoding == "utf-8":
        import pyarrow as pa

        try:
            # checks without a copy
            pa.Array.from_buffers(
                pa.large_string(), 1, [None, pa.py_buffer(np.asarray([0, len(data)])), pa.py_buffer(data)]
            ).validate(full=True)
            return data[start:]
        except pa.ArrowInvalid:
            pass
    try:
        return data.decode(encoding)[start and 1 :].encode()
    except UnicodeDecodeError as error:
        notes.add(f"bytes that are not {encoding.upper()}, shown escaped", source.at(offset=error.start))
    return data[start:].decode(encoding, "backslashreplace" if encoding == "utf-8" else "replace").encode()


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about CHUNK_BYTES of them at a time, each piece with the number of its first line."""
    number, offset = 1, 0
    while offset < len(data):
        stop = data.rfind(b"\n", offset, offset + CHUNK_BYTES) + 1 or data.find(b"\n", offset) + 1 or len(data)
        if offset + CHUNK_BYTES >= len(data):
            stop = len(data)
        text = data[offset:stop]
        yield number, text
        number += text.count(b"\n")
        offset = stop


def _told(text: bytes, first: int, comments: _Comments) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    """The distinct lines that are neither blank nor comments, how often each occurs, and the number of its first
    occurrence."""
    import pyarrow.compute as pc

    whole = of_bytes(text)
    lines = pc.ascii_rtrim_whitespace(pc.split_pattern(whole, "\n").flatten())
    code, distinct, place = _encoded(lines)
    times = np.bincount(code, minlength=len(distinct))
    comment = pc.match_substring_regex(distinct, "^#( |$)")
    comments.add(distinct.filter(comment))
    kept = np.flatnonzero((to_numbers(pc.binary_length(distinct)) > 0) & ~to_bools(comment))
    return distinct.take(of_numbers(kept)), times[kept], place[kept] + first


def _full_columns(counts: Any, line: NDArray[np.int64], source: Source) -> list[NDArray[Any]]:
    """The columns of austin's ``time,idle,bytes``."""
    import pyarrow.compute as pc

    figures = pc.split_pattern(counts, ",").flatten()
    places = np.arange(len(counts)) * 3
    return full_costs(*(_values(figures.take(of_numbers(places + column)), line, source) for column in range(3)))


def _split_last(lines: Any, number: str = NUMBER) -> tuple[Any, Any, NDArray[np.bool_]]:
    """The text before and after the last blanks of lines that end in a number, and which lines these are."""
    import pyarrow.compute as pc

    parts = pc.split_pattern(lines, " ", max_splits=1, reverse=True)
    offsets = to_numbers(parts.offsets)
    has = np.diff(offsets) == 2
    first = offsets[:-1][has]
    values = parts.values
    counts = values.take(of_numbers(first + 1))
    right = to_bools(pc.match_substring_regex(counts, rf"^(?:{number})$"))
    has[has] = right
    return (
        pc.ascii_rtrim_whitespace(values.take(of_numbers(first[right]))),
        counts.take(of_numbers(np.flatnonzero(right))),
        has,
    )


def _two_counts(data: bytes) -> bool:
    """Whether every line that has a count has two. The first without ends the search."""
    any_line = False
    for first, text in _chunks(data):
        stacks, _, _ = _split_last(_told(text, first, _Comments())[0])
        for some in (stacks.slice(0, 1), stacks):
            if not _split_last(some)[2].all():
                return False
        any_line = any_line or len(stacks) > 0
    return any_line


def _values(counts: Any, line: NDArray[np.int64], source: Source) -> NDArray[Any]:
    """Count texts as int64, or as float64 where any has a fraction."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = pc.utf8_ltrim(counts, "+")
    if not pc.any(pc.match_substring(counts, ".")).as_py():
        long = np.flatnonzero(to_numbers(pc.binary_length(counts)) > 18)
        for position in long.tolist():
            digits = counts[position].as_py()
            if len(digits) > 40 or not -_MOST <= int(digits) <= _MOST:
                raise _too_large(source.at(int(line[position])))
        return to_numbers(counts.cast(pa.int64()))
    values = to_numbers(counts.cast(pa.float64()))
    if not (np.abs(values) <= _MOST).all():
        raise _too_large(source.at(int(line[~(np.abs(values) <= _MOST)][0])))
    return values


def _too_large(where: str, what: str = "the count is more than") -> ReadError:
    return ReadError(f"{what} 64 bits can hold", where=where, hint="Count in a larger unit")

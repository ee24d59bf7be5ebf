"""Protobuf's wire format, for messages that consist of numbers and of messages of numbers.

That covers profile.proto except its strings. A message is a sequence of varints, so millions of messages are parsed
with whole arrays: ends of varints (bytes below 128), their values, and then field after field of all messages at once.
A message with anything else in it (an unknown fixed-size or text field, damage) is read separately, byte by byte, which
also gives errors their position.

Source: the encoding guide of Protocol Buffers and google/pprof's decoder, which defines what tools accept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.memory import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.source import Source

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
Kind = Literal["number", "numbers", "message", "text"]
DAMAGED = "The file was cut off or damaged while it was written or copied: fetch it again"

# Bytes parsed at a time: arrays of this size stay in the processor's cache and bound the memory.
_CHUNK = 1 << 16
# Bytes of memory per byte of a longer message, if each byte is a number (measured).
_OF_BYTE = 60
# Memory is checked after this many bytes of the outermost message.
_LOOK_EVERY = 1 << 20
# Fewer bytes are faster byte by byte than with arrays.
_FEW_BYTES = 512
# places in a chunk have 32 bits; only a damaged message is so much longer than a chunk
_MOST_BYTES = 1 << 30
_UINT64 = (1 << 64) - 1
# No profiler writes messages with more changes of field: these are read byte by byte, which takes linear time.
_ROUNDS = 300
WIRES: dict[Kind, tuple[int, ...]] = {
    "number": (VARINT,),
    "numbers": (VARINT, LENGTH),
    "message": (LENGTH,),
    "text": (LENGTH,),
}


@dataclass(frozen=True, slots=True)
class Spans:
    """Where messages (or strings) lie in the data: byte offsets, ends exclusive, in the order of the file."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def text(self, data: bytes) -> list[bytes]:
        """The bytes of each."""
        return [data[start:end] for start, end in zip(self.start.tolist(), self.end.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Column:
    """One field of many messages: message ``i`` holds ``value[offset[i]:offset[i + 1]]``.

    Of a field that is a message itself, ``value`` is the byte offset it begins at and ``size`` its bytes.
    """

    offset: NDArray[np.int64]
    value: NDArray[np.uint64]
    size: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many values each message has."""
        return np.diff(self.offset)

    @property
    def message(self) -> NDArray[np.int64]:
        """The message of each value."""
        return np.repeat(np.arange(len(self.offset) - 1), self.counts)

    def last(self) -> NDArray[np.uint64]:
        """The value of each message of a field that is not repeated: the last one given, else 0."""
        out = np.zeros(len(self.offset) - 1, dtype=np.uint64)
        there = self.counts > 0
        out[there] = self.value[self.offset[1:][there] - 1]
        return out

    def spans(self) -> Spans:
        """The messages inside."""
        start = self.value.astype(np.int64)
        return Spans(start, start + self.size)


@dataclass(frozen=True, slots=True)
class TopLevel:
    """The outermost fields: spans of messages and strings, and the numbers, each by field number."""

    spans: dict[int, Spans]
    numbers: dict[int, list[int]]
    offsets: dict[int, list[int]]


def signed(value: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Varints as int64: two's complement."""
    return value.view(np.int64)


def as_int64(value: int) -> int:
    """One varint as int64: two's complement."""
    return value - (1 << 64) if value >> 63 else value


def top_level(source: Source, kinds: Mapping[int, Kind]) -> TopLevel:
    """Parse the outermost message. Raises ReadError if it is not protobuf or has other kinds of fields."""
    data, size = source.data, len(source.data)
    starts: dict[int, Any] = {number: array("q") for number, kind in kinds.items() if kind in ("message", "text")}
    ends: dict[int, Any] = {number: array("q") for number in starts}
    numbers: dict[int, list[int]] = {number: [] for number in kinds if number not in starts}
    offsets: dict[int, list[int]] = {number: [] for number in numbers}
    position = look = 0
    while position < size:
        if position >= look:
            require()
            look = position + _LOOK_EVERY
        tag = data[position]
        # nearly every field of a profile is a message of less than 16 KiB under a tag of one byte
        if tag & 0x87 == LENGTH and tag >> 3 in starts and position + 2 < size:
            length = data[position + 1]
            begin = position + 2
            if length >= 0x80 and data[begin] < 0x80:
                length = length & 0x7F | data[begin] << 7
                begin += 1
            end = begin + length
            if length & ~0x3FFF == 0 and (data[begin - 1] < 0x80) and end <= size:
                number = tag >> 3
                starts[number].append(begin)
                ends[number].append(end)
                position = end
                continue
        number, wire, value, begin, position = field_at(source, position, size)
        kind = kinds.get(number)
        if kind is not None:
            _check_wire(source, number, wire, kind, begin)
        if kind in ("message", "text"):
            starts[number].append(begin)
            ends[number].append(position)
        elif kind is not None:
            values = [value] if wire == VARINT else [v for v, _ in _varints(source, begin, position)]
            numbers[number] += values
            offsets[number] += [begin] * len(values)
    return TopLevel(
        {number: Spans(np.array(starts[number], np.int64), np.array(ends[number], np.int64)) for number in starts},
        numbers,
        offsets,
    )


def decode(source: Source, spans: Spans, kinds: Mapping[int, Kind]) -> dict[int, Column]:
    """The fields of many messages of one type, as columns by field number.

    ``kinds``: the needed fields: ``number`` (one varint), ``numbers`` (repeated, packed or not, also both in one
    message) or ``message``. Others are skipped. Raises ReadError with the byte offset of damage.
    """
    parts: dict[int, list[Column]] = {number: [] for number in kinds}
    for _, columns in batches(source, spans, kinds):
        for number, column in columns.items():
            parts[number].append(column)
    return {number: joined(found) for number, found in parts.items()}


def batches(source: Source, spans: Spans, kinds: Mapping[int, Kind]) -> Iterator[tuple[int, dict[int, Column]]]:
    """As :func:`decode`, in batches of messages: the number of the first, and their columns. Of millions of values,
    only the arrays of one batch are in use at a time, so they stay in the processor's cache."""
    first = 0
    while first < len(spans):
        last = int(np.searchsorted(spans.end, spans.start[first] + _CHUNK, side="right"))
        last = max(last, first + 1)
        size = int(spans.end[last - 1] - spans.start[first])
        require(size * _OF_BYTE if size > _CHUNK else 0)
        yield first, _decode_batch(source, Spans(spans.start[first:last], spans.end[first:last]), kinds)
        first = last


def joined(parts: list[Column]) -> Column:
    """The columns of several batches as one."""
    if not parts:
        empty = np.zeros(0, np.int64)
        return Column(np.zeros(1, np.int64), empty.astype(np.uint64), empty)
    before = np.cumsum([0, *(part.offset[-1] for part in parts)])
    return Column(
        np.concatenate([[0], *(part.offset[1:] + ahead for part, ahead in zip(parts, before[:-1], strict=True))]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.size for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """Values of one field, each with the message of the chunk it is in; of messages begin and size in bytes."""

    row: NDArray[np.int64]
    value: NDArray[np.uint64]
    size: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def _decode_batch(source: Source, spans: Spans, kinds: Mapping[int, Kind]) -> dict[int, Column]:
    base = int(spans.start[0])
    start, end = spans.start - base, spans.end - base
    raw = np.frombuffer(source.data, dtype=np.uint8, count=int(end[-1]), offset=base)
    found: dict[int, list[_Found]] = {number: [] for number in kinds}
    if len(raw) < _FEW_BYTES or len(raw) > _MOST_BYTES:
        found = _walk_by_hand(source, spans, range(len(start)), kinds)
    else:
        odd = np.flatnonzero(_walk(_Tokens.of(raw, start, end), base, start, end, kinds, found))
        if len(odd):
            by_hand = _walk_by_hand(source, spans, odd.tolist(), kinds)
            for number in kinds:
                found[number] = [_without(part, odd) for part in found[number]] + by_hand[number]
    return {number: _ordered(found[number], len(start), kinds[number]) for number in kinds}


@dataclass(frozen=True, slots=True)
class _Tokens:
    """All varints of a chunk: their values, and the byte after each."""

    value: NDArray[np.uint64]
    end: NDArray[np.int32]
    whole: NDArray[np.bool_]

    def at(self, place: NDArray[Any]) -> NDArray[np.int64]:
        """The number of varints that end before a byte: the token that begins there."""
        return np.searchsorted(self.end, place.astype(np.int32), side="right")

    @classmethod
    def of(cls, raw: NDArray[np.uint8], start: NDArray[np.int64], end: NDArray[np.int64]) -> _Tokens:
        stops = raw < 0x80
        filled = end > start
        whole = np.ones(len(start), dtype=bool)
        whole[filled] = stops[end[filled] - 1]
        # no varint crosses the border of a message
        stops[end[filled] - 1] = True
        inner = start[start > 0]
        stops[inner - 1] = True
        # half the memory of what numpy counts with by default
        stop = np.flatnonzero(stops).astype(np.int32)
        begin = np.zeros_like(stop)
        np.add(stop[:-1], 1, out=begin[1:])
        value = (raw[begin] & 0x7F).astype(np.uint64)
        longer = np.flatnonzero(stop > begin)
        shift = 7
        while len(longer) and shift < 70:
            place = begin[longer] + shift // 7
            value[longer] |= (raw[place] & 0x7F).astype(np.uint64) << np.uint64(shift)
            longer = longer[stop[longer] > place]
            shift += 7
        if len(longer):
            # a varint has at most ten bytes; a message with a longer one is read byte by byte, which finds the place
            whole[np.clip(np.searchsorted(start, begin[longer], side="right") - 1, 0, None)] = False
        return cls(value, stop + 1, whole)


def _walk(
    tokens: _Tokens,
    base: int,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    kinds: Mapping[int, Kind],
    found: dict[int, list[_Found]],
) -> NDArray[np.bool_]:
    """One field (or run of equal fields) of all messages at a time. Returns which messages could not be parsed."""
    odd = ~tokens.whole
    here = tokens.at(start)
    final = tokens.at(end)
    active = np.flatnonzero((here < final) & ~odd)
    runs: dict[int, _Runs] = {}
    for _ in range(_ROUNDS):
        if not len(active):
            return odd
        tag = tokens.value[here[active]]
        cut = here[active] + 1 >= final[active]
        odd[active[cut]] = True
        left = ~cut
        for number, kind in kinds.items():
            for wire in WIRES[kind]:
                mine = left & (tag == number << 3 | wire)
                if not mine.any():
                    continue
                left &= ~mine
                rows = active[mine]
                if wire == LENGTH:
                    rows, body, stop, begin, size = _bodies(tokens, rows, here[rows], end, odd)
                    if kind == "numbers":
                        found[number].append(_taken(rows, tokens.value, body, stop - body, 1))
                    else:
                        found[number].append(_Found(rows, (begin + base).astype(np.uint64), size))
                    here[rows] = stop
                elif kind == "numbers":
                    key = number << 3
                    if key not in runs:
                        runs[key] = _Runs(tokens.value, key)
                    count = (np.minimum(runs[key].ends(here[rows]), final[rows]) - here[rows]) // 2
                    found[number].append(_taken(rows, tokens.value, here[rows] + 1, count, 2))
                    here[rows] += 2 * count
                else:
                    found[number].append(_Found(rows, tokens.value[here[rows] + 1]))
                    here[rows] += 2
        # an unknown number is skipped; any other unknown field may be text, which does not consist of varints
        unknown = left & (tag & np.uint64(7) == VARINT)
        if unknown.any():
            unknown &= ~np.isin(tag >> np.uint64(3), list(kinds))
        here[active[unknown]] += 2
        odd[active[left & ~unknown]] = True
        active = active[(here[active] < final[active]) & ~odd[active]]
    odd[active] = True
    return odd


def _bodies(
    tokens: _Tokens,
    rows: NDArray[np.int64],
    here: NDArray[np.int64],
    end: NDArray[np.int64],
    odd: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], ...]:
    """The content of a field with a length, of each message in ``rows``: first token, token after it, first byte and
    size. Messages in which it is too long, or ends within a varint, become odd and are left out."""
    body = here + 2
    begin = tokens.end[here + 1].astype(np.int64)
    length = tokens.value[here + 1]
    fits = length <= (end[rows] - begin).astype(np.uint64)
    size = np.where(fits, length, 0).astype(np.int64)
    stop = tokens.at(begin + size)
    fits &= (size == 0) | (tokens.end[np.maximum(stop, 1) - 1] == begin + size)
    odd[rows[~fits]] = True
    return rows[fits], body[fits], stop[fits], begin[fits], size[fits]


class _Runs:
    """Where runs of unpacked values of one field end: tag, value, tag, value ..."""

    def __init__(self, value: NDArray[np.uint64], key: int) -> None:
        # every run ends after the last token
        behind = len(value) + 1
        self._others = tuple(
            np.append(np.flatnonzero(value[parity::2] != key) * 2 + parity, behind).astype(np.int32)
            for parity in (0, 1)
        )

    def ends(self, here: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each token the next one, in steps of two, that is not the field's tag."""
        out = np.empty(len(here), dtype=np.int64)
        for parity, others in enumerate(self._others):
            mine = (here & 1) == parity
            out[mine] = others[np.searchsorted(others, here[mine].astype(np.int32))]
        return out


def _taken(
    rows: NDArray[np.int64], value: NDArray[np.uint64], begin: NDArray[np.int64], count: NDArray[np.int64], step: int
) -> _Found:
    """``count`` tokens from ``begin`` on of each message in ``rows``."""
    total = int(count.sum())
    before = np.cumsum(count) - count
    places = np.repeat(begin - step * before, count) + step * np.arange(total)
    return _Found(np.repeat(rows, count), value[places])


def _without(part: _Found, rows: NDArray[np.int64]) -> _Found:
    keep = ~np.isin(part.row, rows)
    return _Found(part.row[keep], part.value[keep], part.size[keep] if len(part.size) else part.size)


def _ordered(found: list[_Found], count: int, kind: Kind) -> Column:
    """Sort the values found of one field by message, and within a message in the order of the file."""
    if not found:
        empty = np.zeros(0, np.int64)
        return Column(np.zeros(count + 1, np.int64), empty.astype(np.uint64), empty)
    row, value, size = (np.concatenate([getattr(part, name) for part in found]) for name in ("row", "value", "size"))
    if len(row) > 1 and (np.diff(row) < 0).any():
        order = np.argsort(row, kind="stable")
        row, value = row[order], value[order]
        size = size[order] if kind == "message" else size
    offset = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=count), out=offset[1:])
    return Column(offset, value, size)


def _walk_by_hand(
    source: Source, spans: Spans, rows: Sequence[int], kinds: Mapping[int, Kind]
) -> dict[int, list[_Found]]:
    """Parse messages byte by byte that arrays cannot. Raises ReadError with the position of damage."""
    values: dict[int, tuple[list[int], list[int], list[int]]] = {number: ([], [], []) for number in kinds}
    for row in rows:
        position, end = int(spans.start[row]), int(spans.end[row])
        while position < end:
            number, wire, value, begin, position = field_at(source, position, end)
            kind = kinds.get(number)
            if kind is None:
                continue
            _check_wire(source, number, wire, kind, begin)
            into = values[number]
            if kind == "message":
                into[0].append(row)
                into[1].append(begin)
                into[2].append(position - begin)
            else:
                taken = [value] if wire == VARINT else [v for v, _ in _varints(source, begin, position)]
                into[0].extend([row] * len(taken))
                into[1].extend(taken)
    return {
        number: [_Found(np.array(row, np.int64), np.array(value, np.uint64), np.array(size, np.int64))]
        for number, (row, value, size) in values.items()
    }


def field_at(source: Source, position: int, end: int) -> tuple[int, int, int, int, int]:
    """The field at ``position``: number, wire type, value (of a varint), where its content begins, where the next
    field begins."""
    tag, begin = _varint(source, position, end)
    number, wire = tag >> 3, tag & 7
    value = 0
    if wire == VARINT:
        value, following = _varint(source, begin, end)
    elif wire == LENGTH:
        length, begin = _varint(source, begin, end)
        following = begin + length
    elif wire in (FIXED64, FIXED32):
        following = begin + (8 if wire == FIXED64 else 4)
    else:
        raise ReadError(
            f"field {number} has wire type {wire}, which does not exist", where=source.at(offset=position), hint=DAMAGED
        )
    if following > end:
        raise ReadError(
            f"field {number} needs {following - begin:,} bytes, {end - begin:,} are left",
            where=source.at(offset=position),
            hint=DAMAGED,
        )
    return number, wire, value, begin, following


def _varint(source: Source, position: int, end: int) -> tuple[int, int]:
    """The varint at ``position``, and where it ends."""
    data, value = source.data, 0
    for place in range(position, min(end, position + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - position)
        if byte < 0x80:
            return value & _UINT64, place + 1
    what = "a number has more than ten bytes" if end - position >= 10 else "a number is cut off"
    raise ReadError(what, where=source.at(offset=position), hint=DAMAGED)


def _varints(source: Source, position: int, end: int) -> Iterator[tuple[int, int]]:
    """Packed varints, each with where it ends."""
    while position < end:
        value, position = _varint(source, position, end)
        yield value, position


def _check_wire(source: Source, number: int, wire: int, kind: Kind, offset: int) -> None:
    if wire not in WIRES[kind]:
        raise ReadError(
            f"field {number} has wire type {wire}, not {WIRES[kind][0]}", where=source.at(offset=offset), hint=DAMAGED
        )

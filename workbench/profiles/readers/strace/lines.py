"""A log as blocks of whole lines, and functions that read all lines of a block at once.

Python parses a line in a few microseconds, numpy in a few dozen nanoseconds. So every function here takes an array of
places (byte positions in the block) and returns an array of results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.distinct import numbered
from workbench.profiles.memory import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]
    Codes = NDArray[np.int32]
    Mask = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]

BLOCK_BYTES = 2 * 1024 * 1024  # the arrays of one block stay in the processor's cache
_OF_BYTE = 30  # bytes of memory per byte of a line that is longer than a block
PAD = 64  # zero bytes before and after a block, so that windows stay inside the buffer
NUMBER_DIGITS = 18  # 10^18 fits int64; a longer number is not read
BLANK, NEWLINE, RETURN = 0x20, 0x0A, 0x0D
_MOST_BLANKS = 1000  # strace pads to a column, but never with more blanks than this

_DIGITS = np.full(256, 255, dtype=np.uint8)
for _value, _char in enumerate(b"0123456789abcdef"):
    _DIGITS[_char] = _value
_MOST_DIGITS = 15  # every hexadecimal number of 15 digits fits int64
_TENS = 10 ** np.arange(9, dtype=np.int64)
_ZEROS, _ABOVE_NINE, _HIGH_BITS = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x76, 0x80))
_ONE, _THREE, _EIGHT, _TEN, _SIXTEEN, _THIRTY_TWO = (np.uint64(number) for number in (1, 3, 8, 10, 16, 32))
_PAIRS, _OUTER, _INNER = (np.uint64(number) for number in (0x000000FF000000FF, 0x000F424000000064, 0x0000271000000001))
# masks that keep the first 0, 1, ... 8 of eight bytes
_KEPT = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some whole lines. ``text`` has PAD more bytes on both sides (zeros, or the log's own bytes); ``start`` and
    ``end`` of the lines are places in ``text``."""

    text: memoryview
    buf: Bytes
    start: Places
    end: Places
    first_line: int

    def cut(self, start: int, end: int) -> bytes:
        """The bytes between two places."""
        return bytes(self.text[start:end])


def blocks(data: bytes, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The log in blocks of about ``size`` bytes; each ends with a whole line."""
    begin, line = 0, 1
    while begin < len(data):
        newline = data.find(b"\n", begin + size - 1) if begin + size < len(data) else -1
        stop = len(data) if newline < 0 else newline + 1
        require((stop - begin) * _OF_BYTE if stop - begin > 2 * size else 0)
        if begin >= PAD and stop + PAD <= len(data):
            block = _block(memoryview(data)[begin - PAD : stop + PAD], line)
        else:
            block = make_block(data[begin:stop], line)
        yield block
        begin, line = stop, line + len(block.start)


def make_block(lines: bytes, first_line: int) -> Block:
    """A block of these lines; the first has the number ``first_line``."""
    return _block(memoryview(b"".join((bytes(PAD), lines, bytes(PAD)))), first_line)


def _block(text: memoryview, first_line: int) -> Block:
    buf = np.frombuffer(text, dtype=np.uint8)
    newline = np.flatnonzero(buf[PAD:-PAD] == NEWLINE) + PAD
    start = np.concatenate(([PAD], newline + 1)).astype(np.int64)
    end = np.concatenate((newline, [len(text) - PAD])).astype(np.int64)
    if start[-1] == end[-1]:
        start, end = start[:-1], end[:-1]
    end = end - ((buf[end - 1] == RETURN) & (end > start))
    return Block(text, buf, start, end, first_line)


def windows(buf: Bytes, at: Places, width: int) -> Bytes:
    """The ``width`` bytes from each place on, one row per place. ``width`` is at most PAD."""
    view: Bytes = np.ndarray((len(buf) - width + 1, width), np.uint8, buffer=buf, strides=(1, 1))
    return view[at]


def matches(buf: Bytes, at: Places, text: bytes) -> Mask:
    """Whether ``text`` stands at each place."""
    view: NDArray[Any] = np.ndarray((len(buf) - len(text) + 1,), f"S{len(text)}", buffer=buf, strides=(1,))
    return np.asarray(view[at] == text, dtype=bool)


def skip_blanks(buf: Bytes, at: Places) -> Places:
    """Each place moved forward to the first byte that is not a blank."""
    return _walk(buf, at, 1)


def skip_blanks_back(buf: Bytes, at: Places) -> Places:
    """Each place moved backward to the first byte that is not a blank."""
    return _walk(buf, at, -1)


def _walk(buf: Bytes, at: Places, step: int) -> Places:
    at = at.copy()
    live = np.flatnonzero(buf[at] == BLANK)
    place = at[live]
    for _ in range(_MOST_BLANKS):
        if not live.size:
            break
        place = place + step
        blank = buf[place] == BLANK
        at[live[~blank]] = place[~blank]
        live, place = live[blank], place[blank]
    return at


def find(buf: Bytes, at: Places, byte: int) -> Places:
    """The place of the first ``byte`` in the PAD bytes from each place on, -1 if there is none."""
    hit = windows(buf, at, PAD) == byte
    first = hit.argmax(axis=1)
    return np.where(hit[np.arange(len(at)), first], at + first, -1)


def eights(buf: Bytes, at: Places) -> NDArray[np.uint64]:
    """The eight bytes from each place on as one number, the first byte the lowest."""
    view: NDArray[np.uint64] = np.ndarray((len(buf) - 7,), "<u8", buffer=buf, strides=(1,))
    return view[at]


def read_numbers(buf: Bytes, at: Places, base: int = 10) -> tuple[Places, Places]:
    """The number at each place and how many of its digits were read: at most NUMBER_DIGITS; 0 if there is no number."""
    if base != 10:
        return _read_digit_by_digit(buf, at, base)
    value, length = _eight_digits(eights(buf, at))
    live = np.flatnonzero(length == 8)
    for _ in range(2):
        if not live.size:
            break
        more, digits = _eight_digits(eights(buf, at[live] + length[live]))
        digits = np.minimum(digits, NUMBER_DIGITS - length[live])
        more = np.where(digits < 8, _first_digits(buf, at[live] + length[live], digits, more), more)
        value[live] = value[live] * _TENS[digits] + more
        length[live] += digits
        live = live[digits == 8]
    return value, length


def _first_digits(buf: Bytes, at: Places, digits: Places, more: Places) -> Places:
    """``more``; for numbers that have more digits than ``digits``, the value of the first ``digits`` ones."""
    longer = np.flatnonzero((digits > 0) & (_DIGITS[buf[at + digits]] < 10))
    more = more.copy()
    for row in longer.tolist():
        more[row] = int(bytes(buf[at[row] : at[row] + digits[row]]))
    return more


def _eight_digits(chars: NDArray[np.uint64]) -> tuple[Places, Places]:
    """The number at the beginning of eight characters, and how many digits it has; all eight are read at once.

    A byte is a digit if it is below 10 after ``0`` is subtracted. Then neighbours are combined: digits to pairs, pairs
    to fours, fours to eights (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019, section 3.2.2).
    """
    value = chars ^ _ZEROS
    # the highest bit of each byte that is not a digit; carries change only bytes after the first of these
    wrong = ((value + _ABOVE_NINE) | value) & _HIGH_BITS
    length = np.bitwise_count((wrong & (~wrong + _ONE)) - _ONE).astype(np.uint64) >> _THREE
    value <<= (_EIGHT - length) << _THREE
    value = (value * _TEN) + (value >> _EIGHT)
    value = ((value & _PAIRS) * _OUTER + ((value >> _SIXTEEN) & _PAIRS) * _INNER) >> _THIRTY_TWO
    return value.astype(np.int64), length.astype(np.int64)


def _read_digit_by_digit(buf: Bytes, at: Places, base: int) -> tuple[Places, Places]:
    value = np.zeros(len(at), dtype=np.int64)
    length = np.zeros(len(at), dtype=np.int64)
    live, place = np.arange(len(at)), at
    for _ in range(_MOST_DIGITS):
        digit = _DIGITS[buf[place]]
        good = digit < base
        live, place = live[good], place[good]
        if not live.size:
            break
        value[live] = value[live] * base + digit[good]
        length[live] += 1
        place = place + 1
    return value, length


def read_fractions(buf: Bytes, at: Places) -> tuple[Places, Places]:
    """The fraction of a second at each place in nanoseconds, and how many digits it has. More than 9 digits give 0."""
    value, length = read_numbers(buf, at)
    scale = 10 ** np.maximum(9 - length, 0)
    return np.where(length <= 9, value * scale, 0), length


def words(buf: Bytes, at: Places, length: Places, width: int) -> tuple[Places, list[bytes]]:
    """Number the distinct words: ``codes`` and the words in order of appearance. None is longer than ``width``, which
    is a multiple of 8."""
    longest = min(width, int(length.max(initial=0)))
    parts = [eights(buf, at + begin) & _KEPT[np.clip(length - begin, 0, 8)] for begin in range(0, max(longest, 1), 8)]
    key = parts[0]
    for part in parts[1:]:
        key = (key ^ (key >> np.uint64(29))) * _MIX + part
    codes, keys = numbered(key.view(np.int64))
    first = first_rows(codes, len(keys))
    if not all((part == part[first][codes]).all() for part in parts):
        # two words have the same key: number them by all their bytes
        _, first, codes = np.unique(np.stack(parts, axis=1), axis=0, return_index=True, return_inverse=True)
        codes = codes.reshape(-1)
    return codes, [bytes(buf[at[row] : at[row] + length[row]]) for row in first.tolist()]


def first_rows(codes: Places, size: int) -> Places:
    """The first position in ``codes`` of each number below ``size``."""
    first = np.zeros(size, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first

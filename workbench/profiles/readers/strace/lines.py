"""A log as blocks of whole lines, and questions asked of all lines of a block at once.

A line of strace costs Python a few microseconds to take apart and numpy a few dozen nanoseconds, so every step here
takes an array of places (byte positions in the block) and gives an array of answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.distinct import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]

BLOCK_BYTES = 2 * 1024 * 1024  # the arrays of one block stay in the processor's cache
PAD = 64  # zero bytes before and after a block, so that no window leaves it
NUMBER_DIGITS = 18  # 10^18 fits int64; a longer number is not read
BLANK, NEWLINE, RETURN = 0x20, 0x0A, 0x0D
_MOST_BLANKS = 1000  # strace pads to a column; a line with more blanks than that was not padded by strace

_DIGITS = np.full(256, 255, dtype=np.uint8)
for _value, _char in enumerate(b"0123456789abcdef"):
    _DIGITS[_char] = _value
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some whole lines. ``text`` is padded, ``start`` and ``end`` of the lines are places in it."""

    text: bytes
    buf: Bytes
    start: Places
    end: Places
    first_line: int

    def cut(self, start: int, end: int) -> bytes:
        """The bytes between two places."""
        return self.text[start:end]


def blocks(data: bytes, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """The log in blocks of about ``size`` bytes that end at a line's end."""
    begin, line = 0, 1
    while begin < len(data):
        newline = data.find(b"\n", begin + size - 1) if begin + size < len(data) else -1
        stop = len(data) if newline < 0 else newline + 1
        block = make_block(data[begin:stop], line)
        yield block
        begin, line = stop, line + len(block.start)


def make_block(lines: bytes, first_line: int) -> Block:
    """A block of these lines, whose first has the number ``first_line``."""
    text = b"".join((bytes(PAD), lines, bytes(PAD)))
    buf = np.frombuffer(text, dtype=np.uint8)
    newline = np.flatnonzero(buf == NEWLINE)
    start = np.concatenate(([PAD], newline + 1)).astype(np.int64)
    end = np.concatenate((newline, [PAD + len(lines)])).astype(np.int64)
    if start[-1] == end[-1]:
        start, end = start[:-1], end[:-1]
    end = end - ((buf[end - 1] == RETURN) & (end > start))
    return Block(text, buf, start, end, first_line)


def windows(buf: Bytes, at: Places, width: int) -> Bytes:
    """The ``width`` bytes from each place on, one row a place. ``width`` is at most PAD."""
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
    """The place of the first ``byte`` in the PAD bytes from each place on, -1 where there is none."""
    hit = windows(buf, at, PAD) == byte
    first = hit.argmax(axis=1)
    return np.where(hit[np.arange(len(at)), first], at + first, -1)


def read_numbers(buf: Bytes, at: Places, base: int = 10) -> tuple[Places, Places]:
    """The number at each place and how many digits it has (0: there is none; more than NUMBER_DIGITS are not read)."""
    value = np.zeros(len(at), dtype=np.int64)
    length = np.zeros(len(at), dtype=np.int64)
    live: Places | slice = slice(None)
    place = at
    for _ in range(NUMBER_DIGITS if base == 10 else 15):
        digit = _DIGITS[buf[place]]
        good = digit < base
        if not good.all():
            live = np.flatnonzero(good) if isinstance(live, slice) else live[good]
            place, digit = place[good], digit[good]
            if not place.size:
                break
        value[live] = value[live] * base + digit
        length[live] += 1
        place = place + 1
    return value, length


def read_fractions(buf: Bytes, at: Places) -> tuple[Places, Places]:
    """A fraction of a second in nanoseconds: the digits at each place, and how many they are (at most 9 are meant)."""
    value, length = read_numbers(buf, at)
    scale = 10 ** np.maximum(9 - length, 0)
    return np.where(length <= 9, value * scale, 0), length


def words(buf: Bytes, at: Places, length: Places, width: int) -> tuple[Places, list[bytes]]:
    """Number the distinct words: ``codes`` and the words in order of appearance. None is longer than ``width``, which
    is a multiple of 8."""
    rows = windows(buf, at, width)
    rows = np.where(np.arange(width) < length[:, None], rows, np.uint8(0))
    parts = np.ascontiguousarray(rows).view(np.uint64)
    key = parts[:, 0].copy()
    for column in range(1, parts.shape[1]):
        key = (key ^ (key >> np.uint64(29))) * _MIX + parts[:, column]
    codes, keys = numbered(key.view(np.int64))
    first = first_rows(codes, len(keys))
    if not (parts == parts[first][codes]).all():
        # two words of one key: number them by all their bytes
        _, first, codes = np.unique(parts, axis=0, return_index=True, return_inverse=True)
        codes = codes.reshape(-1)
    return codes, [bytes(rows[row, : length[row]]) for row in first]


def first_rows(codes: Places, size: int) -> Places:
    """Where each of the numbers below ``size`` stands first in ``codes``."""
    first = np.zeros(size, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first

"""The bytes of a callgrind file as arrays: lines, their words and numbers, a chunk at a time.

Numpy works on whole chunks that fit the processor's cache. A word is a run of bytes above 32; so blanks at line ends,
double blanks and CRLF need no care, and lines without a word do not exist. What the words mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_BYTES = 1024 * 1024

# kinds of lines
COST, TEXT, CALLS, JUMP, COMMENT = range(5)

_KIND = np.full(256, TEXT, dtype=np.uint8)
_KIND[list(b"0123456789+-*")] = COST
_KIND[ord("#")] = COMMENT

# eight digits in a number of 64 bits, the first in the lowest byte
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)  # added to a byte of 10 or more, it sets the highest bit
_HIGH_BITS = np.uint64(0x8080808080808080)
_KEEP = np.asarray([(2**64 - 1) ^ (2 ** (64 - 8 * size) - 1) for size in range(9)], dtype=np.uint64)

_PAD = 8  # line ends before the first byte: eight bytes can be read up to any word's end
# what follows these lines belongs to them, so no chunk ends between
_OPEN_LINES = (b"calls=", b"rcalls=", b"jump=", b"jcnd=", b"cob=", b"cfi=", b"cfl=", b"cfn=")


@dataclass(frozen=True)
class Chunk:
    """Some whole lines. ``start`` and ``end`` are the words' bounds, ``first`` each line's first word, ``words`` how
    many it has, ``kind`` what sort of line it is. ``offset`` is where the chunk begins in the file.
    """

    offset: int
    text: bytes
    buffer: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    first: NDArray[np.int64]
    words: NDArray[np.int64]
    kind: NDArray[np.uint8]

    def line(self, row: int) -> bytes:
        """A line, without blanks around it."""
        first = self.first[row]
        return self.text[self.start[first] - _PAD : self.end[first + self.words[row] - 1] - _PAD]

    def word(self, index: int) -> bytes:
        """A word."""
        return self.text[self.start[index] - _PAD : self.end[index] - _PAD]

    def place(self, index: int) -> int:
        """Where a word begins in the file, in bytes."""
        return self.offset + int(self.start[index]) - _PAD

    def bounds(self, rows: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """Where lines begin and end in ``text``."""
        first = self.first[rows]
        return (self.start[first] - _PAD).tolist(), (self.end[first + self.words[rows] - 1] - _PAD).tolist()

    @cached_property
    def _eights(self) -> NDArray[np.uint64]:
        """The eight bytes from each position on, as one number."""
        return np.ascontiguousarray(np.ndarray((len(self.buffer) - 7,), "<u8", buffer=self.buffer, strides=(1,)))

    def numbers(
        self, start: NDArray[np.int64], end: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """The decimal numbers between these bounds (empty: 0), and where there is none or one above 18 digits (None:
        nowhere).

        Eight digits are converted at once by three multiplications (D. Lemire, *Quickly parsing eight digits*).
        """
        size = end - start
        digits = self._eights.take(end - 8)
        digits ^= _ZEROS
        digits &= _KEEP.take(size, mode="clip")
        strange = digits + _ABOVE_NINE
        strange |= digits
        strange &= _HIGH_BITS
        bad = strange != 0 if strange.any() else None
        digits *= np.uint64(10 * 2**8 + 1)
        digits >>= np.uint64(8)
        digits &= np.uint64(0x00FF00FF00FF00FF)
        digits *= np.uint64(100 * 2**16 + 1)
        digits >>= np.uint64(16)
        digits &= np.uint64(0x0000FFFF0000FFFF)
        digits *= np.uint64(10_000 * 2**32 + 1)
        digits >>= np.uint64(32)
        value = digits.view(np.int64)
        if size.max(initial=0) > 8:
            long = np.flatnonzero(size > 8)
            upper, upper_bad = self.numbers(start[long], end[long] - 8)
            value[long] += upper * 100_000_000
            too_long = size[long] > 18
            if upper_bad is not None:
                too_long |= upper_bad
            if too_long.any():
                bad = np.zeros(len(size), dtype=bool) if bad is None else bad
                bad[long] |= too_long
        return value, bad


def chunks(data: bytes, size: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """All lines of ``data`` in pieces of about ``size`` bytes (more where one line is longer)."""
    offset = 0
    while offset < len(data):
        stop = _line_end(data, offset, min(offset + size, len(data)))
        yield _split(offset, data[offset:stop])
        offset = stop


def line_number(data: bytes, offset: int) -> int:
    """The number of the line that a byte is in, from 1."""
    return data.count(b"\n", 0, offset) + 1


def _line_end(data: bytes, offset: int, stop: int) -> int:
    if stop == len(data):
        return stop
    end = data.rfind(b"\n", offset, stop) + 1
    while True:
        if end <= offset:
            end = data.find(b"\n", stop) + 1
            if not end:
                return len(data)
        last = data.rfind(b"\n", offset, end - 1) + 1
        if not data.startswith(_OPEN_LINES, max(last, offset)):
            return end
        stop = end
        end = data.find(b"\n", stop) + 1
        if not end:
            return len(data)


def _split(offset: int, text: bytes) -> Chunk:
    buffer = np.empty(len(text) + _PAD + 1, dtype=np.uint8)
    buffer[:_PAD] = 10
    buffer[-1] = 10
    buffer[_PAD:-1] = np.frombuffer(text, dtype=np.uint8)
    ink = buffer > 32
    edges = np.flatnonzero(ink[1:] != ink[:-1])
    before = edges[0::2]
    start, end = before + 1, edges[1::2] + 1
    begins = buffer.take(before) == 10
    first = np.flatnonzero(begins)
    if np.any((before[1:] > end[:-1]) & ~begins[1:]) or not begins[:1].all():
        # words more than a byte apart: there may be a line end before the blank
        line = np.searchsorted(np.flatnonzero(buffer == 10), start)
        first = np.flatnonzero(np.diff(line, prepend=-1))
    words = np.diff(first, append=len(start))
    heads = start[first]
    kind = _KIND[buffer[heads]]
    if (kind == COMMENT).any():
        lines = kind != COMMENT
        first, words, heads, kind = first[lines], words[lines], heads[lines], kind[lines]
    special = np.flatnonzero(kind == TEXT)
    at = heads[special]
    one, two = buffer[at], buffer[at + 1]
    calls = special[(one == ord("c")) & (two == ord("a"))]
    kind[calls[_marked(buffer, heads[calls], b"calls=")]] = CALLS
    jumps = special[(one == ord("j")) & ((two == ord("u")) | (two == ord("c")))]
    kind[jumps[_marked(buffer, heads[jumps] + 4, b"=")]] = JUMP
    return Chunk(offset, text, buffer, start, end, first, words, kind)


def _marked(buffer: NDArray[np.uint8], at: NDArray[np.int64], mark: bytes) -> NDArray[Any]:
    """Which of these positions the bytes of ``mark`` are at."""
    last = len(buffer) - 1
    same = np.ones(len(at), dtype=bool)
    for step, byte in enumerate(mark):
        same &= buffer[np.minimum(at + step, last)] == byte
    return same

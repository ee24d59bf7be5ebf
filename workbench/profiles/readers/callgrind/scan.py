"""The bytes of a callgrind file as arrays: its lines a chunk at a time, of which the distinct ones have words.

Most lines of a file are written over and over (``+4 * 1``), so a chunk is a list of numbers of distinct lines, and
only these are looked into. A word is a run of bytes above 32; so blanks at line ends, double blanks and CRLF need no
care, and lines without a word do not exist. What the words mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_BYTES = 2 * 1024 * 1024

# kinds of lines
COST, TEXT, CALLS, JUMP, COMMENT, BLANK = range(6)

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
class Lines:
    """Distinct lines. ``start`` and ``end`` are the bounds of their words in ``buffer``, ``first`` each line's first
    word, ``words`` how many it has, ``kind`` what sort of line it is.
    """

    text: bytes
    buffer: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    first: NDArray[np.int64]
    words: NDArray[np.int64]
    kind: NDArray[np.uint8]

    def texts(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Lines, without blanks around them."""
        first = self.first[rows]
        start, end = self.start[first] - _PAD, self.end[first + self.words[rows] - 1] - _PAD
        return [self.text[low:high] for low, high in zip(start.tolist(), end.tolist(), strict=True)]

    def word(self, index: int) -> bytes:
        """A word."""
        return self.text[self.start[index] - _PAD : self.end[index] - _PAD]

    @cached_property
    def lone(self) -> NDArray[np.uint8]:
        """The byte of each word of one byte, 0 for longer words."""
        return np.where(self.end - self.start == 1, self.buffer.take(self.start), 0)

    @cached_property
    def _eights(self) -> NDArray[np.uint64]:
        """The eight bytes from each position on, as one number."""
        return np.ascontiguousarray(np.ndarray((len(self.buffer) - 7,), "<u8", buffer=self.buffer, strides=(1,)))

    def numbers(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The decimal numbers between these bounds (empty: 0), and which of them are none or above 18 digits.

        Eight digits are converted at once by three multiplications (D. Lemire, *Quickly parsing eight digits*).
        """
        size = end - start
        digits = self._eights.take(end - 8)
        digits ^= _ZEROS
        digits &= _KEEP.take(size, mode="clip")
        strange = digits + _ABOVE_NINE
        strange |= digits
        strange &= _HIGH_BITS
        bad = np.flatnonzero(strange)
        digits *= np.uint64(10 * 2**8 + 1)
        digits >>= np.uint64(8)
        digits &= np.uint64(0x00FF00FF00FF00FF)
        digits *= np.uint64(100 * 2**16 + 1)
        digits >>= np.uint64(16)
        digits &= np.uint64(0x0000FFFF0000FFFF)
        digits *= np.uint64(10_000 * 2**32 + 1)
        digits >>= np.uint64(32)
        value = digits.view(np.int64)
        long = np.flatnonzero(size > 8)
        if len(long):
            # of a number that is far too long the first digits are not looked at: it is bad anyway
            until = end[long] - 8
            upper, bad_upper = self.numbers(np.maximum(start[long], until - 16), until)
            value[long] += upper * 100_000_000
            bad = np.unique(np.concatenate((bad, long[bad_upper], long[size[long] > 18])))
        return value, bad


@dataclass(frozen=True)
class Chunk:
    """Some whole lines of a file: ``code`` says which of the distinct ``lines`` a row is, ``kind`` what sort of line.
    Blank lines and comments are left out, or stand where they do no harm: after a cost line.
    """

    lines: Lines
    code: NDArray[np.int32]
    kind: NDArray[np.uint8]
    offset: int
    _begin: NDArray[Any]
    _rows: NDArray[np.int64] | None

    def place(self, row: int) -> int:
        """Where a line begins in the file, in bytes."""
        return self.offset + int(self._begin[row if self._rows is None else self._rows[row]])


def chunks(data: bytes, size: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """All lines of ``data`` in pieces of about ``size`` bytes (more where one line is longer)."""
    offset = 0
    while offset < len(data):
        stop = _line_end(data, offset, min(offset + size, len(data)))
        text = data[offset:stop]
        yield _chunk(offset, text if text.endswith(b"\n") else text + b"\n")
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


def _chunk(offset: int, text: bytes) -> Chunk:
    begins = np.empty(len(text) + 1, dtype=bool)
    begins[0] = True
    np.equal(np.frombuffer(text, dtype=np.uint8), 10, out=begins[1:])
    # offsets of 32 bits are half the work, but do not do for a line of 2 GiB
    small = len(text) < 2**31
    bounds = np.flatnonzero(begins).astype(np.int32 if small else np.int64)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(text)]
    array = pa.Array.from_buffers(pa.binary() if small else pa.large_binary(), len(bounds) - 1, buffers)
    encoded = array.dictionary_encode()
    code = encoded.indices.to_numpy()
    distinct = len(encoded.dictionary)
    _, ends, joined = encoded.dictionary.buffers()
    size = int(np.frombuffer(ends, dtype=bounds.dtype)[distinct])
    lines = _lines(joined.slice(0, size).to_pybytes(), distinct)
    kind = lines.kind.take(code)
    no_lines = np.flatnonzero(kind >= COMMENT)
    if (kind.take(no_lines - 1, mode="clip") == COST).all():
        return Chunk(lines, code, kind, offset, bounds, None)
    rows = np.flatnonzero(kind < COMMENT)
    return Chunk(lines, code.take(rows), kind.take(rows), offset, bounds, rows)


def _lines(text: bytes, count: int) -> Lines:
    """The words of the ``count`` lines of a text."""
    buffer = np.empty(len(text) + _PAD, dtype=np.uint8)
    buffer[:_PAD] = 10
    buffer[_PAD:] = np.frombuffer(text, dtype=np.uint8)
    ink, ends = buffer > 32, buffer == 10
    before, end = np.flatnonzero(ink[1:] > ink[:-1]), np.flatnonzero(ink[1:] < ink[:-1])
    start = before + 1
    end += 1
    words = np.bincount(np.cumsum(ends).take(before) - _PAD, minlength=count)
    first = np.cumsum(words) - words
    kind = np.full(count, BLANK, dtype=np.uint8)
    some = np.flatnonzero(words)
    kind[some] = _KIND.take(buffer.take(start.take(first.take(some))))
    special = np.flatnonzero(kind == TEXT)
    at = start.take(first.take(special))
    kind[special[_marked(buffer, at, b"calls=")]] = CALLS
    kind[special[(_marked(buffer, at, b"ju") | _marked(buffer, at, b"jc")) & _marked(buffer, at + 4, b"=")]] = JUMP
    return Lines(text, buffer, start, end, first, words, kind)


def _marked(buffer: NDArray[np.uint8], at: NDArray[np.int64], mark: bytes) -> NDArray[Any]:
    """Which of these positions the bytes of ``mark`` are at."""
    same = np.ones(len(at), dtype=bool)
    for step, byte in enumerate(mark):
        same &= buffer.take(at + step, mode="clip") == byte
    return same

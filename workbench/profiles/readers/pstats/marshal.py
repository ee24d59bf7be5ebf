"""Reads plain data from Python's marshal format, safely.

``marshal.loads`` can crash or worse on untrusted bytes, and knows only its own version. pstats files need little of the
format: dicts, tuples, text, numbers, and references to them, of Python 2 and 3. Anything else (code objects, sets,
complex numbers ...) is refused. Dicts are read as lists of pairs: nothing is hashed, so nested references in a small
file cannot cause much work. Type codes: CPython, Python/marshal.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from workbench.errors import ReadError
from workbench.profiles.memory import require
from workbench.profiles.source import Source

# A profile nests dict > tuple > dict > tuple > text.
MAX_NESTING = 8
_REF_FLAG = 0x80
# Memory is checked after this many values.
_LOOK_EVERY = 1 << 14
_DOUBLE = struct.Struct("<d")
_LONG = struct.Struct("<i")
_WIDE = struct.Struct("<q")
_CONSTANTS = {ord("N"): None, ord("T"): True, ord("F"): False}
_END = object()
_REFUSED = {
    ord("c"): "a code object", ord("x"): "a complex number", ord("y"): "a complex number", ord("<"): "a set",
    ord(">"): "a frozen set", ord("."): "an ellipsis", ord("S"): "StopIteration", ord(":"): "a slice",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict as stored in the file: alternating keys and values."""

    items: list[tuple[Any, Any]]


def load(source: Source) -> Any:
    """The value in these bytes. Raises ReadError with the byte offset if it is cut off or not plain data."""
    reader = _Reader(source)
    value = reader.value(0)
    if value is _END:
        raise reader.error("ends where a value should be")
    return value


class _Reader:
    """The position in the bytes, and values that later bytes may refer to: objects (Python 3) and strings (Python
    2)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = source.data
        self._at = 0
        self._values = 0
        self._objects: list[Any] = []
        self._strings: list[str] = []

    def error(self, what: str) -> ReadError:
        return ReadError(
            f"the marshal data {what}",
            where=self._source.at(offset=self._at),
            hint="pstats files come from cProfile's dump_stats; write the file again",
        )

    def value(self, depth: int) -> Any:
        code = self._take(1)[0]
        self._values += 1
        if not self._values % _LOOK_EVERY:
            require()
        kind = code & ~_REF_FLAG
        if depth > MAX_NESTING:
            raise self.error(f"nests deeper than {MAX_NESTING} levels, which no profile does")
        if not code & _REF_FLAG:
            return self._plain(kind, depth)
        # the reference number is assigned before the content is read
        place = len(self._objects)
        self._objects.append(_END)
        value = self._objects[place] = self._plain(kind, depth)
        return value

    def _plain(self, kind: int, depth: int) -> Any:
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == ord("0"):
            return _END
        if kind in b"il":
            return self._int() if kind == ord("i") else self._long()
        if kind == ord("I"):
            return _WIDE.unpack(self._take(8))[0]
        if kind == ord("g"):
            return _DOUBLE.unpack(self._take(8))[0]
        if kind == ord("f"):
            return self._ascii_float()
        if kind in b"stuaAzZ":
            return self._text(kind)
        if kind in b"([)":
            return self._sequence(self._take(1)[0] if kind == ord(")") else self._size(), depth)
        if kind == ord("{"):
            return self._pairs(depth)
        if kind in b"rR":
            return self._reference(self._objects if kind == ord("r") else self._strings)
        what = _REFUSED.get(kind)
        raise self.error(f"holds {what}, which no profile has" if what else f"has the unknown type code {kind:#x}")

    def _take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise self.error("is cut off")
        self._at += count
        return piece

    def _int(self) -> int:
        value: int = _LONG.unpack(self._take(4))[0]
        return value

    def _size(self) -> int:
        size = self._int()
        if not 0 <= size <= len(self._data) - self._at:
            raise self.error(f"says {size} items or bytes follow, but it is cut off")
        return size

    def _long(self) -> int:
        count = self._int()
        digits = self._take(2 * min(abs(count), len(self._data)))
        value = 0
        for place in range(len(digits) // 2 - 1, -1, -1):
            value = value << 15 | int.from_bytes(digits[2 * place : 2 * place + 2], "little") & 0x7FFF
            if value.bit_length() > 64:
                raise self.error("holds a number of more than 64 bits")
        return -value if count < 0 else value

    def _ascii_float(self) -> float:
        text = self._take(self._take(1)[0])
        try:
            return float(text)
        except ValueError:
            raise self.error(f"holds {text[:40]!r}, which is not a number") from None

    def _text(self, kind: int) -> str:
        size = self._take(1)[0] if kind in b"zZ" else self._size()
        text = self._take(size).decode("utf-8", "backslashreplace")
        if kind == ord("t"):
            self._strings.append(text)
        return text

    def _sequence(self, size: int, depth: int) -> tuple[Any, ...]:
        if size > len(self._data) - self._at:
            raise self.error("is cut off")
        return tuple(self._inside(depth) for _ in range(size))

    def _pairs(self, depth: int) -> Pairs:
        items: list[tuple[Any, Any]] = []
        while (key := self.value(depth + 1)) is not _END:
            items.append((key, self._inside(depth)))
        return Pairs(items)

    def _inside(self, depth: int) -> Any:
        value = self.value(depth + 1)
        if value is _END:
            raise self.error("ends where a value should be")
        return value

    def _reference(self, table: list[Any]) -> Any:
        place = self._int()
        if not 0 <= place < len(table) or table[place] is _END:
            raise self.error(f"refers to value {place}, which does not exist yet")
        return table[place]

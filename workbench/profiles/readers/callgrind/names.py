"""The names in a callgrind file's position lines: ``fn=main``, ``cfi=(7)``.

Names can be numbered: ``fn=(3) main`` defines, ``fn=(3)`` looks up. Objects, files and functions have a table each,
which lasts for the whole file; a number defined anew means the new name from there on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# kinds of lines: those up to JUMP_TARGET name something
OBJECT, FILE, INLINE, FUNCTION, CALLEE_OBJECT, CALLEE_FILE, CALLEE, JUMP_TARGET = range(8)
HEADER, SKIPPED, CALL, UNKNOWN = range(8, 12)
# the name of an object or file that the writer did not know
NOT_KNOWN = -1

_KINDS = {
    b"ob": OBJECT,
    b"fl": FILE,
    b"fi": INLINE,
    b"fe": INLINE,
    b"fn": FUNCTION,
    b"cob": CALLEE_OBJECT,
    b"cfi": CALLEE_FILE,
    b"cfl": CALLEE_FILE,
    b"cfn": CALLEE,
    b"jfi": JUMP_TARGET,
    b"jfn": JUMP_TARGET,
    b"rcalls": CALL,
    b"calls": CALL,
    b"bb": SKIPPED,
    b"ln": SKIPPED,
    b"rec": SKIPPED,
    b"frfn": SKIPPED,
    b"mp": SKIPPED,
}
_TABLES = {b"ob": 0, b"cob": 0, b"fn": 2, b"cfn": 2, b"jfn": 2}  # files: 1
_SPEC = re.compile(rb"([a-z]+)=[ \t]*")
_HEADER = re.compile(rb"[A-Za-z][^=]*?:")
_NUMBERED = re.compile(rb"\((\d+)\)[ \t]*")
_MANGLED = re.compile(rb"(^|')\((\d+)\)")
_NO_FILE = (b"???", b"UnknownFile???")

Note = Callable[[int, str], None]


@dataclass
class NameTable:
    """Names of one sort, numbered in order of appearance; ``numbered`` is what the file's own numbers mean now."""

    names: list[bytes] = field(default_factory=list)
    ids: dict[bytes, int] = field(default_factory=dict)
    numbered: dict[bytes, int] = field(default_factory=dict)

    def of(self, name: bytes) -> int:
        """The id of a name."""
        found = self.ids.get(name)
        if found is None:
            found = self.ids[name] = len(self.names)
            self.names.append(name)
        return found


@dataclass
class Names:
    """The names of a file. A line read is a number that holds its kind and its name: see :func:`kinds_and_names`."""

    objects: NameTable = field(default_factory=NameTable)
    files: NameTable = field(default_factory=NameTable)
    functions: NameTable = field(default_factory=NameTable)
    _known: dict[bytes, int] = field(default_factory=dict)
    _renumbered: bool = False

    def read(self, lines: Sequence[bytes], note: Note) -> list[int]:
        """What lines are. ``note`` gets what was odd, and the line's position in ``lines``."""
        known = self._known.get
        codes = [known(line, -1) for line in lines]
        position = -1
        while True:
            try:
                position = codes.index(-1, position + 1)
            except ValueError:
                return codes
            line = lines[position]
            codes[position] = known(line, -1)
            if codes[position] < 0:
                codes[position] = self._learn(line, partial(note, position))
                if self._renumbered:
                    # a number has another name from here on, so what was looked up beyond may be wrong
                    self._renumbered = False
                    codes[position + 1 :] = [-1] * (len(codes) - position - 1)

    def _learn(self, line: bytes, note: Callable[[str], None]) -> int:
        match = _SPEC.match(line)
        if match is None:
            return _code(HEADER if _HEADER.match(line) else UNKNOWN)
        spec = match[1]
        kind = _KINDS.get(spec, UNKNOWN)
        if kind >= HEADER:
            return _code(kind)
        table = (self.objects, self.files, self.functions)[_TABLES.get(spec, 1)]
        name = self._name(table, line[match.end() :], note)
        if table is not self.functions and table.names[name] in _NO_FILE:
            name = NOT_KNOWN
        code = self._known[line] = _code(kind, name)
        return code

    def _name(self, table: NameTable, value: bytes, note: Callable[[str], None]) -> int:
        match = _NUMBERED.match(value)
        if match is None:
            return table.of(value)
        number, name = match[1], value[match.end() :]
        if not name:
            found = table.numbered.get(number)
            if found is None:
                note("a name that is used but never defined")
                found = table.numbered[number] = table.of(value)
            return found
        if name.startswith(b"("):
            # --compress-mangled: a context of numbered names
            name = _MANGLED.sub(lambda part: part[1] + _mangled(table, part[2]), name)
        found = table.of(name)
        if table.numbered.setdefault(number, found) != found:
            note("a number of a name is defined anew")
            table.numbered[number] = found
            self._known.clear()
            self._renumbered = True
        return found


def kinds_and_names(codes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kinds and the names of lines read."""
    packed = np.asarray(codes, dtype=np.int64)
    return packed & 15, (packed >> 4) - 1


def _code(kind: int, name: int = NOT_KNOWN) -> int:
    return (name + 1) << 4 | kind


def _mangled(table: NameTable, number: bytes) -> bytes:
    found = table.numbered.get(number)
    return b"(" + number + b")" if found is None else table.names[found]

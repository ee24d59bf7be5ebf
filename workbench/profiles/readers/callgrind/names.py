"""The names in a callgrind file's position lines: ``fn=main``, ``cfi=(7)``.

Names can be numbered: ``fn=(3) main`` defines, ``fn=(3)`` looks up. Objects, files and functions each have a table for
the whole file; after a redefinition a number means the new name, as in a file that was appended to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
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
_FUNCTIONS = 2
_TABLES = {b"ob": 0, b"cob": 0, b"fn": _FUNCTIONS, b"cfn": _FUNCTIONS, b"jfn": _FUNCTIONS}  # files: 1
_HEADER = re.compile(rb"[A-Za-z][^=]*?:")
_NUMBERED = re.compile(rb"\((\d+)\)[ \t]*")
_MANGLED = re.compile(rb"(^|')\((\d+)\)")
_NO_FILE = (b"???", b"UnknownFile???")
# how a value begins that is not a plain name: a number, blanks, nothing, or one of those above
_SPECIAL = b"( \t?U"

# what Xdebug puts between profiles that it appends to one file
_NEW_FILE = re.compile(rb"=+ NEW PROFILING FILE =+")

Note = Callable[[int, str], None]


@dataclass
class NameTable:
    """Names of one sort, numbered in order of appearance. ``numbered``: the current name of each number of the file;
    ``earlier``: numbers defined in a file to which this one was appended."""

    ids: dict[bytes, int] = field(default_factory=dict)
    numbered: dict[bytes, bytes] = field(default_factory=dict)
    earlier: set[bytes] = field(default_factory=set)

    @property
    def names(self) -> list[bytes]:
        """The names in the order of their ids."""
        return list(self.ids)

    def of(self, name: bytes) -> int:
        """The id of a name."""
        return self.ids.setdefault(name, len(self.ids))


@dataclass
class Names:
    """The names of a file. A line read is a number that holds its kind and its name: see :func:`kinds_and_names`."""

    objects: NameTable = field(default_factory=NameTable)
    files: NameTable = field(default_factory=NameTable)
    functions: NameTable = field(default_factory=NameTable)
    _known: dict[bytes, int] = field(default_factory=dict)
    _renumbered: bool = False

    @cached_property
    def _rules(self) -> dict[bytes, tuple[dict[bytes, int], int]]:
        """For each key that names something, the ids of its names and its kind."""
        named = {spec: kind for spec, kind in _KINDS.items() if kind < HEADER}
        return {spec: (self._tables[_TABLES.get(spec, 1)].ids, kind) for spec, kind in named.items()}

    @cached_property
    def _tables(self) -> tuple[NameTable, NameTable, NameTable]:
        return self.objects, self.files, self.functions

    def read(self, texts: Sequence[bytes], which: NDArray[np.int64], note: Note) -> NDArray[np.int64]:
        """Classify lines: ``texts`` are distinct, in the order of first appearance; ``which``: the text of each line.
        ``note`` is called with oddities and the line's position."""
        codes: list[int] = []
        rules = self._rules
        for line in texts:
            spec, _, value = line.partition(b"=")
            if (rule := rules.get(spec)) is not None and value[:1] not in _SPECIAL:
                ids, kind = rule
                codes.append((ids.setdefault(value, len(ids)) + 1) << 4 | kind)
                continue
            code = self._known.get(line)
            if code is None:
                code = self._learn(line, lambda what: note(_first(which, len(codes)), what))
                if code & 15 == HEADER and begins_file(line):
                    # if this line is repeated in the piece, numbers may be redefined after each
                    self._renumbered = bool(np.count_nonzero(which == len(codes)) > 1)
            codes.append(code)
            if self._renumbered:
                # from here on the same text can mean another name
                first = _first(which, len(codes) - 1)
                before = np.asarray(codes, dtype=np.int64)[which[: first + 1]].tolist()
                rest = self._each(texts, which[first + 1 :].tolist(), first + 1, note)
                return np.asarray(before + rest, dtype=np.int64)
        return np.asarray(codes, dtype=np.int64)[which]

    def _each(self, texts: Sequence[bytes], which: Sequence[int], at: int, note: Note) -> list[int]:
        """The kinds and names of lines in order; the first of them is line ``at``."""
        codes = []
        for position, index in enumerate(which, at):
            code = self._known.get(texts[index])
            codes.append(self._learn(texts[index], partial(note, position)) if code is None else code)
        self._renumbered = False
        return codes

    def _learn(self, line: bytes, note: Callable[[str], None]) -> int:
        spec, is_named, value = line.partition(b"=")
        kind = _KINDS.get(spec, UNKNOWN) if is_named else UNKNOWN
        if kind >= HEADER:
            return self._other(line, kind)
        number = _TABLES.get(spec, 1)
        table = self._tables[number]
        value = value.lstrip(b" \t")
        name = self._name(table, value, note) if value[:1] == b"(" else table.of(value)
        if number != _FUNCTIONS and any(table.ids.get(unknown) == name for unknown in _NO_FILE):
            name = NOT_KNOWN
        code = self._known[line] = (name + 1) << 4 | kind
        return code

    def _other(self, line: bytes, kind: int) -> int:
        """A line that names nothing."""
        if begins_file(line):
            for table in self._tables:
                table.earlier = set(table.numbered)
        elif kind != UNKNOWN or not _HEADER.match(line):
            return kind
        return HEADER

    def _name(self, table: NameTable, value: bytes, note: Callable[[str], None]) -> int:
        match = _NUMBERED.match(value)
        if match is None:
            return table.of(value)
        number, name = match[1], value[match.end() :]
        if not name:
            if number not in table.numbered:
                note("a name that is used but never defined")
                table.numbered[number] = value
            return table.of(table.numbered[number])
        if name.startswith(b"("):
            # --compress-mangled: a context of numbered names
            name = _MANGLED.sub(lambda part: part[1] + _mangled(table, part[2]), name)
        found = table.of(name)
        if table.numbered.setdefault(number, name) != name:
            if number not in table.earlier:
                note("a number of a name is defined again")
            table.numbered[number] = name
            table.earlier.discard(number)
            self._known.clear()
            self._renumbered = True
        return found


def begins_file(line: bytes) -> bool:
    """Whether a line is the first of a file, which can have been appended to another."""
    return line.startswith(b"version:") or _NEW_FILE.match(line) is not None


def kinds_and_names(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kinds and the names of lines read."""
    return codes & 15, (codes >> 4) - 1


def _first(which: NDArray[np.int64], index: int) -> int:
    return int(np.argmax(which == index))


def _mangled(table: NameTable, number: bytes) -> bytes:
    return table.numbered.get(number, b"(" + number + b")")

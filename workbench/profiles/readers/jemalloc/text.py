"""Parses the text of a heap profile: sampling period, stacks with their counts, threads, mapped files, symbols.

Source: ``prof_data.c`` and ``prof_sys.c`` of jemalloc 5, and the parsers of its ``jeprof``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.memory import require
from workbench.profiles.source import line_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

# Bytes of memory per stack while its line and its counts are parsed (measured).
_STACK_BYTES = 600
HEADER = re.compile(rb"heap_v2/(\d{1,18})[ \t]*\r?\n")
# The four counts: objects and bytes in use, and in brackets those ever allocated. 20 digits are a negative count
# that wrapped around: such a stack is damaged.
_COUNTS = rb"(\d{1,18}):[ \t]+(\d{1,18})[ \t]+\[[ \t]*(\d{1,18}):[ \t]+(\d{1,18})\]"
_STACK = re.compile(
    rb"^[ \t]*@((?:[ \t]++0x[0-9a-fA-F]{1,16}+)*+)[ \t]*\r?\n[ \t]*t\*:[ \t]+" + _COUNTS + rb"(?=[ \t\r]*(?:\n|\Z))",
    re.MULTILINE,
)
_STACK_BEGINS = re.compile(rb"^[ \t]*@", re.MULTILINE)
_THREAD = re.compile(rb"^[ \t]*t(\*|\d{1,18}):[ \t]+" + _COUNTS + rb"[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_END = re.compile(rb"^(?:MAPPED_LIBRARIES:|--- Memory map:)[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
_MAPPING = re.compile(
    rb"^(?:0x)?([0-9a-f]{1,16})-(?:0x)?([0-9a-f]{1,16}):?"
    rb"(?:[ \t]+[r-][w-][xs-][ps-][ \t]+([0-9a-f]{1,16})[ \t]+\S+[ \t]+\d+)?[ \t]*(.*?)[ \t\r]*$",
    re.MULTILINE,
)
_SYMBOL = re.compile(rb"^0x0*([0-9a-f]{1,16})[ \t]+(.+?)[ \t\r]*$", re.MULTILINE)
_BINARY = re.compile(rb"^binary=(.*?)[ \t\r]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A piece of a file in memory: addresses ``start`` up to ``end``; ``offset`` is where in the file it begins."""

    start: int
    end: int
    offset: int
    file: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The header's counts of one thread, or of all (``name`` ``*``), as recorded."""

    number: str
    counts: tuple[int, int, int, int]
    name: str


@dataclass(frozen=True, slots=True)
class Dump:
    """A heap profile as written. ``stacks`` holds the addresses of each stack, innermost first, as text; ``counts`` has
    one row per stack: objects and bytes in use, objects and bytes ever allocated, as sampled. ``mapped``: whether the
    list of mapped files, with which every file ends, has begun."""

    period_bytes: int
    threads: tuple[Thread, ...]
    stacks: tuple[bytes, ...]
    counts: NDArray[np.int64]
    mapped: bool
    mappings: tuple[Mapping, ...]

    @property
    def total(self) -> Thread | None:
        """The header's counts of all threads together."""
        return next((thread for thread in self.threads if thread.number == "*"), None)


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols from ``jeprof --raw`` before a profile: names by address, the outermost of inlined ones first."""

    names: dict[int, str]
    binary: str


def dump_of(source: Source, start: int, notes: NoteBook) -> Dump | None:
    """The profile that begins at byte ``start``; None if its first line is not ``heap_v2/PERIOD``."""
    header = HEADER.match(source.data, start)
    if header is None:
        return None
    end = _END.search(source.data, header.end())
    stop = end.start() if end else len(source.data)
    first = _STACK_BEGINS.search(source.data, header.end(), stop)
    threads = _threads(source.data[header.end() : first.start() if first else stop])
    body = source.data[first.start() if first else stop : stop]
    require(body.count(b"@") * _STACK_BYTES)
    found = _STACK.findall(body)
    if (begun := len(_STACK_BEGINS.findall(body))) > len(found):
        notes.add(
            "stack that is not whole, left out",
            _first_unfinished(source, body, stop - len(body)),
            count=begun - len(found),
        )
    columns = list(zip(*found, strict=True)) or [()] * 5
    return Dump(
        period_bytes=int(header[1]),
        threads=threads,
        stacks=columns[0],
        counts=np.array([np.array(column, dtype="S18").astype(np.int64) for column in columns[1:]]).T.reshape(-1, 4),
        mapped=end is not None,
        mappings=_mappings(source.data[end.end() :]) if end else (),
    )


def symbols_of(section: bytes) -> Symbols:
    """The contents of the lines between ``--- symbol`` and ``---``."""
    binary = _BINARY.search(section)
    return Symbols(
        {int(address, 16): _text(name) for address, name in _SYMBOL.findall(section)},
        _text(binary[1]) if binary else "",
    )


def _threads(head: bytes) -> tuple[Thread, ...]:
    return tuple(
        Thread(_text(number), (int(a), int(b), int(c), int(d)), _text(name))
        for number, a, b, c, d, name in _THREAD.findall(head)
    )


def _mappings(text: bytes) -> tuple[Mapping, ...]:
    """The files mapped with code or data, in the order of their addresses; memory without a file is left out."""
    found = (
        Mapping(int(start, 16), int(end, 16), int(offset or b"0", 16), _text(file).removesuffix(" (deleted)"))
        for start, end, offset, file in _MAPPING.findall(text)
        if file
    )
    return tuple(sorted(found, key=lambda mapping: (mapping.start, mapping.end)))


def _first_unfinished(source: Source, body: bytes, start: int) -> str:
    """The position of the first stack without a complete line of counts."""
    for begin in _STACK_BEGINS.finditer(body):
        if _STACK.match(body, begin.start()) is None:
            return source.at(line_number(source.data, start + begin.start()))
    return source.name


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")

"""The Firefox profiler's JSON decoded: only the tables that stacks and samples are made of; markers are skipped.

The processed format is documented in the profiler's ``docs-developer/CHANGELOG-formats.md``. Until version 59 each
thread had its own tables, from 60 on they are in ``shared``; the strings moved there in 56. Missing or short lists are
filled with "unknown", as in the viewer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from workbench.errors import ReadError
from workbench.profiles.json_nesting import depths, require_decodable, structure

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

HINT = "Save it again from the viewer, or write it again with samply"
Whole = list[int | None]
Numbers = list[int | float | None]
# The profiler's files are 9 levels deep.
_MOST_NESTING = 200
_THREADS = re.compile(rb'"threads"\s*:\s*$')


class Stacks(msgspec.Struct):
    """``stackTable``: until version 65 the ``prefix`` is the position of the parent, from 66 on the distance back to
    it."""

    frame: Whole
    prefix: Whole | None = None
    prefixOffset: Whole | None = None


class Frames(msgspec.Struct):
    """``frameTable``. The ``lib`` is here from version 70 on."""

    func: Whole
    line: Whole = []
    inlineDepth: Whole = []
    lib: Whole = []


class Functions(msgspec.Struct):
    """``funcTable``. ``fileName`` is a string until version 57, ``source`` a row of ``sources`` from 58 on."""

    name: Whole
    resource: Whole = []
    fileName: Whole = []
    source: Whole = []


class Resources(msgspec.Struct):
    """``resourceTable``."""

    lib: Whole = []
    name: Whole = []


class Sources(msgspec.Struct):
    """``sources``: where functions come from."""

    filename: Whole = []


class Samples(msgspec.Struct):
    """``samples``, or one of the tables of allocations, which have the same form."""

    stack: Whole = []
    time: Numbers | None = None
    timeDeltas: Numbers | None = None
    weight: Numbers | None = None
    weightType: Any = "samples"
    threadCPUDelta: Numbers | None = None


class Tables(msgspec.Struct):
    """The tables of stacks, of one thread or of all."""

    stackTable: Stacks | None = None
    frameTable: Frames | None = None
    funcTable: Functions | None = None
    resourceTable: Resources | None = None
    sources: Sources | None = None
    stringArray: list[str] | None = None


class Markers(msgspec.Struct):
    """``markers``: how many there are."""

    length: Any = 0


class Thread(Tables):
    """One thread of a processed profile. Its own tables are there until version 59."""

    name: Any = ""
    processName: Any = ""
    pid: Any = None
    tid: Any = None
    samples: Samples | None = None
    jsAllocations: Samples | None = None
    nativeAllocations: Samples | None = None
    libs: Any = None
    markers: Markers | None = None


class Rows(msgspec.Struct):
    """A table of a raw profile: the position of each column, and the rows, which may end early."""

    schema: dict[str, int]
    data: list[list[Any]]


class RawThread(msgspec.Struct):
    """One thread of a raw profile."""

    samples: Rows
    stackTable: Rows
    frameTable: Rows
    stringTable: list[str]
    name: Any = ""
    processName: Any = ""
    processType: Any = ""
    pid: Any = None
    tid: Any = None


class Document(msgspec.Struct):
    """A file, or one of the nested ``processes`` of a raw one. Threads are not decoded yet."""

    threads: list[msgspec.Raw]
    meta: dict[str, Any] = {}
    libs: Any = None
    shared: Tables | None = None
    processes: list[msgspec.Raw] = []
    counters: Any = None


def decode(source: Source, notes: NoteBook) -> Document:
    """Decode the file. Of a file that was cut off, complete threads are kept, with a note. Raises ReadError."""
    data = source.data.removeprefix(b"\xef\xbb\xbf")
    require_decodable(data, source, _MOST_NESTING, HINT)
    try:
        return msgspec.json.decode(data, type=Document)
    except msgspec.ValidationError as error:
        raise _broken(error, source.name) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        whole = _whole_threads(data)
        if whole is None:
            raise ReadError(f"not whole JSON: {str(error)[:200]}", where=source.name, hint=HINT) from error
    try:
        document = msgspec.json.decode(whole, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReadError(f"not JSON: {str(error)[:200]}", where=source.name, hint=HINT) from error
    notes.add("the file was cut off: the threads that are whole are read", source.at(offset=len(data)))
    return document


def part(raw: msgspec.Raw, kind: Any, where: str, source: Source) -> Any:
    """Decode a thread or a process. Raises ReadError that names it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _broken(error, f"{source.name}: {where}") from error


def is_raw(thread: msgspec.Raw) -> bool:
    """Whether a thread has the tables of a raw profile."""
    try:
        samples = msgspec.json.decode(thread, type=_Sampled).samples
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return b'"schema"' in bytes(samples)[:4096]


class _Sampled(msgspec.Struct):
    samples: msgspec.Raw = msgspec.Raw()


def _broken(error: Exception, where: str) -> ReadError:
    what = re.sub(r"\s+", " ", str(error))[:200]
    return ReadError(f"not as the Firefox profiler writes it: {what}", where=where, hint=HINT)


def _whole_threads(data: bytes) -> bytes | None:
    """The file up to the last complete thread, properly closed; None if there is none."""
    places, kinds = structure(data)
    depth = depths(kinds)
    opens, closes = (np.isin(kinds, np.frombuffer(marks, dtype=np.uint8)) for marks in (b"[{", b"]}"))
    opened = places[opens & (depth == 2)]
    lists = [int(at) for at in opened[-3:] if _THREADS.search(data[max(at - 100, 0) : at])]
    if not lists:
        return None
    ends = places[closes & (depth == 2)]
    ends = ends[ends > lists[-1]]
    if not len(ends):
        return None
    return data[: int(ends[-1]) + 1] + b"]}"

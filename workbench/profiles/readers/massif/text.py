"""The grammar of a massif.out file: header, snapshots and tree lines, as ms_main.c and ms_print define it.

A snapshot is ``snapshot=``, ``time=``, ``mem_heap_B=``, ``mem_heap_extra_B=``, ``mem_stacks_B=`` and ``heap_tree=``,
then tree lines unless it is ``empty``. A tree line is blanks (its depth), ``n`` and the number of children, the bytes,
and a text. Lines that begin with ``#`` are comments; a ``#`` elsewhere is part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from workbench.errors import ReadError
from workbench.hints import TYPE_CHECKING, NamedTuple
from workbench.patterns import pattern
from workbench.profiles.memory import require
from workbench.profiles.notes import NoteBook
from workbench.profiles.readers.massif.kernel import kernel
from workbench.profiles.readers.massif.limits import INT64_MAX
from workbench.profiles.source import line_number

if TYPE_CHECKING:
    from workbench.profiles.readers.massif.plain import Lines
    from workbench.profiles.source import Source

KINDS = ("empty", "detailed", "peak")

_UNIT = pattern(rb"^time_unit:[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_UNIT_THEN_SNAPSHOT = re.compile(rb"^time_unit:[ \t]*(\S*)[ \t]*\n(?:#.*\n|[ \t]*\n)*snapshot=", re.MULTILINE)
_NODE = pattern(rb"^( *)n(\d{1,9}): (\d{1,19}) (.+)$", re.MULTILINE)
_LONG_NODE = pattern(rb" *n\d+: \d{20}")
_FIELDS = (b"snapshot", b"time", b"mem_heap_B", b"mem_heap_extra_B", b"mem_stacks_B", b"heap_tree")
_KIND = b"heap_tree="
_KINDS_WRITTEN = tuple(_KIND + kind.encode() for kind in KINDS)
_NO_TREE = _KINDS_WRITTEN[0]
_CUT = "the last snapshot is cut off or damaged: its figures are whole, "
_LEFT_OUT = "its heap tree was left out"
_MARK = b"snapshot="
_WHOLE = (b"snapshot", b"mem_heap_B", b"mem_heap_extra_B", b"mem_stacks_B")
_KEY = pattern(rb"[A-Za-z_][A-Za-z0-9_]{0,40}")
# Seconds with a fraction, as heaptrack writes them
_TIME = pattern(rb"\d{1,19}(?:\.\d{1,19})?(?:e[+-]?\d{1,2})?")
_HINT = "Read the file as massif wrote it, not an edited or joined one"
# Bytes of memory per line while it is parsed (measured). Lines of trees larger than _COUNTED_BYTES are counted; in
# smaller trees every line is taken to have _USUAL_LINE bytes.
_LINE_BYTES = 150
_COUNTED_BYTES = 1 << 22
_USUAL_LINE = 32


class Header(NamedTuple):
    """What stands before the first snapshot; ``end`` is the byte after it."""

    desc: str
    cmd: str
    time_unit: str
    end: int


class Snapshot(NamedTuple):
    """The figures of one snapshot in bytes, ``time`` in the file's time unit."""

    number: int
    time: int | float
    heap: int
    extra: int
    stacks: int
    kind: str
    offset: int


class HeapTree(NamedTuple):
    """The tree of one snapshot in the order of the file, as columns of 64-bit numbers. ``text`` is the number of each
    text, ``start`` is the byte where the top line begins."""

    parent: bytes
    depth: bytes
    held: bytes
    text: bytes
    start: int

    @property
    def size(self) -> int:
        """How many nodes it has."""
        return len(self.parent) // 8

    @property
    def top(self) -> int:
        """The number of the top line's text."""
        return memoryview(self.text).cast("q")[0]

    @property
    def top_bytes(self) -> int:
        """The bytes of the top line."""
        return memoryview(self.held).cast("q")[0]


class Texts(dict[bytes, int]):
    """Numbers the distinct texts of tree lines in the order of their first appearance."""

    def __missing__(self, text: bytes) -> int:
        number = self[text] = len(self)
        return number


class LineNumbers:
    """Line numbers, from 1. Counting continues from the byte asked for last, so asking in order costs one pass."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset, self._line = data, 0, 1

    def at(self, offset: int) -> int:
        """The number of the line that a byte is in."""
        if offset < self._offset:
            self._offset, self._line = 0, 1
        self._line += self._data.count(b"\n", self._offset, offset)
        self._offset = offset
        return self._line


class _Damage(Exception):
    """The file is wrong at this byte. In the last snapshot this means it was cut off; elsewhere it is an error."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


def line_at(source: Source, data: bytes, offset: int) -> str:
    """``file:line`` of a byte."""
    return source.at(line_number(data, offset))


def decode(data: bytes, notes: NoteBook, where: str | None = None) -> str:
    """Text of the file. Bytes that are not UTF-8 are written as ``\\\\xNN``, with a note."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        notes.add("text that is not UTF-8 is shown with \\xNN for its bytes", where)
        return data.decode("utf-8", "backslashreplace")


def read_header(source: Source, data: bytes, notes: NoteBook) -> Header:
    """The header. Its command line is not escaped, so an argument with a line break continues on the next line."""
    unit = _UNIT_THEN_SNAPSHOT.search(data) or _UNIT.search(data)
    if unit is None:
        raise ReadError(
            "the header has no `time_unit:` line",
            where=source.at(data.partition(b"\n#-")[0].count(b"\n") + 1),
            hint="The file was cut off, or is not a massif.out file",
        )
    head = data[: unit.start()]
    if not head.startswith((b"desc:", b"cmd:")):
        raise ReadError(
            f"a massif file begins with `desc:`, this one with {head[:40]!r}", where=source.at(1), hint=_HINT
        )
    at = 0 if head.startswith(b"cmd:") else head.find(b"\ncmd:") + 1
    if not at and not head.startswith(b"cmd:"):
        raise ReadError("the header has no `cmd:` line", where=source.at(1), hint=_HINT)
    desc = "\n".join(
        line.removeprefix("desc:").strip() for line in decode(head[:at], notes, source.at(1)).split("\n")
    ).strip()
    cmd = decode(head[at:], notes, line_at(source, data, at)).removeprefix("cmd:").strip()
    if "\n" in cmd:
        notes.add("the command line has line breaks in it", line_at(source, data, at))
    time_unit = decode(unit[1], notes, line_at(source, data, unit.start()))
    if time_unit not in ("i", "ms", "B", "s"):
        notes.add(f"unknown time unit {time_unit!r}", line_at(source, data, unit.start()))
    return Header(desc, cmd, time_unit, unit.end(1))


def read_snapshots(
    source: Source, data: bytes, start: int, texts: Texts, lines: LineNumbers, notes: NoteBook, *, loose: bool = False
) -> Iterator[tuple[Snapshot, HeapTree | None]]:
    """The snapshots with their trees. ``texts`` collects the texts of tree lines. ``loose``: the writer also counts
    children that it leaves out, so that only the indentation shows the parents.

    If the last snapshot is cut off or damaged, its whole parts are kept, with a note: nothing, its figures, or also the
    first lines of its tree if no other snapshot has a tree (beside whole trees, part of one would look like freed
    memory). Raises ReadError for damage elsewhere, and if no snapshot has whole figures.
    """
    marks = _marks(data, start)
    if not marks:
        raise ReadError(
            "there is no snapshot in it",
            where=line_at(source, data, len(data)),
            hint="The file was cut off after its header: run massif again and stop the program with SIGTERM",
        )
    if rest := _rest(data, start, marks[0]):
        raise ReadError(f"expected `snapshot=`, found {rest!r}", where=line_at(source, data, start), hint=_HINT)
    for position, mark in enumerate(marks):
        last = position + 1 == len(marks)
        end = len(data) if last else marks[position + 1]
        try:
            yield _read_snapshot(source, data, mark, end, texts, lines, notes, loose)
        except _Damage as damage:
            where = line_at(source, data, damage.offset)
            if not last:
                raise ReadError(damage.what, where=where, hint=_HINT) from damage
            if not position:
                raise ReadError(
                    f"the only snapshot is cut off or damaged: {damage.what}",
                    where=where,
                    hint="Run massif again and stop the program with SIGTERM, then wait for it",
                ) from damage
            notes.add(f"the last snapshot is cut off or damaged and was left out: {damage.what}", where)


def _marks(data: bytes, start: int) -> list[int]:
    """Where snapshots begin."""
    marks = []
    at = data.find(b"\n" + _MARK, start)
    while at >= 0:
        marks.append(at + 1)
        at = data.find(b"\n" + _MARK, at + 1)
    return marks


def _rest(data: bytes, start: int, end: int) -> str:
    """The beginning of the first line between two places that is neither a comment nor blank."""
    for line in data[start:end].split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            return line[:60].decode("utf-8", "backslashreplace")
    return ""


def _read_snapshot(
    source: Source, data: bytes, start: int, end: int, texts: Texts, lines: LineNumbers, notes: NoteBook, loose: bool
) -> tuple[Snapshot, HeapTree | None]:
    values: list[bytes] = []
    at = start
    cut = False
    for name in _FIELDS:
        at, found = _next_line(data, at, end)
        if cut := name == _FIELDS[-1] and at <= end == len(data) and at + len(found) == end and _is_cut(found):
            found = next((one for one in _KINDS_WRITTEN if len(found) > len(_KIND) and one.startswith(found)), _NO_TREE)
        key, _, value = found.partition(b"=")
        while key not in _FIELDS and _KEY.fullmatch(key) and at + len(found) < end:
            notes.add(f"unknown field {key.decode()}, left out", source.at(lines.at(at)))
            at, found = _next_line(data, at + len(found) + 1, end)
            key, _, value = found.partition(b"=")
        if key != name or (name in _WHOLE and not value.isdigit()) or (name == b"time" and not _is_time(value)):
            shown = found[:60].decode("utf-8", "backslashreplace")
            raise _Damage(min(at, end), f"expected `{name.decode()}=`, found {shown!r}" if found else "the file ends")
        values.append(value)
        at += len(found) + 1
    kind = values.pop().decode("utf-8", "backslashreplace").rstrip()
    if kind not in KINDS:
        raise _Damage(at - 1, f"heap_tree is {kind[:40]!r}, which massif does not write")
    time = _time(source, data, start, values.pop(1))
    number, heap, extra, stacks = (_int64(source, data, start, value) for value in values)
    if heap + extra + stacks > INT64_MAX:
        raise _too_large(source, data, start, "the sum of heap, allocator overhead and stacks")
    if not number <= 10**9:
        raise _Damage(start, f"snapshot number {number}")
    snapshot = Snapshot(number, time, heap, extra, stacks, kind, start)
    if cut:
        notes.add(_CUT + _LEFT_OUT, line_at(source, data, len(data)))
        return snapshot, None
    last, end = end == len(data), _without_comments(data, at, end)
    if kind == "empty":
        if rest := _rest(data, at, end):
            raise _Damage(at, f"expected the next snapshot, found {rest!r}")
        return snapshot, None
    try:
        return snapshot, _read_tree(source, data, at, end, texts, lines, notes, loose)
    except _Damage as damage:
        if not last:
            raise
        part = None if texts or loose else _beginning_of_tree(data[at:end], at, texts)
        what = f"the first {part.size:,} lines of its heap tree are read" if part else _LEFT_OUT
        notes.add(f"{_CUT}{what}: {damage.what}", line_at(source, data, damage.offset))
        return snapshot, part


def _is_cut(line: bytes) -> bool:
    """Whether this line, the last of a file, is cut off before it states the kind of heap tree."""
    return any(one.startswith(line) and one != line for one in _KINDS_WRITTEN)


def _next_line(data: bytes, at: int, end: int) -> tuple[int, bytes]:
    """The next line that is neither a comment nor blank, and where it begins."""
    while at < end:
        stop = data.find(b"\n", at, end)
        stop = end if stop < 0 else stop
        if data[at : at + 1] != b"#" and (found := data[at:stop]).strip():
            return at, found.rstrip() if found[:9] != b"heap_tree" else found
        at = stop + 1
    return at, b""


def _without_comments(data: bytes, start: int, end: int) -> int:
    """The end without trailing comments, blank lines, and a cut beginning of ``snapshot=``."""
    while end > start:
        stop = end - 1 if data[end - 1 : end] == b"\n" else end
        begin = max(data.rfind(b"\n", start, stop) + 1, start)
        line = data[begin:stop]
        if line.strip() and not line.startswith(b"#") and not (stop == len(data) and _MARK.startswith(line)):
            break
        end = begin
    return end


def _read_tree(
    source: Source, data: bytes, start: int, end: int, texts: Texts, lines: LineNumbers, notes: NoteBook, loose: bool
) -> HeapTree:
    block, found = data, _lines(data, start, end)
    ended = data.endswith((b")", b"???"), start, end)
    if found is None:
        _refuse_others(source, data, start, end)
        kept = (line for line in data[start:end].split(b"\n") if line.strip() and not line.startswith(b"#"))
        block = b"\n".join(kept)
        found = _lines(block, 0, len(block))
        ended = block.endswith((b")", b"???"))
    if found is None:
        raise _Damage(end, "the heap tree is missing")
    depth, children, held, begin, stop, parent, agrees, large = found
    if end == len(data) and data[-1:] != b"\n":
        notes.add("the file ends without a line end, so its last line may be cut off", line_at(source, data, end))
        if len(depth) > 8 and not ended:
            raise _Damage(end, "the last line of the heap tree is cut off")
    if large >= 0:
        raise _too_large_at(source.at(lines.at(start) + large), f"{memoryview(held).cast('Q')[large]} bytes")
    if not agrees:
        parent, depth = _other_parents(source.at(lines.at(start)), end, depth, children, notes, loose)
    return HeapTree(parent, depth, held, kernel().numbers(block, begin, stop, texts), start)


def _lines(data: bytes, start: int, end: int) -> Lines | None:
    # counting the lines of a small tree would take longer than reading it
    size = max(end - start, 0)
    require((data.count(b"\n", start, end) if size > _COUNTED_BYTES else size // _USUAL_LINE) * _LINE_BYTES)
    return kernel().lines(data, min(start, end), end)


def _other_parents(
    where: str, end: int, depth: bytes, children: bytes, notes: NoteBook, loose: bool
) -> tuple[bytes, bytes]:
    """Parents and depths of a tree whose indentation and numbers of children disagree."""
    from workbench.profiles.readers.massif.plain import numbers_of
    from workbench.profiles.readers.massif.trees import parents_by_count, parents_by_indent

    deep, wanted = numbers_of(depth), numbers_of(children)
    if loose and (by_indent := parents_by_indent(deep, None)) is not None:
        what = "a heap tree has other numbers of children than it states: its indentation was used"
        notes.add(what, where)
        return by_indent.tobytes(), depth
    parent, counted, complete = parents_by_count(wanted)
    if not complete:
        raise _Damage(end, "the heap tree has fewer lines than its numbers of children require")
    if len(parent) < len(wanted):
        raise _Damage(end, f"the heap tree has {len(wanted) - len(parent):,} lines more than its numbers of children")
    notes.add("the indentation of a heap tree disagrees with its numbers of children, which were used", where)
    return parent.tobytes(), counted.tobytes()


def _beginning_of_tree(block: bytes, start: int, texts: Texts) -> HeapTree | None:
    """The whole lines of a tree that was cut off; None if they are not the beginning of a tree. The bytes of missing
    children stay with their parent."""
    import numpy as np

    from workbench.profiles.readers.massif.plain import numbers_of
    from workbench.profiles.readers.massif.trees import parents_by_indent

    block = block[: block.rfind(b"\n") + 1]
    found = _lines(block, 0, len(block))
    if found is None or found[-1] >= 0:
        return None
    depth, children, held, begin, end = found[:5]
    parent = parents_by_indent(numbers_of(depth), None)
    if parent is None:
        return None
    lacking = numbers_of(children) - np.bincount(parent[1:], minlength=len(parent))
    # only the last line and its ancestors can lack children
    above = len(parent) - 1
    while above >= 0:
        lacking[above] = min(lacking[above], 0)
        above = int(parent[above])
    if lacking.any():
        return None
    return HeapTree(parent.tobytes(), depth, held, kernel().numbers(block, begin, end, texts), start)


def _refuse_others(source: Source, data: bytes, start: int, end: int) -> None:
    """Raise for the first line that is neither a tree line, a comment nor blank."""
    at = start
    for line in data[start:end].split(b"\n"):
        if line.strip() and not line.startswith(b"#") and not _NODE.fullmatch(line):
            if _LONG_NODE.match(line):
                raise _too_large(source, data, at, "the bytes of a node")
            shown = line[:60].decode("utf-8", "backslashreplace")
            raise _Damage(at, f"expected a line of the heap tree, found {shown!r}")
        at += len(line) + 1


def _int64(source: Source, data: bytes, offset: int, value: bytes) -> int:
    if len(value) > 19 or int(value) > INT64_MAX:
        raise _too_large(source, data, offset, f"{value[:24].decode()}")
    return int(value)


def _is_time(value: bytes) -> bool:
    return (len(value) <= 19 and value.isdigit()) or _TIME.fullmatch(value) is not None


def _time(source: Source, data: bytes, offset: int, value: bytes) -> int | float:
    return _int64(source, data, offset, value) if value.isdigit() else float(value)


def _too_large(source: Source, data: bytes, offset: int, what: str) -> ReadError:
    return _too_large_at(line_at(source, data, offset), what)


def _too_large_at(where: str, what: str) -> ReadError:
    return ReadError(f"{what} does not fit into 64 bits", where=where, hint="massif does not write such a number")

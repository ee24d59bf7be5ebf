"""A whole log, block by block: call lines as columns, and the rarer lines (exits, signals, stack frames) as lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ReadError
from workbench.profiles.readers.strace import calls
from workbench.profiles.readers.strace.lines import PAD, Block, blocks, make_block
from workbench.profiles.readers.strace.prefix import NO_PID, SINCE_LINE_BEFORE, scan_prefixes
from workbench.profiles.readers.strace.texts import Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.notes import NoteBook
    from workbench.profiles.readers.strace.lines import Codes, Mask, Places
    from workbench.profiles.readers.strace.prefix import Prefixes
    from workbench.profiles.source import Source

_AHEAD = 16  # a call that other output splits on a terminal continues within this many lines
_REST = re.compile(rb"<(?:unfinished|detached) \.\.\.>$|\) += (?:-?\d|\?)")
_ATTACHED = re.compile(rb"strace: Process \d+ attached(?: with \d+ threads)?$")
_COMPLETE = re.compile(rb"(?: <\d+(?:\.\d+)?>|\) += \?|<(?:unfinished|detached) \.\.\.>| \+\+\+| ---)\r?$")
# a result without <seconds> after it: the log was written without -T
_UNTIMED = re.compile(rb"\) += [-\d][^\n]*[^>\n]\n")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_TAIL_BYTES = 16 * 1024
_LARGEST = float(2**63)
_TEXTS = ("args", "result")


@dataclass(frozen=True, slots=True)
class Event:
    """An exit or a signal: the text between its marks."""

    line: int
    pid: int
    clock: int
    stamp_ns: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """The contents of a log, in order. The arrays have one row per call line (see ``calls.CallLines``).

    ``frame_lines`` and ``frame_texts`` are the lines of ``-k``. ``comms`` has each pid with its last known name.
    """

    line: Places
    kind: NDArray[np.int8]
    pid: Places
    pid_to: Places
    clock: NDArray[np.int8]
    stamp_ns: Places
    name: Codes
    restarted: Mask
    fd: Places
    decorated: Mask
    value: Places
    has_value: Mask
    returned: Mask
    error: Codes
    duration_ns: Places
    args: Texts
    result: Texts
    names: Sequence[str]
    errors: Sequence[str]
    exits: Sequence[Event]
    signals: Sequence[Event]
    frame_lines: Places
    frame_texts: Sequence[bytes]
    comms: Sequence[tuple[int, str]]
    lines: int


@dataclass
class _Collected:
    columns: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    texts: list[memoryview] = field(default_factory=list)
    length: int = 0
    mended: bool = False
    exits: list[Event] = field(default_factory=list)
    signals: list[Event] = field(default_factory=list)
    frame_lines: list[Places] = field(default_factory=list)
    frame_texts: list[bytes] = field(default_factory=list)
    comms: dict[int, str] = field(default_factory=dict)
    elapsed_ns: int = 0
    lines: int = 0


def scan(data: bytes, source: Source, notes: NoteBook) -> Log:
    """Parse a log. ``data`` is UTF-8. Raises ReadError if none of its lines is strace's."""
    names, errors = calls.Vocabulary(), calls.Vocabulary()
    errors.number(b"")
    found = _Collected()
    data = without_cut_line(data, source, notes)
    for raw in blocks(data):
        block, prefixes, kind, rows = _take_apart(raw, names, errors, notes, source)
        _note_rest(block, kind, source, notes)
        stamps = _running(found, block, prefixes, source)
        _collect_calls(found, block, prefixes, rows, stamps)
        _collect_events(found, block, prefixes, kind, stamps)
        found.lines += len(block.start)
        piece = block.text[PAD:-PAD]
        found.texts.append(piece)
        found.length += len(piece)
        found.mended |= block is not raw
    if not any(len(rows) for rows in found.columns.get("line", [])) and not found.exits and not found.signals:
        raise ReadError(
            "there is no system call in the file",
            where=source.at(1),
            hint="Write the log with strace -f -tt -T -o FILE",
        )
    columns = {name: np.concatenate(parts) for name, parts in found.columns.items()}
    text = b"".join(found.texts) if found.mended else data
    args, result = (Texts(text, columns.pop(f"{name}_start"), columns.pop(f"{name}_size")) for name in _TEXTS)
    return Log(
        **columns,
        args=args,
        result=result,
        names=[word.decode() for word in names.words],
        errors=[word.decode() for word in errors.words],
        exits=found.exits,
        signals=found.signals,
        frame_lines=np.concatenate([np.zeros(0, np.int64), *found.frame_lines]),
        frame_texts=found.frame_texts,
        comms=list(found.comms.items()),
        lines=found.lines,
    )


def without_cut_line(data: bytes, source: Source, notes: NoteBook) -> bytes:
    """The log without a last line that was cut off: strace ends every line with a line end."""
    if data.endswith(b"\n"):
        return data
    begin = data.rfind(b"\n") + 1
    # inside a string anything can look like an end
    in_string = _ESCAPED.sub(b"", data[begin:]).count(b'"') % 2 == 1
    if not in_string and _COMPLETE.search(data, begin):
        return data
    where = source.at(data.count(b"\n") + 1)
    if not in_string and (not begin or _UNTIMED.search(data, max(0, begin - _TAIL_BYTES), begin)):
        notes.add("the last line has no line end; its result may be cut off", where)
        return data
    notes.add("the last line is cut off and was left out", where)
    return data[:begin]


def _take_apart(
    block: Block, names: calls.Vocabulary, errors: calls.Vocabulary, notes: NoteBook, source: Source
) -> tuple[Block, Prefixes, Places, calls.CallLines]:
    prefixes = scan_prefixes(block)
    kind, rows = calls.scan_calls(block, prefixes.pid, prefixes.body, names, errors)
    if (kind == calls.BROKEN).any():
        mended = _mend(block, kind, source, notes)
        if mended is not None:
            block = mended
            prefixes = scan_prefixes(block)
            kind, rows = calls.scan_calls(block, prefixes.pid, prefixes.body, names, errors)
    return block, prefixes, kind, rows


def _mend(block: Block, kind: Places, source: Source, notes: NoteBook) -> Block | None:
    """Join calls that were split by other output on the same terminal; None if there are none."""
    lines = bytes(block.text[PAD:-PAD]).split(b"\n")
    mended = False
    for row in np.flatnonzero(kind == calls.BROKEN).tolist():
        for ahead in range(row + 1, min(row + 1 + _AHEAD, len(kind))):
            if kind[ahead] not in (calls.OTHER, calls.MESSAGE):
                break
            rest = lines[ahead].rstrip(b"\r")
            if kind[ahead] == calls.OTHER and _REST.search(rest):
                lines[row] = _ATTACHED.sub(b"", lines[row].rstrip(b"\r")) + rest
                lines[ahead] = b""
                mended = True
                notes.add(
                    "a call was split by other output on the same terminal and was joined (use strace -o)",
                    source.at(block.first_line + row),
                )
                break
    return make_block(b"\n".join(lines), block.first_line) if mended else None


def _note_rest(block: Block, kind: Places, source: Source, notes: NoteBook) -> None:
    """Say which lines were left out."""
    broken = np.flatnonzero(kind == calls.BROKEN)
    other = np.flatnonzero((kind == calls.OTHER) & (block.end > block.start))
    for rows, what in (
        (broken, "a line begins like a call but does not end like one; it was left out"),
        (other, "a line is not strace's (output of the program?); it was left out"),
    ):
        if rows.size:
            notes.add(what, source.at(block.first_line + int(rows[0])), count=rows.size)


def _collect_calls(found: _Collected, block: Block, prefixes: Prefixes, rows: calls.CallLines, stamps: Places) -> None:
    columns: dict[str, NDArray[Any]] = {
        "line": rows.row + block.first_line,
        "kind": rows.kind.astype(np.int8),
        "pid": prefixes.pid[rows.row],
        "pid_to": rows.pid_to,
        "clock": prefixes.clock[rows.row].astype(np.int8),
        "stamp_ns": stamps[rows.row],
        "name": rows.name.astype(np.int32),
        "restarted": rows.restarted,
        "fd": rows.fd,
        "decorated": rows.decorated,
        "value": rows.value,
        "has_value": rows.has_value,
        "returned": rows.returned,
        "error": rows.error.astype(np.int32),
        "duration_ns": rows.duration_ns,
    }
    here = found.length - PAD  # from places in the block to places in the log
    for text, (start, end) in (("args", rows.args), ("result", rows.result)):
        columns |= {f"{text}_start": start + here, f"{text}_size": (end - start).astype(np.uint32)}
    for name, column in columns.items():
        found.columns.setdefault(name, []).append(column)


def _running(found: _Collected, block: Block, prefixes: Prefixes, source: Source) -> Places:
    """Stamps that are relative to the line before, converted to time since the first line."""
    relative = prefixes.clock == SINCE_LINE_BEFORE
    if not relative.any():
        return prefixes.stamp_ns
    steps = np.where(relative, prefixes.stamp_ns, 0)
    if found.elapsed_ns + float(steps.sum(dtype=np.float64)) >= _LARGEST:
        raise ReadError(
            "the sum of the time stamps does not fit into 64 bits",
            where=source.at(block.first_line + int(steps.argmax())),
            hint="strace does not write such times",
        )
    running = found.elapsed_ns + np.cumsum(steps)
    found.elapsed_ns = int(running[-1])
    return np.where(relative, running, prefixes.stamp_ns)


def _collect_events(found: _Collected, block: Block, prefixes: Prefixes, kind: Places, stamps: Places) -> None:
    for meaning, mark, into in ((calls.EXIT, b" +++", found.exits), (calls.SIGNAL, b" ---", found.signals)):
        for row in np.flatnonzero(kind == meaning).tolist():
            text = block.cut(int(prefixes.body[row]) + 4, int(block.end[row])).removesuffix(mark)
            into.append(
                Event(
                    block.first_line + row,
                    int(prefixes.pid[row]),
                    int(prefixes.clock[row]),
                    int(stamps[row]),
                    text.decode(),
                )
            )
    frames = np.flatnonzero(kind == calls.FRAME)
    found.frame_lines.append(frames + block.first_line)
    found.frame_texts += [block.cut(int(prefixes.body[row]) + 3, int(block.end[row])) for row in frames.tolist()]
    for pid, name in prefixes.comms:
        if pid != NO_PID:
            found.comms[pid] = name.decode(errors="replace")

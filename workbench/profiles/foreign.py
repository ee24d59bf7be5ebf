"""Recognises files that no reader takes, by unambiguous marks, and names the command that converts them.

Every mark is a magic number, or text that no other format begins with (:mod:`workbench.profiles.foreign_marks`), or a
structure that is checked here. Without certainty nothing is reported.

Sources of the marks: the formats' own specifications or writers, see the comments, and files that the tools wrote.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from workbench.profiles.foreign_marks import MAGIC, MEMRAY, SPEEDSCOPE, TEXT

_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that is not supported. ``what`` completes "this is ...", ``hint`` says what to do."""

    what: str
    hint: str

    def hint_for(self, name: str) -> str:
        """The hint with a file's name in its commands."""
        return self.hint if name.startswith("<") else re.sub(r"\bFILE\b", lambda _: shlex.quote(name), self.hint)


_EVENTS_KEY = re.compile(rb'"traceEvents"\s*:\s*\[')
_ARRAY = re.compile(rb'\[\s*\{\s*"')
_PHASE = re.compile(rb'"ph"\s*:\s*"[A-Za-z]"')
_STAMP = re.compile(rb'"(?:ts|pid)"\s*:')
_SAMPLE_LINE = re.compile(
    rb"[A-Za-z_:][\w:]*[ \t]*(?:\{[^\n]*\})?[ \t]+[+-]?(?:[\d.]+(?:[eE][+-]?\d+)?|Inf|NaN)(?:[ \t]+-?[\d.]+)?(?: # .*)?"
)
# a column's name does not end in a blank and a number, like a folded stack
_COLUMN = re.compile(r'(?!.* [\d.]+"?$)"?[A-Za-z_][\w .%()/-]{0,60}"?')
_NUMBER = re.compile(r'\s*"?-?\d+(?:\.\d+)?"?\s*')


def foreign(data: bytes) -> Foreign | None:
    """The format of these bytes if a mark is certain; otherwise None."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    for magic, what, hint in MAGIC:
        if data.startswith(magic):
            return Foreign(what, hint)
    head = data[:_HEAD_BYTES].lstrip()
    for pattern, what, hint in TEXT:
        if re.match(pattern, head):
            return Foreign(what, hint)
    for told in (_memray, _chrome_trace, _prometheus, _perfetto, _tar, _etl, _csv):
        if (found := told(data)) is not None:
            return found
    return None


def _memray(data: bytes) -> Foreign | None:
    """An LZ4 frame: memray compresses its recordings so, and other programs use it too."""
    if not data.startswith(b"\x04\x22\x4d\x18"):
        return None
    if b"memray" in data[:64]:
        return Foreign("a recording of memray", MEMRAY)
    return Foreign("LZ4 data", "Unpack it with `lz4 -d FILE`")


def _chrome_trace(data: bytes) -> Foreign | None:
    """An array of events with phases, or an object that has the events after other keys.

    Source: the Trace Event Format of Chromium."""
    head = data[:_HEAD_BYTES].lstrip()
    begins = _ARRAY.match(head) or (head.startswith(b"{") and _EVENTS_KEY.search(head))
    if begins and _PHASE.search(head) and _STAMP.search(head):
        return Foreign("a Chrome trace", SPEEDSCOPE)
    return None


def _prometheus(data: bytes) -> Foreign | None:
    """Comments of metrics, and lines of samples: both forms that Prometheus scrapes.

    Source: Prometheus' text exposition format; OpenMetrics is alike."""
    lines = [line.strip() for line in data[:_HEAD_BYTES].split(b"\n")[:-1][:200] if line.strip()] or [
        data[:200].strip()
    ]
    comments = [line for line in lines if line.startswith(b"#")]
    samples = [line for line in lines if not line.startswith(b"#")]
    told = any(re.match(rb"# (?:HELP|TYPE|UNIT) [A-Za-z_:][\w:]* ", line) for line in comments)
    if told and all(_SAMPLE_LINE.fullmatch(line) for line in samples):
        return Foreign(
            "text with metrics of Prometheus, not a profile", "`workbench load` and `sweep` record them beside a run"
        )
    return None


def _perfetto(data: bytes) -> Foreign | None:
    """A protobuf whose first packets each have a sequence number and a trusted user id.

    Source: perfetto's trace.proto (packet = 1) and trace_packet.proto (trusted_uid = 3,
    trusted_packet_sequence_id = 10)."""
    at = told = 0
    for _ in range(4):
        if at >= len(data) or data[at] != 0x0A:
            break
        size, start = _varint(data, at + 1)
        if size is None or not 2 <= size <= len(data) - start:
            break
        fields = _field_numbers(data[start : start + min(size, 4096)])
        told += {3, 10} <= fields
        at = start + size
    if told < 2:
        return None
    return Foreign("a trace of perfetto", "Run `traceconv json FILE out.json`. " + SPEEDSCOPE)


def _field_numbers(data: bytes) -> set[int]:
    """The outermost fields of a protobuf message, up to the first byte that does not fit."""
    found: set[int] = set()
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key is None or key >> 3 == 0:
            break
        if key & 7 == 0:
            value, at = _varint(data, at)
            if value is None:
                break
        elif key & 7 == 2:
            size, at = _varint(data, at)
            if size is None:
                break
            at += size
        elif key & 7 in (1, 5):
            at += 8 if key & 7 == 1 else 4
        else:
            break
        found.add(key >> 3)
    return found


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            return None, at
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    return None, at


def _tar(data: bytes) -> Foreign | None:
    """A tar archive: POSIX puts ``ustar`` at byte 257."""
    return Foreign("a tar archive", "Unpack it and read a profile inside") if data[257:262] == b"ustar" else None


def _etl(data: bytes) -> Foreign | None:
    """A trace of Windows: a buffer's header, then the header event of the file.

    Source: Microsoft's WMI_BUFFER_HEADER (72 bytes, its type at 54) and SYSTEM_TRACE_HEADER."""
    size = int.from_bytes(data[:4], "little")
    whole = 1024 <= size <= 16 * 1024 * 1024 and size % 1024 == 0
    if whole and data[54:56] == b"\4\0" and data[74:75] in (b"\1", b"\2") and data[75:76] == b"\xc0":
        return Foreign(
            "a trace of Windows (ETL)",
            "Run `xperf -i FILE -o out.txt -a dumper`, or open it in Windows Performance Analyzer",
        )
    return None


def _csv(data: bytes) -> Foreign | None:
    """A table: a first line of distinct names, and lines below it with as many fields, one of which is always a
    number."""
    lines = data[:_HEAD_BYTES].decode("utf-8", "replace").splitlines()
    names, *below = [line.split(",") for line in lines[:20] if line] or [[""]]
    # the last line may be cut
    whole = below[:-1] or below
    if len(names) < 2 or not whole or any(len(row) != len(names) for row in whole):
        return None
    if len(set(names)) < len(names) or not all(_COLUMN.fullmatch(name) for name in names):
        return None
    if not any(all(_NUMBER.fullmatch(row[at]) for row in whole) for at in range(len(names))):
        return None
    return Foreign("a table (CSV), not a profile", "Give the file the profiler wrote")

"""Recognises a log, and removes bytes that do not belong to strace's lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.profiles.readers.strace import summary
from workbench.profiles.source import line_number

if TYPE_CHECKING:
    from workbench.profiles.notes import NoteBook
    from workbench.profiles.source import Source

_HEAD_LINES = 60  # lines checked that may be calls
_MOST_LINES = 20_000  # lines read in all; a call may have hundreds of stack lines
_MOST_BYTES = 64 * 1024 * 1024
_SURE = 3
# Bytes checked at each end of a long line.
_LINE_BYTES = 1024
_PREFIX = (
    rb"(?:\[pid +\d+(?:<[^>]*>)?\] |\d{1,8}(?:<[^>]*>)? +)?(?:\[[^\]]{0,200}\] )?"
    rb"(?: *[\d:.]+ )?(?:\(\+ +[\d.]+\) )?(?:\[[^\]]{0,64}\] ){0,3}"
)
_CALL = re.compile(_PREFIX + rb"(?:[a-z_][a-z0-9_]{0,30}\(|<\.\.\. [a-z_][a-z0-9_]{0,30} resumed>)")
_ENDING = re.compile(rb"\) += (?:-?\d|\?)|<unfinished \.\.\.>$|<detached \.\.\.>$")
_EVENT = re.compile(_PREFIX + rb"(?:\+\+\+ (?:exited|killed|superseded) |--- (?:SIG|stopped ))")
# stack frames of -k, dumps of -e read and -e write, strace's own messages
_BETWEEN = re.compile(rb" > | \| |strace: |\[ Process ")
# escape sequences of --color; the log may be cut off inside one
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m|\x1b(?:\[[0-9;]*)?\Z")


def recognise(source: Source) -> str | None:
    """Why these bytes are a log or a table of strace, or None. Checks the first lines, of any length."""
    if (found := summary.recognise(source)) is not None:
        return found
    seen = like = 0
    for line in _first_lines(source.data):
        if line and not _BETWEEN.match(line):
            seen += 1
            like += bool((_CALL.match(line) and _ENDING.search(line)) or _EVENT.match(line))
        if seen == _HEAD_LINES:
            break
    if like and (like >= _SURE or 2 * like >= seen):
        return f"{like} of its first {seen} lines are system calls"
    return None


def _first_lines(data: bytes) -> Iterator[bytes]:
    """The first lines, without colours; of a long line only its beginning and end."""
    begin = 0
    for _ in range(_MOST_LINES):
        end = data.find(b"\n", begin, begin + _MOST_BYTES)
        stop = end if end >= 0 else min(len(data), begin + _MOST_BYTES)
        if stop - begin <= 2 * _LINE_BYTES:
            line = data[begin:stop]
        else:
            line = data[begin : begin + _LINE_BYTES] + data[stop - _LINE_BYTES : stop]
        yield without_colours(line).rstrip(b"\r")
        begin = stop + 1
        if end < 0 or begin > _MOST_BYTES:
            return


def without_colours(data: bytes) -> bytes:
    """The log without the escape sequences that --color adds."""
    return _COLOUR.sub(b"", data) if b"\x1b" in data else data


def plain(data: bytes, source: Source, notes: NoteBook) -> bytes:
    """The log as UTF-8 without colours. strace writes ASCII by default; bytes that are not UTF-8 become ``\\xff``."""
    data = without_colours(data)
    if data.isascii():
        return data
    text = data.decode("utf-8", "backslashreplace").encode()
    if text != data:
        notes.add("bytes that are not UTF-8 are shown as \\x..", source.at(_first_bad_line(data)))
    return text


def _first_bad_line(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return line_number(data, error.start)
    return 1

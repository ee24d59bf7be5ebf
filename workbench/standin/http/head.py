"""The head of a request, accepted or refused like hyper 1.7 and its parsers (httparse 1.10, http 1.3).

Accepted like there: any method, lines that end with a bare line feed, no Host, values with bytes above 127. Refused
requests get the same status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 8192 + 4096 * 100
MAX_HEADERS = 100
MAX_TARGET_BYTES = 65_534
MAX_NAME_BYTES = 65_535
MAX_LENGTH = 2**64 - 3

CHUNKED = -1
"""As the length of a body: it is sent in chunks."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t -~\x80-\xff]"
_LINE = _TOKEN + rb"+:" + _VALUE + rb"*\r?\n"
_HEAD = re.compile(rb"(?:\r?\n)*(" + _TOKEN + rb"+) ([!-~\x80-\xff]+) HTTP/1\.([01])\r?\n((?:" + _LINE + rb")*)\r?\n")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_METHOD = re.compile(_TOKEN + rb"*")
_TARGET = re.compile(rb"[!-~\x80-\xff]*")
_LINES = re.compile(rb"(?:" + _LINE + rb")*")
# Incomplete text that may still become a header line or the end of the head.
_OPEN_LINE = re.compile(rb"(?:" + _TOKEN + rb"+(?::" + _VALUE + rb"*)?)?\r?")
_OPEN_NAME = re.compile(_TOKEN + rb"+\r")

# By what is not allowed: ranges up to the last character take a hundred times as long to compile.
_PATH = re.compile(r"[^\x00- #<>?`]*")
_QUERY = re.compile(r"[^\x00- \"#<>]*")
_ABSOLUTE = re.compile(r"[A-Za-z0-9+\-.]{1,64}://([^/?#]+)(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%\[\]]+")

_FRAMING = frozenset({"transfer-encoding", "content-length", "connection", "expect"})


class Refused(Exception):
    """The request is refused with an empty answer of this status; the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Head:
    """A request's head. ``path`` is as sent, still percent-encoded; header names are in lower case.

    ``length`` is that of the body in bytes, or CHUNKED. ``keep_alive`` is the client's wish.
    """

    method: str
    path: str
    minor_version: int
    headers: list[tuple[str, str]]
    length: int
    keep_alive: bool
    expects_continue: bool

    def header(self, name: str) -> str | None:
        """The first header of this name (in lower case)."""
        for found, value in self.headers:
            if found == name:
                return value
        return None


def read_head(data: bytes) -> tuple[Head, int] | None:
    """The head at the start of ``data`` and its size in bytes; None while it is incomplete. Raises Refused."""
    match = _HEAD.match(data)
    if match is None:
        _judge_incomplete(data)
        return None
    method, target, minor, lines = match.groups()
    pairs = _headers(lines)
    if len(target) > MAX_TARGET_BYTES:
        raise Refused(414)
    path = path_of(target)
    return _framed(method.decode(), path, int(minor), pairs), match.end()


def may_be_complete(data: bytes, seen: int) -> bool:
    """Whether to parse a head again after its first ``seen`` bytes were parsed: hyper waits for an empty line."""
    start = max(0, seen - 3)
    return data.find(b"\r\n\r\n", start) >= 0 or data.find(b"\n\n", start) >= 0


def _judge_incomplete(data: bytes) -> None:
    """Raise Refused if no continuation can make this a head."""
    at = _end(_EMPTY_LINES, data, 0)
    if data[at:] in (b"", b"\r"):
        return
    for part in (_METHOD, _TARGET):
        end = _end(part, data, at)
        if end == len(data):
            return
        if end == at or data[end] != 0x20:
            raise Refused(400)
        at = end + 1
    version = data[at : at + 8]
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        if len(version) < 8 and b"HTTP/1.".startswith(version[:7]):
            return
        raise Refused(400)
    line_end = data[at + 8 : at + 10]
    if line_end in (b"", b"\r"):
        return
    if line_end != b"\r\n" and line_end[:1] != b"\n":
        raise Refused(400)
    at += 9 if line_end[:1] == b"\n" else 10
    end = _end(_LINES, data, at)
    if data.count(b"\n", at, end) > MAX_HEADERS:
        raise Refused(431)
    rest = data[end:]
    if not _OPEN_LINE.fullmatch(rest) or _OPEN_NAME.fullmatch(rest):
        raise Refused(400)


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    return at if match is None else match.end()


def _headers(lines: bytes) -> list[tuple[str, str]]:
    pairs = []
    for line in lines.decode("latin-1").split("\n")[:-1]:
        name, _, value = line.partition(":")
        if len(name) > MAX_NAME_BYTES:
            raise Refused(431)
        pairs.append((name.lower(), value.strip(" \t\r")))
    if len(pairs) > MAX_HEADERS:
        raise Refused(431)
    return pairs


def path_of(target: bytes) -> str:
    """The path of a request target, without query and fragment. Raises Refused if it is not a URI.

    An authority alone (``example.org:80``) has an empty path.
    """
    try:
        text = target.decode()
    except UnicodeDecodeError:
        raise Refused(400) from None
    if text.startswith("/"):
        return _path(text)
    if text == "*":
        return text
    absolute = _ABSOLUTE.fullmatch(text)
    if absolute is not None:
        if not _AUTHORITY.fullmatch(absolute[1]):
            raise Refused(400)
        return _path(absolute[2]) or "/"
    if not _AUTHORITY.fullmatch(text):
        raise Refused(400)
    return ""


def _path(text: str) -> str:
    path, mark, rest = text.partition("?")
    if not mark:
        path = text.partition("#")[0]
    elif "#" in path:
        path, rest = path.partition("#")[0], ""
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(rest.partition("#")[0]):
        raise Refused(400)
    return path


def _framed(method: str, path: str, minor: int, pairs: list[tuple[str, str]]) -> Head:
    """The head with the facts from its headers about body and connection, read in the order sent."""
    keep_alive, expects = minor == 1, False
    length, chunked, coded = None, False, False
    for name, value in pairs:
        if name not in _FRAMING:
            continue
        if name == "connection":
            keep_alive = not _has(value, "close") if keep_alive else _has(value, "keep-alive")
        elif name == "expect":
            expects = value.lower() == "100-continue"
        elif name == "transfer-encoding":
            if minor == 0:
                raise Refused(400)
            coded, chunked = True, value.rpartition(",")[2].strip().lower() == "chunked"
        elif not coded:
            length = _length(value, length)
    if coded and not chunked:
        raise Refused(400)
    size = CHUNKED if chunked else length or 0
    return Head(method, path, minor, pairs, size, keep_alive, expects and minor == 1 and size != 0)


def _length(value: str, before: int | None) -> int:
    if not (value.isascii() and value.isdigit()) or int(value) >= 2**64:
        raise Refused(400)
    length = int(value)
    if before is not None and before != length:
        raise Refused(400)
    if length > MAX_LENGTH:
        raise Refused(431)
    return length


def _has(value: str, token: str) -> bool:
    return value.isascii() and any(part.strip().lower() == token for part in value.split(","))

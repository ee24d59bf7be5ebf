"""Bodies of requests, with a given length or in chunks, decoded as strictly as by hyper."""

from __future__ import annotations

import re

from workbench.standin.http.head import CHUNKED

MAX_EXTENSION_BYTES = 16_384
MAX_TRAILER_BYTES = 16_384

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]+)[\t ]*(?:;([^\r\n]*))?\r\n")
_OPEN_SIZE_LINE = re.compile(rb"(?:[0-9a-fA-F]+[\t ]*(?:;([^\r\n]*))?\r?)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n")


class BrokenBody(Exception):
    """The body cannot be decoded, or the client disconnected in the middle."""


class Sized:
    """A body with a given length in bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        """Whether the whole body was read."""
        return self._left == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into the part of the body and the rest."""
        piece = data[: self._left]
        self._left -= len(piece)
        return piece, data[len(piece) :]


class Chunks:
    """A body in chunks; trailers are skipped. Raises BrokenBody."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        self._state = "size"
        self._extension_bytes = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into content and the rest: bytes to pass again with more data, or those after the body."""
        content = []
        while not self.done:
            before = (self._state, len(data))
            if self._state == "size":
                data = self._size(data)
            elif self._state == "data":
                piece = data[: self._left]
                content.append(piece)
                self._left -= len(piece)
                data = data[len(piece) :]
                if not self._left:
                    self._state = "end"
            elif self._state == "end":
                if not b"\r\n".startswith(data[:2]):
                    raise BrokenBody
                if len(data) >= 2:
                    self._state, data = "size", data[2:]
            else:
                data = self._trailer(data)
            if before == (self._state, len(data)):
                break
        return b"".join(content), data

    def _size(self, data: bytes) -> bytes:
        match = _SIZE_LINE.match(data)
        if match is None:
            open_line = _OPEN_SIZE_LINE.fullmatch(data)
            if open_line is None or len(open_line[1] or b"") + self._extension_bytes >= MAX_EXTENSION_BYTES:
                raise BrokenBody
            return data
        self._left = int(match[1], 16)
        self._extension_bytes += len(match[2] or b"")
        if self._left >= 2**64 or self._extension_bytes >= MAX_EXTENSION_BYTES:
            raise BrokenBody
        self._state = "data" if self._left else "trailer"
        return data[match.end() :]

    def _trailer(self, data: bytes) -> bytes:
        end = data.find(b"\r\n")
        if end < 0:
            if len(data) >= MAX_TRAILER_BYTES:
                raise BrokenBody
            return data
        if end == 0:
            self.done = True
        elif not _TRAILER_LINE.fullmatch(data, 0, end + 2):
            raise BrokenBody
        return data[end + 2 :]


def decoder(length: int) -> Sized | Chunks:
    """The decoder for a body of this length, or in chunks."""
    return Chunks() if length == CHUNKED else Sized(length)

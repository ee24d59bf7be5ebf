"""A handler's input and output: a request, whose body is read on demand, and an answer."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from workbench.standin.http.head import Head


class BodyTooLarge(Exception):
    """The body is longer than the handler accepts."""


class Wire(Protocol):
    """The connection, as seen by a request."""

    async def read_body(self, limit: int) -> bytes:
        """The body of the current request."""

    def reset(self) -> None:
        """Break the connection with RST."""


@dataclass(slots=True)
class Request:
    """One request; ``peer`` is the client's IP address."""

    head: Head
    peer: str
    wire: Wire

    @property
    def method(self) -> str:
        """The method, as sent."""
        return self.head.method

    def header(self, name: str) -> str | None:
        """The first header of this name (in lower case), or None."""
        return self.head.header(name)

    async def read(self, limit: int) -> bytes:
        """The body. Raises BodyTooLarge above ``limit`` bytes, BrokenBody when it cannot be read."""
        return await self.wire.read_body(limit)

    def reset(self) -> None:
        """Break the connection with RST instead of answering; the handler then returns None."""
        self.wire.reset()


@dataclass(slots=True)
class Answer:
    """An answer: status, body, its type (None for no such header) and further headers, names in lower case.

    Without ``sized`` an answer to HEAD does not tell its length.
    """

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    sized: bool = True

    def encode(self, head: Head | None, always: bytes, keep_alive: bool, date: bytes) -> bytes:
        """The bytes on the wire; ``head``: the request's, or None. HEAD gets no body."""
        old = head is not None and head.minor_version == 0
        lines = [_STATUS_LINES_1_0[self.status] if old else _STATUS_LINES[self.status]]
        if self.content_type is not None:
            lines.append(f"content-type: {self.content_type}\r\n".encode())
        lines.append(always)
        for name, value in self.headers:
            lines.append(f"{name}: {value}\r\n".encode("latin-1"))
        without_body = head is not None and head.method == "HEAD"
        if self.sized or not without_body:
            lines.append(b"content-length: %d\r\n" % len(self.body))
        if old and keep_alive:
            lines.append(b"connection: keep-alive\r\n")
        elif not old and not keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(date)
        if not without_body:
            lines.append(self.body)
        return b"".join(lines)


_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
# Where Rust's table of reasons differs from Python's.
_STATUS_LINES[413] = b"HTTP/1.1 413 Payload Too Large\r\n"
_STATUS_LINES[414] = b"HTTP/1.1 414 URI Too Long\r\n"
_STATUS_LINES_1_0 = {status: line.replace(b"/1.1", b"/1.0", 1) for status, line in _STATUS_LINES.items()}

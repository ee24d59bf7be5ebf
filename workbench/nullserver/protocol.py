"""Finds the ends of HTTP/1.1 requests and looks at nothing else.

As cheap as possible in Python: a request from our generator, which arrives in one piece, costs two searches and a
write. Content-Length is the only supported framing (RFC 9112, 6.2); other requests get an error, and the connection is
closed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

BODY = rb'{"graphQLResponse":"{\"data\":{\"_meta\":{\"block\":{\"number\":1}}}}","attestation":null}'
"""An indexer-service's answer to a good query, without the attestation."""

ALIVE = b"Service is up and running"
"""The answer at its root path, which identifies the service."""

MAX_HEAD_BYTES = 1 << 16


def _response(status: bytes, body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n" % (status, kind, len(body), more)
    return head + body


ANSWER = _response(b"200 OK", BODY)
_ALIVE = _response(b"200 OK", ALIVE, b"text/plain; charset=utf-8")
_NO_LENGTH = _response(b"411 Length Required", b"", b"text/plain", b"Connection: close\r\n")
_TOO_LONG = _response(b"431 Request Header Fields Too Large", b"", b"text/plain", b"Connection: close\r\n")

_END = b"\r\n\r\n"
_AS_WRITTEN_HERE = b"\r\nContent-Length: "
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)

Reply = Callable[[asyncio.Transport, bytes, bool], None]
"""Sends an answer, now or later; the last one of a connection closes it."""


def at_once(transport: asyncio.Transport, answer: bytes, last: bool) -> None:
    """The reply of a server without a delay."""
    transport.write(answer)
    if last:
        transport.close()


class NullProtocol(asyncio.Protocol):
    """One connection. Requests may come split anywhere, or several at once; answers keep their order."""

    def __init__(self, reply: Reply = at_once) -> None:
        self._reply = reply
        self._rest = b""  # an incomplete head
        self._body_left = 0  # of a request whose head was read
        self._answer = ANSWER  # to that request
        self._last = False  # the connection ends with that answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its answers, so that they do not pile up."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from it again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Called by the loop with received bytes."""
        if self._body_left:
            taken = min(len(data), self._body_left)
            self._body_left -= taken
            if self._body_left:
                return
            data = data[taken:]
            self._reply(self._transport, self._answer, self._last)
        elif self._rest:
            data, self._rest = self._rest + data, b""
        while data and not self._last:
            end = data.find(_END)
            if end < 0:
                self._keep(data)
                return
            if not self._take_head(data, end):
                return
            size = end + len(_END) + self._body_left
            if len(data) < size:
                self._body_left = size - len(data)
                return
            self._body_left = 0
            data = data[size:]
            self._reply(self._transport, self._answer, self._last)

    def _take_head(self, data: bytes, end: int) -> bool:
        """Read the length of the body and choose the answer; False if the request was refused."""
        at = data.find(_AS_WRITTEN_HERE, 0, end)
        if at >= 0:
            at += len(_AS_WRITTEN_HERE)
            digits = data[at : data.find(b"\r", at)]
        elif found := _LENGTH.search(data, 0, end + 2):
            digits = found[1]
        else:
            digits = b"0"
            if _CHUNKED.search(data, 0, end + 2):
                return self._refuse(_NO_LENGTH)
        if not digits.isdigit():
            return self._refuse(_NO_LENGTH)
        self._body_left = int(digits)
        self._answer = _ALIVE if data.startswith(b"GET ") else ANSWER
        self._last = data.find(b"lose", 0, end) >= 0 and _CLOSE.search(data, 0, end + 2) is not None
        return True

    def _keep(self, data: bytes) -> None:
        if len(data) > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)
        else:
            self._rest = data

    def _refuse(self, answer: bytes) -> bool:
        self._last = True
        self._reply(self._transport, answer, True)
        return False

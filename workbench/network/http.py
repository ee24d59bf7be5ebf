"""HTTP/1.1 for requests and answers that fit into memory, without a framework.

Each paid request of the service passes through here, so on a small machine its cost slows the service. Bytes go through
httptools to one call of a handler; its answer is already bytes and is written at once or after a delay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from httptools import HttpParserError, HttpRequestParser

from workbench.loopback import could_be_here
from workbench.network.reply import Handler

MAX_BODY_BYTES = 4 << 20

_TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_MISDIRECTED = b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_FOR_PAGES = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: its requests are answered one after another, in order."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._path = b""
        self._body: list[bytes] = []
        self._size = 0
        self._busy = False
        self._closing = False
        self._waiting: deque[tuple[bytes, bytes, bytes, bool]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: drop answers that are due later."""
        self._transport = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self._end(_MALFORMED)

    # --- called by the parser ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._path = b""
        self._body = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Requests from a page in a browser reach no handler: payers can be changed here, and a page can send
        to any address without permission."""
        if len(name) == 4 and name.lower() == b"host":
            if not could_be_here(value.decode("latin-1")):
                self._end(_MISDIRECTED)
        elif len(name) == 6 and name.lower() == b"origin":
            self._end(_FOR_PAGES)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._end(_TOO_LARGE)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._closing:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = (self._parser.get_method(), self._path, body, self._parser.should_keep_alive())
        if self._busy:
            self._waiting.append(request)
        else:
            self._answer(*request)

    # --- parts ------------------------------------------------------------------------------------------------

    def _answer(self, method: bytes, path: bytes, body: bytes, keep_alive: bool) -> None:
        reply = self._handler(method, path, body)
        if reply.data is None:
            self._closing = True
            if self._transport is not None:
                self._transport.abort()
        elif reply.delay_s > 0:
            self._busy = True
            self._loop.call_later(reply.delay_s, self._write_late, reply.data, keep_alive)
        else:
            self._write(reply.data, keep_alive)

    def _write(self, data: bytes, keep_alive: bool) -> None:
        if self._transport is not None:
            self._transport.write(data)
            if not keep_alive:
                self._closing = True
                self._transport.close()

    def _write_late(self, data: bytes, keep_alive: bool) -> None:
        self._busy = False
        self._write(data, keep_alive)
        while self._waiting and not self._busy and not self._closing:
            self._answer(*self._waiting.popleft())

    def _end(self, data: bytes) -> None:
        if self._closing:
            return
        self._closing = True
        if self._transport is not None:
            self._transport.write(data)
            self._transport.close()

"""HTTP connections: asyncio's protocol around heads, bodies and answers."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import cast

from workbench.loopback import could_be_here
from workbench.standin.http.body import BrokenBody, Chunks, Sized, decoder
from workbench.standin.http.head import MAX_HEAD_BYTES, Head, Refused, may_be_complete, read_head
from workbench.standin.http.messages import Answer, BodyTooLarge, Request

Handler = Callable[[Request], Awaitable[Answer | None]]

_log = logging.getLogger(__name__)

PREFACE_BYTES = 24

# The most bytes read ahead of a handler.
_READ_AHEAD_BYTES = 2 * MAX_HEAD_BYTES
# RFC 9110, 15.5.20. It has no CORS headers, so that a page cannot even read it.
_MISDIRECTED = Answer(
    421,
    b"This server is asked by its address or localhost; --allow-remote lets it be asked by any name",
    "text/plain; charset=utf-8",
)
_RST = struct.pack("ii", 1, 0)


class Service:
    """A handler and the connections to it. ``always``: headers of every answer from the handler.

    Without ``any_host`` a request that asks for another site's name is answered 421 and reaches no handler.
    """

    def __init__(self, handler: Handler, always: tuple[tuple[str, str], ...] = (), *, any_host: bool = False) -> None:
        self.handler = handler
        self.any_host = any_host
        self.always = "".join(f"{name}: {value}\r\n" for name, value in always).encode()
        self.connections: set[Connection] = set()
        self.closing = False
        self._date = (0, b"")

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self)

    def date(self) -> bytes:
        """The date header and the end of the head, made once per second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, f"date: {formatdate(now, usegmt=True)}\r\n\r\n".encode())
        return self._date[1]

    async def close(self, patience_s: float) -> None:
        """Close idle connections at once, others after the current answer or after ``patience_s`` seconds."""
        self.closing = True
        tasks = [connection.finish() for connection in self.connections]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=patience_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class Connection(asyncio.Protocol):
    """Reads one request at a time, gets it handled and writes the answer, while both sides keep the connection open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._new = True
        self._ended = False
        self._busy = False
        self._paused = False
        self._arrival: asyncio.Future[None] | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._body: Sized | Chunks = Sized(0)
        self._continue_due = False
        self._peer = ""
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._service.connections.add(self)
        self._task = self._loop.create_task(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake what waits for the client, and end."""
        self._service.connections.discard(self)
        self._ended = True
        self._wake()
        self.resume_writing()
        if self._busy:
            # nobody waits for the answer: hyper drops the handler at once; otherwise a service that is too
            # slow for its clients would keep all abandoned requests
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Keep data for the reader, and pause reading from the socket when nobody reads."""
        self._data = self._data + data if self._data else data
        self._wake()
        if self._arrival is None and len(self._data) > _READ_AHEAD_BYTES:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has closed its side. An unfinished handler is dropped, as by hyper."""
        self._ended = True
        self._wake()
        self._loop.call_soon(self._hang_up)
        return True

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._flushed = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        self._flushed = None

    def finish(self) -> asyncio.Task[None]:
        """Close when idle or after the current answer; returns the task that ends then."""
        self._wake()
        return self._task

    async def read_body(self, limit: int) -> bytes:
        """The body of the current request. Raises BodyTooLarge and BrokenBody."""
        if self._continue_due:
            self._continue_due = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces, size = [], 0
        while not self._body.done:
            if not self._data or not (piece := self._decode()):
                if self._body.done:
                    break
                if self._ended:
                    raise BrokenBody
                await self._more()
                continue
            size += len(piece)
            if size > limit:
                raise BodyTooLarge
            pieces.append(piece)
        return b"".join(pieces)

    def reset(self) -> None:
        """Break the connection with RST."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self._transport.abort()

    def _decode(self) -> bytes:
        piece, self._data = self._body.feed(self._data)
        return piece

    async def _serve(self) -> None:
        try:
            while (head := await self._next_head()) is not None:
                if not await self._exchange(head):
                    break
        except Refused as refusal:
            self._transport.write(Answer(refusal.status).encode(None, b"", False, self._service.date()))
        except Exception:
            _log.exception("a request could not be handled")
        finally:
            self._transport.close()

    async def _next_head(self) -> Head | None:
        """The next head; None when there will be none. Raises Refused."""
        seen = 0
        while True:
            if self._data and (not seen or may_be_complete(self._data, seen)):
                # The first bytes of a new connection are checked alone, since they may announce HTTP/2.
                found = read_head(self._data[:PREFACE_BYTES] if self._new else self._data)
                if found is not None:
                    head, size = found
                    self._data, self._new = self._data[size:], False
                    return head
            if len(self._data) >= MAX_HEAD_BYTES:
                raise Refused(431)
            if self._new and self._data:
                seen, self._new = min(PREFACE_BYTES, len(self._data)), False
                continue
            seen = len(self._data)
            if self._ended or self._service.closing:
                return None
            await self._more()

    async def _exchange(self, head: Head) -> bool:
        """Answer one request; returns whether another may follow."""
        if not self._service.any_host and not could_be_here(head.header("host") or ""):
            self._transport.write(_MISDIRECTED.encode(head, b"", False, self._service.date()))
            return False
        self._body = decoder(head.length)
        self._continue_due = head.expects_continue
        self._busy = True
        answer = await self._service.handler(Request(head, self._peer, self))
        self._busy = False
        if answer is None or self._transport.is_closing():
            return False
        keep_alive = head.keep_alive and not self._service.closing
        self._transport.write(answer.encode(head, self._service.always, keep_alive, self._service.date()))
        if self._flushed is not None:
            await self._flushed
        return keep_alive and self._drained()

    def _drained(self) -> bool:
        """Whether the rest of the body has already arrived, so that the next request can be found."""
        if not self._body.done and self._data:
            try:
                self._decode()
            except BrokenBody:
                return False
        return self._body.done

    async def _more(self) -> None:
        """Wait for more data or the end."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._arrival = self._loop.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _hang_up(self) -> None:
        if self._busy:
            self._transport.close()

"""One connection to the service: one request goes out, one answer comes back, and both times are taken.

A request runs only in callbacks of the loop, without a task, future or timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from workbench.load.framing import ends_with_connection
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.outcome_cache import MAX_ANSWER_BYTES, MAX_HEAD_BYTES, MAX_HELD_BYTES, OutcomeCache

_HTTP_ERROR, _RESET, _TOO_LARGE = (
    CODE_OF[outcome] for outcome in (Outcome.HTTP_ERROR, Outcome.RESET, Outcome.TOO_LARGE)
)
_SWITCHING_PROTOCOLS = 101


class Owner(Protocol):
    """The owner of connections, which is told what happens to them."""

    answers: OutcomeCache
    closed_idle: int
    surplus: int

    def made(self, connection: Connection) -> None:
        """It was made."""

    def ended(self, connection: Connection) -> None:
        """Its exchange is over; ``usable`` says whether another may follow."""

    def lost(self, connection: Connection) -> None:
        """It has closed."""


Done = Callable[["Connection"], None]


class Connection(asyncio.Protocol):
    """A connection and its current exchange.

    ``begin`` sends a request, at once or as soon as the connection is made. When the exchange is over, the owner and
    then ``done`` are called, and these fields hold the result: ``position`` and ``intended_ns`` as given; ``sent_ns``
    (just before the request was written, or given to a connection that was still being made), ``first_byte_ns`` (of the
    final answer; 0 where none came), ``done_ns`` (its end), all of the monotonic clock; ``status`` (0 where no whole
    head came), ``outcome`` (a code), ``bytes_in`` (of the body). ``error``: an error of our own, not caused by the
    service.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_done",
        "_head",
        "_head_whole",
        "_headers_done",
        "_keep_alive",
        "_now_ns",
        "_owner",
        "_parser",
        "_pending",
        "_received",
        "_stuck",
        "_surplus",
        "_transport",
        "_used",
        "busy",
        "bytes_in",
        "done_ns",
        "error",
        "first_byte_ns",
        "intended_ns",
        "outcome",
        "position",
        "sent_ns",
        "status",
        "usable",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._done: Done | None = None
        self._now_ns = 0
        self._used = False
        self._stuck = False
        self._body: bytes | bytearray = b""
        self._head = b""
        self._received = 0
        self._complete = self._surplus = self._keep_alive = self._headers_done = self._head_whole = False
        self.busy = False
        self.usable = True
        self.error: BaseException | None = None
        self.position = self.intended_ns = self.sent_ns = self.first_byte_ns = self.done_ns = 0
        self.status = self.outcome = self.bytes_in = 0

    def begin(self, position: int, intended_ns: int, request: bytes, done: Done) -> None:
        """Send ``request``. With ``intended_ns`` 0 the intended time is the time of sending."""
        self.position = position
        self.first_byte_ns = 0
        self.busy = True
        self._done = done
        transport = self._transport
        self.sent_ns = sent_ns = monotonic_ns()
        self.intended_ns = intended_ns or sent_ns
        if transport is None:
            self._pending = request
        else:
            transport.write(request)

    def fail(self, outcome: int, now_ns: int, error: BaseException | None = None) -> None:
        """End the exchange without a complete answer, and close the connection."""
        self.error = error
        self._over(outcome, now_ns, 0, 0, usable=False)

    def abort(self) -> None:
        """Close the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # --- called by the loop -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was made; send the waiting request."""
        self._transport = cast(asyncio.Transport, transport)
        if not self.usable:  # its request has already timed out
            # the owner is not told, since it would wait for its end: if the attempt is cancelled just now, uvloop
            # closes the transport without calling connection_lost
            self._transport.abort()
            return
        self._owner.made(self)
        # uvloop delays small writes to the end of a turn of the loop unless the limit is this low. Not 0: then
        # asyncio's TLS never calls resume_writing
        self._transport.set_write_buffer_limits(high=1)
        if self._pending:
            self._transport.write(self._pending)
            self._pending = b""

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer. The clock is read once for all that they complete."""
        now_ns = self._now_ns = monotonic_ns()
        if not self.busy or self._parser is None:
            if self.usable:  # no request was sent
                self._owner.surplus += 1
                self.abort()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._keep_alive = False
        except HttpParserError:
            if not self._complete:
                self.fail(_HTTP_ERROR, now_ns)
                return
            self._surplus = True
        if self._complete:
            self._answered()
        else:
            self._unfinished(data, now_ns)

    def eof_received(self) -> None:
        """The service closed its side. An answer framed by the end of the connection is now complete."""
        if not self.busy:
            self.abort()
        elif self._headers_done and ends_with_connection(self._head):
            self._now_ns = monotonic_ns()
            self.on_message_complete()
            self._keep_alive = False
            self._answered()
        else:
            self._reset()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        if self.busy:
            self._reset()
        self.usable = False
        self._parser = None  # the parser and this object reference each other
        self._owner.lost(self)

    def pause_writing(self) -> None:
        """The request is not completely written yet."""
        self._stuck = True

    def resume_writing(self) -> None:
        """The request is completely written."""
        self._stuck = False

    # --- called by the parser ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        if self._complete:
            self._surplus = True
        else:
            self.first_byte_ns = self._now_ns

    def on_headers_complete(self) -> None:
        """The end of a head."""
        self._headers_done = True

    def on_body(self, piece: bytes) -> None:
        """A piece of a body."""
        if self._surplus:
            return
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytes):
            self._body = bytearray(self._body) + piece
        else:
            self._body += piece

    def on_message_complete(self) -> None:
        """The end of an answer, or of an interim one (1xx), which the final answer follows."""
        if self._surplus or self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200 and status != _SWITCHING_PROTOCOLS:
            self._headers_done = False
            self.first_byte_ns = 0
            return
        self.status = status
        self._keep_alive = self._parser.should_keep_alive()
        self._complete = True

    # --- parts ------------------------------------------------------------------------------------------------

    def _answered(self) -> None:
        body = self._body if isinstance(self._body, bytes) else bytes(self._body)
        if self._surplus:
            self._owner.surplus += 1
        # an answer before the request was fully sent: the rest of the request would be read as another one
        usable = self._keep_alive and not self._surplus and not self._stuck
        self._over(self._owner.answers.code(self.status, body), self._now_ns, self.status, len(body), usable=usable)

    def _unfinished(self, data: bytes, now_ns: int) -> None:
        self._received += len(data)
        answers = self._owner.answers
        answers.held += len(data)
        if not self._head_whole:
            self._head += data
            self._head_whole = self._headers_done
            if not self._headers_done and len(self._head) > MAX_HEAD_BYTES:
                self.fail(_HTTP_ERROR, now_ns)
                return
        if self._received > MAX_ANSWER_BYTES or answers.held > MAX_HELD_BYTES:
            assert self._parser is not None  # noqa: S101 - for the type checker
            self._over(_TOO_LARGE, now_ns, self._parser.get_status_code(), 0, usable=False)

    def _reset(self) -> None:
        if self._used and not self._received:
            self._owner.closed_idle += 1
        self.fail(_RESET, monotonic_ns())

    def _over(self, outcome: int, now_ns: int, status: int, bytes_in: int, *, usable: bool) -> None:
        self.done_ns = now_ns
        self.outcome = outcome
        self.status = status
        self.bytes_in = bytes_in
        self.usable = usable
        self.busy = False
        self._used = True
        done = self._done
        self._done = None
        self._forget()
        if self._transport is None:
            self._parser = None  # it will not be made, so connection_lost will not be called
        elif not usable:
            self._transport.abort()
        self._owner.ended(self)
        if done is not None:
            done(self)

    def _forget(self) -> None:
        """Forget the current answer."""
        self._complete = self._surplus = self._keep_alive = self._headers_done = self._head_whole = False
        if self._received:
            self._owner.answers.held -= self._received
            self._received = 0
        self._head = b""
        self._body = b""

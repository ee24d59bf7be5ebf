"""The connections to one paid route: kept alive, opened when more are needed, closed at the end.

Their number has no limit: at a limit an open loop would silently become a closed one. Nothing is sent twice; redirects
and proxies are ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic_ns

from yarl import URL

from workbench.errors import MeasurementError
from workbench.load.connection import Connection, Done
from workbench.load.deadlines import Deadlines
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.outcome_cache import OutcomeCache
from workbench.load.request import post, preflight
from workbench.loopback import elsewhere

_CANCELLED, _CONNECT_ERROR, _TIMEOUT = (
    CODE_OF[outcome] for outcome in (Outcome.CANCELLED, Outcome.CONNECT_ERROR, Outcome.TIMEOUT)
)
_NO_FILES = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class Exchange:
    """The result of one request. Times are of the monotonic clock; without an answer times and status are 0."""

    sent_ns: int
    first_byte_ns: int
    done_ns: int
    status: int
    outcome: int
    bytes_in: int


class ReceiptClient:
    """A pool of keep-alive connections to one paid route, by http or https.

    ``closed_idle`` counts requests on a kept connection that closed before a byte of an answer, mostly because the
    service closed the idle connection at that moment. They are not sent again, since the receipt may have been spent.
    ``surplus`` counts connections with bytes that were not part of an answer.
    """

    def __init__(self, url: str, body: bytes, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> None:
        target = URL(url)
        self._host, self._port = target.host or "", target.port or 80
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        self._request = post(url, body, headers)
        self._preflight = preflight(url)
        self._addresses: tuple[str, ...] | None = None
        self._reached = 0  # position of the address that last took a connection
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._all_lost = asyncio.Event()
        self._all_lost.set()
        self._attempts: dict[Connection, asyncio.Task[None]] = {}
        self._deadlines: Deadlines[Connection] = Deadlines(int(timeout_s * 1e9), self._late)
        self._waiting = self._deadlines.waiting
        self.answers = OutcomeCache()
        self.closed_idle = 0
        self.surplus = 0

    @property
    def opening(self) -> int:
        """How many connections are being opened."""
        return len(self._attempts)

    async def open_connections(self, count: int) -> int:
        """Open ``count`` connections before the step, all at once, and return how many are open.

        Each sends a CORS preflight, so that the service has fully accepted it. The host name is resolved here, once.
        Raises MeasurementError if the system does not allow as many open files.
        """
        await self._resolve()
        all_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left, errors = count, []

        def done(connection: Connection) -> None:
            nonlocal left
            left -= 1
            if connection.error is not None:
                errors.append(connection.error)
            if not left and not all_done.done():
                all_done.set_result(None)

        for _ in range(count):
            self._begin(self._new(), 0, 0, self._preflight, done)
        if count:
            await all_done
        if errors:
            raise errors[0]
        return len(self._idle)

    def send(self, position: int, intended_ns: int, receipt: bytes | None, done: Done) -> None:
        """Send one request, with ``receipt`` as its header's value, on a free or new connection.

        ``done`` is called later with the :class:`workbench.load.connection.Connection` that holds the result. Errors of
        network or service are results and never raised. Call from within the loop, after :meth:`open_connections`.
        """
        request = self._request.plain if receipt is None else self._request.with_receipt(receipt)
        self._begin(self._free(), position, intended_ns, request, done)

    async def exchange(self, receipt: bytes | None) -> Exchange:
        """Send one request and wait for its answer, outside of a timed step."""
        await self._resolve()
        answered: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

        def done(connection: Connection) -> None:
            if not answered.done():
                answered.set_result(connection)

        self.send(0, 0, receipt, done)
        seen = await answered
        if seen.error is not None:
            raise seen.error
        return Exchange(seen.sent_ns, seen.first_byte_ns, seen.done_ns, seen.status, seen.outcome, seen.bytes_in)

    def cancel(self) -> None:
        """End all running exchanges as CANCELLED."""
        now_ns = monotonic_ns()
        for connection in list(self._waiting):
            if connection in self._waiting:
                connection.fail(_CANCELLED, now_ns)

    async def close(self) -> None:
        """Close all connections. Running exchanges end as CANCELLED."""
        self.cancel()
        self._deadlines.stop()
        attempts = list(self._attempts.values())
        for connection in list(self._attempts):
            self._give_up(connection)
        for connection in list(self._open):
            connection.abort()
        if attempts:
            await asyncio.wait(attempts)
        await self._all_lost.wait()

    # --- called by connections --------------------------------------------------------------------------------

    def made(self, connection: Connection) -> None:
        """A connection was made."""
        self._open.add(connection)
        self._all_lost.clear()

    def ended(self, connection: Connection) -> None:
        """An exchange is over; its connection is free or no longer usable."""
        del self._waiting[connection]
        if connection.usable:
            self._idle[connection] = None
        elif self._attempts:
            self._give_up(connection)

    def lost(self, connection: Connection) -> None:
        """A connection has ended."""
        self._idle.pop(connection, None)
        self._open.discard(connection)
        if not self._open:
            self._all_lost.set()

    # --- parts ------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection, position: int, intended_ns: int, request: bytes, done: Done) -> None:
        connection.begin(position, intended_ns, request, done)
        self._waiting[connection] = connection.sent_ns

    def _free(self) -> Connection:
        while self._idle:
            connection = self._idle.popitem()[0]
            if connection.usable:  # otherwise it is about to be lost
                return connection
        return self._new()

    def _late(self, connection: Connection, now_ns: int) -> None:
        connection.fail(_TIMEOUT, now_ns)

    def _new(self) -> Connection:
        self._deadlines.start()
        connection = Connection(self)
        attempt = asyncio.get_running_loop().create_task(self._connect(connection))
        self._attempts[connection] = attempt
        attempt.add_done_callback(partial(self._attempted, connection))
        return connection

    def _give_up(self, connection: Connection) -> None:
        """Cancel the attempt to connect, unless the connection was just made: uvloop would then close it without
        calling connection_lost."""
        attempt = self._attempts.get(connection)
        if attempt is not None and connection not in self._open:
            attempt.cancel()

    def _attempted(self, connection: Connection, attempt: asyncio.Task[None]) -> None:
        del self._attempts[connection]
        error = None if attempt.cancelled() else attempt.exception()
        if error is not None and connection.busy:  # not caused by the service: an error of our own
            connection.fail(_CONNECT_ERROR, monotonic_ns(), error)

    async def _resolve(self) -> None:
        if self._addresses is None:
            loop = asyncio.get_running_loop()
            found = []
            with contextlib.suppress(OSError):  # an unknown name: connections cannot be made
                found = await loop.getaddrinfo(self._host, self._port, type=2)
            addresses = dict.fromkeys(str(address[4][0]) for address in found)
            # decided by the address that will be used: a name can resolve to any address, and to another next time
            host = f"//[{self._host}]" if ":" in self._host else f"//{self._host}"
            self._addresses = tuple(address for address in addresses if elsewhere(host, address) is None)

    async def _connect(self, connection: Connection) -> None:
        """Connect to the address that worked last, otherwise try the others in turn."""
        addresses = self._addresses or ()
        number = 0  # not the error itself: it and this frame would reference each other
        for turn in range(len(addresses)):
            position = (self._reached + turn) % len(addresses)
            try:
                await self._connect_to(addresses[position], connection)
            except OSError as refused:  # TLS errors too
                number = refused.errno or 0
            else:
                self._reached = position
                return
        connection.fail(_CONNECT_ERROR, monotonic_ns(), _own(number, reached=bool(self._open)))

    async def _connect_to(self, address: str, connection: Connection) -> None:
        def made() -> Connection:
            return connection

        loop = asyncio.get_running_loop()
        name = self._host if self._tls is not None else None
        await loop.create_connection(made, address, self._port, ssl=self._tls, server_hostname=name)


def _own(number: int, *, reached: bool) -> MeasurementError | None:
    """The error for an errno that is our own fault, else None. ``reached``: the service has accepted connections."""
    if number in _NO_FILES:
        return MeasurementError(
            "the generator has reached its limit of open files, so no connection can be opened",
            where="ulimit -n",
            hint="Raise it, or lower --concurrency or --max-in-flight",
        )
    if number == errno.EADDRNOTAVAIL and reached:
        return MeasurementError(
            "all local ports are in use, so no connection can be opened",
            where="net.ipv4.ip_local_port_range",
            hint="Let the service keep its connections open, or send less",
        )
    return None

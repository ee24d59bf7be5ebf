"""Sending a plan. The only timing-critical file: nothing here logs, signs or computes a statistic.

Requests have no tasks. Each loop is an object whose methods are called by the event loop: one turn sends what is due,
an answer is written as a row when it comes, and a check every 50 ms sees a stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic_ns
from typing import Protocol

from workbench.load.connection import Connection, Done
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.samples import RowWriter
from workbench.load.waiting import Waiting

Receipt = Callable[[int], bytes]
_OK = CODE_OF[Outcome.OK]
_GRACE_NS = 1_000_000_000
_LOOK_S = 0.05
_BURST = 16
"""The most requests sent before answers are read, so that a burst does not delay the reading."""


class Sender(Protocol):
    """Sends requests, see :class:`workbench.load.client.ReceiptClient`."""

    @property
    def opening(self) -> int:
        """How many connections are being opened."""

    def send(self, position: int, intended_ns: int, receipt: bytes | None, done: Done) -> None:
        """Send one request and call ``done`` when it has ended."""

    def cancel(self) -> None:
        """End all running requests."""


@dataclass
class Progress:
    """Counters that a watcher may read while a step runs. ``stop`` set: nothing more is sent.

    ``spun_ns``, known at the end: CPU time spent waiting, see :mod:`workbench.load.waiting`.
    """

    sent: int = 0
    done: int = 0
    ok: int = 0
    in_flight_max: int = 0
    cap_hits: int = 0
    stop: bool = False
    spun_ns: int = 0


async def drive_open(
    offsets_ns: Sequence[int],
    start_ns: int,
    sender: Sender,
    receipt: Receipt | None,
    rows: RowWriter,
    progress: Progress,
    max_in_flight: int,
    *,
    spin: bool = False,
) -> None:
    """Send request i at ``start_ns + offsets_ns[i]`` whether or not earlier ones were answered.

    With ``max_in_flight`` requests open, sending waits, and this wait is lag; ``progress.cap_hits`` counts such
    requests. ``receipt`` gives each header's value, None sends without. Returns when every answer has come, or soon
    after ``progress.stop``. Raises what ``receipt`` raises: an error of our own ends the step.
    """
    await _OpenLoop(offsets_ns, start_ns, sender, receipt, rows, progress, max_in_flight, spin).run()


async def drive_closed(
    count: int, concurrency: int, sender: Sender, receipt: Receipt | None, rows: RowWriter, progress: Progress
) -> None:
    """Keep ``concurrency`` requests in flight until ``count`` were sent. The intended time is the time of sending.

    Ends and raises like :func:`drive_open`.
    """
    await _ClosedLoop(count, concurrency, sender, receipt, rows, progress).run()


class _Loop:
    """The common part of both loops: rows, stop, and the end of a step."""

    def __init__(
        self, count: int, sender: Sender, receipt: Receipt | None, rows: RowWriter, progress: Progress
    ) -> None:
        self._count = count
        self._sender = sender
        self._receipt = receipt
        self._rows = rows
        self._progress = progress
        self._next = 0
        self._in_flight = 0
        self._error: BaseException | None = None
        self._grace_ends_ns = 0
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._look_timer: asyncio.TimerHandle | None = None
        self._ended = self._answered  # bound methods made once, not for every request

    async def run(self) -> None:
        """Send all; see :func:`drive_open`."""
        try:
            self._look()
            self._turn()
            await self._over
        except asyncio.CancelledError:
            self._progress.stop = True
            self._sender.cancel()
            raise
        finally:
            self._close()
        if self._error is not None:
            raise self._error

    def _turn(self) -> None:
        """Send what is due now."""
        raise NotImplementedError

    def _freed(self) -> None:
        """A request has ended."""
        raise NotImplementedError

    def _send(self, intended_ns: int) -> None:
        position = self._next
        self._next = position + 1
        receipt = None if self._receipt is None else self._receipt(position)
        self._in_flight += 1
        try:
            self._sender.send(position, intended_ns, receipt, self._ended)
        except BaseException:
            self._in_flight -= 1
            raise
        self._progress.sent += 1

    def _answered(self, seen: Connection) -> None:
        self._in_flight -= 1
        if seen.error is None:
            self._rows.write(seen)
            progress = self._progress
            progress.done += 1
            if seen.outcome == _OK:
                progress.ok += 1
        else:
            self._fail(seen.error)
        if self._progress.stop or self._next >= self._count:
            if not self._in_flight:
                self._finish()
        else:
            self._freed()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._progress.stop = True
        if not self._in_flight:
            self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _close(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()

    def _look(self) -> None:
        """Check for a stop, and end requests that are unanswered a second after it."""
        if self._progress.stop:
            now_ns = monotonic_ns()
            self._grace_ends_ns = self._grace_ends_ns or now_ns + _GRACE_NS
            if not self._in_flight:
                self._finish()
            elif now_ns >= self._grace_ends_ns:
                self._sender.cancel()
        self._look_timer = self._loop.call_later(_LOOK_S, self._look)


class _OpenLoop(_Loop):
    """Sends by an absolute plan."""

    def __init__(
        self,
        offsets_ns: Sequence[int],
        start_ns: int,
        sender: Sender,
        receipt: Receipt | None,
        rows: RowWriter,
        progress: Progress,
        max_in_flight: int,
        spin: bool,
    ) -> None:
        super().__init__(len(offsets_ns), sender, receipt, rows, progress)
        self._offsets = offsets_ns
        self._start_ns = start_ns
        self._max_in_flight = max_in_flight
        self._capped = -1  # the index of a request that waits for a slot
        self._asleep = False  # until a slot is free
        self._waiting = Waiting(self._loop, self._turn, spin=spin)

    def _turn(self) -> None:
        try:
            self._send_due()
        except Exception as error:
            self._fail(error)

    def _send_due(self) -> None:
        """Send what is due, then wait for the next."""
        progress, burst = self._progress, 0
        while self._next < self._count and not progress.stop:
            due_ns = self._start_ns + self._offsets[self._next]
            if due_ns > monotonic_ns():
                if burst:
                    break  # let the loop do its other work first
                if not self._waiting.until(due_ns, brief=self._sender.opening > 0):
                    return
            if self._in_flight >= self._max_in_flight:
                progress.cap_hits += self._capped != self._next
                self._capped = self._next
                self._asleep = True
                return
            if burst == _BURST:
                break
            self._send(due_ns)
            burst += 1
            if self._in_flight > progress.in_flight_max:
                progress.in_flight_max = self._in_flight
        if self._next < self._count and not progress.stop:
            self._loop.call_soon(self._turn)

    def _freed(self) -> None:
        if self._asleep:
            self._asleep = False
            self._loop.call_soon(self._turn)

    def _close(self) -> None:
        super()._close()
        self._waiting.cancel()
        self._progress.spun_ns = self._waiting.spun_ns


class _ClosedLoop(_Loop):
    """Keeps as many in flight as allowed."""

    def __init__(
        self,
        count: int,
        concurrency: int,
        sender: Sender,
        receipt: Receipt | None,
        rows: RowWriter,
        progress: Progress,
    ) -> None:
        super().__init__(count, sender, receipt, rows, progress)
        self._owed = progress.in_flight_max = min(concurrency, count)
        self._sending = False

    def _turn(self) -> None:
        self._sending = True  # requests that end meanwhile are replaced here: calls must not nest
        try:
            burst = 0
            while self._owed and self._next < self._count and not self._progress.stop:
                if burst == _BURST:
                    self._loop.call_soon(self._turn)
                    break
                self._owed -= 1
                self._send(0)
                burst += 1
        except Exception as error:
            self._fail(error)
        finally:
            self._sending = False

    def _freed(self) -> None:
        self._owed += 1
        if not self._sending:
            self._turn()

"""The time of denial, from the database: LISTEN on the denylist's notifications.

The tap-agent writes a payer into the denylist, and a trigger notifies the listeners. The service is one of them and
refuses the payer's next receipt. This module gets the same notification, before any client sees a refusal.

It listens in a separate thread: in an event loop that also reads metrics, a notification would have to wait, and denial
comes within milliseconds of the receipt that causes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.service.postgres import PostgresDatabase, connected

if TYPE_CHECKING:
    import psycopg

CHANNELS = {2: "tap_horizon_deny_notification", 1: "scalar_tap_deny_notification"}
RECONNECT_S = 1.0
_POLL_S = 0.1
_JOIN_S = 6.0


@dataclass(frozen=True)
class Change:
    """A payer (40 hex digits) entered the denylist (``denied``) or left it.

    Times are when the notification arrived. ``late``: it was found by reading the table after the connection had been
    lost, so it happened earlier.
    """

    payer: str
    denied: bool
    wall_ns: int
    monotonic_ns: int
    late: bool = False


class DenylistWatch:
    """The ``changes`` so far, in their order, and ``notes`` on what could not be received."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.notes: list[str] = []

    def denied_ns(self, payer: bytes, since_ns: int) -> int | None:
        """When ``payer`` was first denied at or after ``since_ns``, on the monotonic clock; None if no notification
        came, or if it came late."""
        for change in tuple(self.changes):
            if change.payer == payer.hex() and change.denied and change.monotonic_ns >= since_ns:
                return None if change.late else change.monotonic_ns
        return None


OnChange = Callable[[Change], None]
OnNote = Callable[[str], None]


@asynccontextmanager
async def watching_denylist(
    url: str, *, version: int, on_change: OnChange | None = None, on_note: OnNote | None = None
) -> AsyncIterator[DenylistWatch]:
    """Listen to the denylist of the database at ``url`` while the context is open.

    ``on_change`` and ``on_note`` are called in the event loop. The watch never raises: if the database cannot be
    reached or the connection is lost, it writes one note and tries to connect again.
    """
    watch, loop = DenylistWatch(), asyncio.get_running_loop()

    def tell(call: Callable[[Any], None] | None, what: Any) -> None:
        if call is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(call, what)

    def changed(change: Change) -> None:
        watch.changes.append(change)
        tell(on_change, change)

    def noted(note: str) -> None:
        watch.notes.append(note)
        tell(on_note, note)

    listener = _Listener(url, version, changed, noted)
    thread = threading.Thread(target=listener.run, name="denylist", daemon=True)
    thread.start()
    try:
        # notifications from now on are received; a database that does not answer must not delay the run
        await asyncio.to_thread(listener.begun.wait, _JOIN_S)
        yield watch
    finally:
        listener.stop.set()
        await asyncio.to_thread(thread.join, _JOIN_S)


class _Listener:
    """The thread: connects and listens, and connects again after a loss, until it is told to stop."""

    def __init__(self, url: str, version: int, changed: OnChange, noted: OnNote) -> None:
        self._url = url
        self._version = version
        self._changed = changed
        self._noted = noted
        self._known: frozenset[str] | None = None
        self.begun = threading.Event()  # it listens, or could not connect
        self.stop = threading.Event()

    def run(self) -> None:
        lost = False
        while not self.stop.is_set():
            try:
                with connected(self._url) as connection:
                    connection.execute(f"LISTEN {CHANNELS[self._version]}".encode())
                    self._catch_up(connection)
                    self.begun.set()
                    if lost:
                        self._noted("The database answers again: denial is watched as before")
                    lost = False
                    while not self.stop.is_set():
                        self._listen(connection, _POLL_S)
            except WorkbenchError as error:
                if not lost and not self.stop.is_set():
                    self._noted(f"Denial cannot be seen in the database until it answers again: {error}")
                lost = True
            self.begun.set()
            self.stop.wait(RECONNECT_S)

    def _listen(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        for notification in connection.notifies(timeout=seconds):
            self._hear(notification.payload, time.time_ns(), time.monotonic_ns())

    def _catch_up(self, connection: psycopg.Connection[Any]) -> None:
        """Read the denylist: changes during a loss of the connection sent no notification."""
        now = PostgresDatabase(self._url).denied(version=self._version)
        if self._known is None:
            self._known = now
            return
        self._listen(connection, 0)  # notifications since LISTEN have their own time, and may be in the table too
        wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        before, self._known = self._known, now
        for payer in sorted(now ^ before):
            self._changed(Change(payer, payer in now, wall_ns, monotonic_ns, late=True))

    def _hear(self, payload: str, wall_ns: int, monotonic_ns: int) -> None:
        try:
            facts = json.loads(payload)
            operation, payer = facts["tg_op"], facts["sender_address"]
            denied = {"INSERT": True, "DELETE": False}[operation]
            payer = bytes.fromhex(payer.strip().removeprefix("0x")).hex()
        except (ValueError, KeyError, TypeError, AttributeError):
            self._noted(f"A notification of the denylist could not be read: {payload[:100]!r}")
            return
        known = self._known or frozenset()
        if (payer in known) == denied:
            return  # the table already showed this change
        self._known = known | {payer} if denied else known - {payer}
        self._changed(Change(payer, denied, wall_ns, monotonic_ns))

"""Waits for a due time more exactly than an event loop's timers, which tick in milliseconds.

For the last 3 ms it polls the loop's own descriptor with a timeout in microseconds: an answer ends the wait, so it is
read at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable
from time import monotonic_ns

SPIN_NS = 200_000
"""How long before a due time ``spin`` waits without sleeping."""
_TIMER_NS = 3_000_000
_EARLY_NS = 2_000_000  # timers of uvloop are up to 1 ms early, and up to 1 ms late
_BRIEF_NS = 100_000


class Waiting:
    """Waits for one due time after another on a loop.

    A sleeping process wakes some 60 µs late, on virtual machines sometimes much later. ``spin`` waits the last SPIN_NS
    without sleeping; ``spun_ns`` is the time spent so. Only uvloop gives its poll descriptor; on other loops the wait
    is only as exact as their timers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[], None], *, spin: bool) -> None:
        self._loop = loop
        self._wake = wake
        self._spin = spin
        self._timer: asyncio.TimerHandle | None = None
        self._polled = _polled(loop)
        self.spun_ns = 0

    @property
    def exact(self) -> bool:
        """Whether waits are more exact than the loop's timers."""
        return bool(self._polled)

    def until(self, due_ns: int, *, brief: bool) -> bool:
        """Whether ``due_ns`` has come. Otherwise ``wake`` is called later, perhaps too early: then call this again.

        ``brief``: wait in pieces of 100 µs, since the loop has work that its descriptor does not show (a connection is
        being made).
        """
        wait_ns = due_ns - monotonic_ns()
        if wait_ns <= 0:
            return True
        if wait_ns > _TIMER_NS:
            self._timer = self._loop.call_later((wait_ns - _EARLY_NS) / 1e9, self._wake)
            return False
        if not self._polled:
            if wait_ns > SPIN_NS:
                self._timer = self._loop.call_later(wait_ns / 1e9, self._wake)
                return False
        elif brief and wait_ns > _BRIEF_NS:
            self._something_to_read(_BRIEF_NS)
        elif not self._something_to_read(wait_ns - SPIN_NS * self._spin) and (not self._spin or self._spun(due_ns)):
            return True
        self._loop.call_soon(self._wake)
        return False

    def cancel(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()

    def _something_to_read(self, wait_ns: int) -> bool:
        return bool(select.select(self._polled, (), (), max(wait_ns, 0) / 1e9)[0])

    def _spun(self, due_ns: int) -> bool:
        """Wait without sleeping; False as soon as there is something to read."""
        began_ns = now_ns = monotonic_ns()
        quiet = True
        while quiet and now_ns < due_ns:
            quiet = not self._something_to_read(0)
            now_ns = monotonic_ns()
        self.spun_ns += now_ns - began_ns
        return quiet


def _polled(loop: asyncio.AbstractEventLoop) -> tuple[int, ...]:
    """The descriptor that is ready when the loop has something to read; None if it is not available or cannot be
    polled."""
    descriptor: int = getattr(loop, "_get_backend_id", lambda: -1)()  # private API of uvloop
    if descriptor < 0:
        return ()
    with contextlib.suppress(OSError, ValueError):  # select accepts only descriptors below 1,024
        select.select((descriptor,), (), (), 0)
        return (descriptor,)
    return ()

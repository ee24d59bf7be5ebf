"""Time limits without a timer each: all requests have the same limit, so they expire in the order they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_NS = 50_000_000


class Deadlines(Generic[T]):
    """Requests in flight in order of their start, each with its monotonic start time in nanoseconds.

    The user of this class fills and empties ``waiting`` directly, since it is on the timed path; a dict keeps its
    order. One timer checks the oldest; requests older than ``limit_ns`` are passed to ``expire`` with the time.
    """

    def __init__(self, limit_ns: int, expire: Callable[[T, int], None]) -> None:
        self.waiting: dict[T, int] = {}
        self._limit_ns = limit_ns
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer. Call from within the loop."""
        if self._timer is None:
            self._look()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sweep(self, now_ns: int) -> int | None:
        """Expire what is due; returns when the next is due, or None if nothing is in flight."""
        late = []
        due_ns = None
        for item, began_ns in self.waiting.items():
            if began_ns + self._limit_ns > now_ns:
                due_ns = began_ns + self._limit_ns
                break
            late.append(item)
        for item in late:
            if item in self.waiting:  # what expires may end others
                self._expire(item, now_ns)
        return due_ns

    def _look(self) -> None:
        now_ns = monotonic_ns()
        due_ns = self.sweep(now_ns)
        # a request that starts after this check is due a full limit later, so none is missed
        wait_ns = min(_LOOK_NS, self._limit_ns)
        if due_ns is not None:
            wait_ns = min(wait_ns, due_ns - now_ns)
        self._timer = asyncio.get_running_loop().call_later(max(wait_ns, 1_000_000) / 1e9, self._look)

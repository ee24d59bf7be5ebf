"""Sends answers a fixed time after their request was read.

The delay is the same for all, so answers are due in the order of their requests: one queue and one timer serve all
connections. Event loops tick in milliseconds, too coarse for a 2 ms answer. So on Linux the timer is a timerfd
(timerfd_create(2)), which is exact to some 50 µs; elsewhere it is the loop's own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections import deque
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_AT_ABSOLUTE_TIME = 1


class Delayed:
    """The reply of a server with the delay ``delay_ns``. See :data:`workbench.nullserver.protocol.Reply`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._due: deque[tuple[int, asyncio.Transport, bytes, bool]] = deque()
        alarm = TimerFd if sys.platform == "linux" else LoopTimer
        self._alarm: TimerFd | LoopTimer = alarm(loop, self._ring)

    def __call__(self, transport: asyncio.Transport, answer: bytes, last: bool) -> None:
        due_ns = time.monotonic_ns() + self._delay_ns
        if not self._due:
            self._alarm.set(due_ns)
        self._due.append((due_ns, transport, answer, last))

    def close(self) -> None:
        """Stop sending."""
        self._due.clear()
        self._alarm.close()

    def _ring(self) -> None:
        due = self._due
        while due and due[0][0] <= time.monotonic_ns():
            _, transport, answer, last = due.popleft()
            if not transport.is_closing():
                transport.write(answer)
                if last:
                    transport.close()
        if due:
            self._alarm.set(due[0][0])


class LoopTimer:
    """A timer of the event loop, as exact as the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        """Fire at a time of the monotonic clock."""
        self._handle = self._loop.call_later(max(0.0, (due_ns - time.monotonic_ns()) / 1e9), self._ring)

    def close(self) -> None:
        """Stop the timer."""
        if self._handle is not None:
            self._handle.cancel()


class _Time(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class TimerFd:
    """A timer of the Linux kernel as a file that becomes readable (timerfd_create(2)); Python has it from 3.13 on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._loop, self._ring = loop, ring
        self._setting = _Setting()
        self._pointer = ctypes.byref(self._setting)
        loop.add_reader(self._file, self._fired)

    def set(self, due_ns: int) -> None:
        """Fire at a time of the monotonic clock."""
        self._setting.value.tv_sec, self._setting.value.tv_nsec = divmod(due_ns, 1_000_000_000)
        self._libc.timerfd_settime(self._file, _AT_ABSOLUTE_TIME, self._pointer, None)

    def close(self) -> None:
        """Stop the timer."""
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _fired(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # the timer was set again meanwhile
            return
        self._ring()

"""Samples all threads: each thread's used CPU time is charged to its current stack.

The CPU time that a thread used is added to what it owes. For each whole period owed, its stack gets one sample; the
rest stays owed. So samples x period is the CPU time of the process's Python threads, even if ticks are irregular. Only
the share of each stack is an estimate, as with any sampler.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

from workbench.profilers.sampler.clocks import CpuClock
from workbench.profilers.sampler.report import Function, Stack
from workbench.profilers.sampler.stacks import Functions, TaskNames, running_loop, thread_name

MOST_STACKS = 50_000
"""The most different stacks, some 50 MB at worst; further ones are counted by their leaf function only."""


class Collector:
    """Adds up samples. :meth:`look` may be called from a signal handler, at any point of the program."""

    def __init__(self, period_ns: int, clock: CpuClock, hidden: Callable[[], set[int]]) -> None:
        self._period_ns = period_ns
        self._clock = clock
        self._hidden = hidden  # idents of the sampler's own threads
        self._functions = Functions()
        self._tasks = TaskNames()
        self._counts: dict[tuple[str, str, tuple[int, ...]], int] = {}
        self._owed: dict[int, int] = {}
        self._names: dict[int, str] = {}
        # a handler cannot wait for the thread that it interrupts; skipped time stays owed
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start counting CPU time now."""
        with self._lock:
            frames = self._frames()
            self._clock.spent(frames, frames)

    def look(self, interrupted: FrameType | None = None, *, spared: int | None = None) -> None:
        """Charge every thread except ``spared``. ``interrupted``: the frame in which a signal handler was called."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._look(interrupted, spared)
        finally:
            self._lock.release()

    def _look(self, interrupted: FrameType | None, spared: int | None) -> None:
        frames = self._frames()
        here = threading.get_ident()
        if interrupted is not None:
            frames[here] = interrupted
        functions, period = self._functions, self._period_ns
        working = [ident for ident, frame in frames.items() if not functions.waits(functions.number(frame))]
        spent = self._clock.spent(frames, working)
        for ident, nanoseconds in spent.items():
            owed = self._owed.get(ident, 0) + nanoseconds
            self._owed[ident] = owed
            if owed < period or ident == spared:
                continue
            frame = frames[ident]
            self._names[ident] = thread_name(ident)
            # Only for the interrupted thread is a waiting function real work: the selector costs time, too.
            if ident not in working and not (ident == here and 2 * nanoseconds >= period):
                continue
            task = self._tasks.running(running_loop()) if ident == here and interrupted is not None else ""
            self._charge(ident, task, functions.stack(frame))
        if len(self._owed) > len(spent):
            for ident in self._owed.keys() - frames.keys():
                self._settle(ident)
                del self._owed[ident]
                self._names.pop(ident, None)

    def taken(self) -> tuple[tuple[Function, ...], tuple[Stack, ...]]:
        """Functions and stacks so far. CPU time of threads that were never found working is charged to a separate
        frame, ``[worked between samples]``."""
        with self._lock:
            for ident in self._owed:
                self._settle(ident)
            counts, functions = self._counts.copy(), tuple(self._functions.table)
        return functions, tuple(Stack(*key, count) for key, count in counts.items())

    def _settle(self, ident: int) -> None:
        self._charge(ident, "", (self._functions.unseen,))

    def _charge(self, ident: int, task: str, stack: tuple[int, ...]) -> None:
        samples, rest = divmod(self._owed[ident], self._period_ns)
        if not samples:
            return
        self._owed[ident] = rest
        key = (self._names.get(ident) or thread_name(ident), task, stack)
        if key not in self._counts and len(self._counts) >= MOST_STACKS:
            key = (key[0], "", (stack[0], self._functions.cut))
        self._counts[key] = self._counts.get(key, 0) + samples

    def _frames(self) -> dict[int, FrameType]:
        frames = sys._current_frames()
        for ident in self._hidden():
            frames.pop(ident, None)
        return frames

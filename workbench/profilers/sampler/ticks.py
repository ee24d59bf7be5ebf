"""When to sample: at a signal of the CPU timer if available, otherwise in a thread that wakes by the clock.

The difference matters: a sampling thread runs only when the sampled one releases the interpreter lock, at the end of
its work, in the selector. Measured with a service under uvloop, such a thread found 1 % of the time in a function that
took 62 %; the signal found 64 %. See docs/profiling.md.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from workbench.profilers.sampler.stacks import running_loop

if TYPE_CHECKING:
    import asyncio

Failed = Callable[[Exception], None]

_ASK_EVERY = 64
_SLOWER = 1.1
_MOST_SLOWER = 100
_GUARD_PERIODS = 4


class Look(Protocol):
    """Takes a sample: see :meth:`workbench.profilers.sampler.collector.Collector.look`."""

    def __call__(self, interrupted: FrameType | None = None, *, spared: int | None = None) -> None: ...


class Ticks(Protocol):
    """Calls a Look about every period, from :meth:`start` to :meth:`stop`."""

    what: str

    def start(self) -> None:
        """Start; may be called from any thread."""

    def stop(self) -> None:
        """Stop; may be called from any thread."""

    def idents(self) -> set[int]:
        """The idents of its own threads."""


class SignalTicks:
    """ITIMER_PROF and SIGPROF: a tick for each period of used CPU time, none while the process is idle.

    Python runs the handler in the main thread, between two bytecodes, so it sees where the main thread works. If only
    other threads work, the signal may not wake the main thread; then a guard thread samples the others.
    """

    what = "SIGPROF (CPU time)"

    def __init__(self, frequency: int, look: Look, failed: Failed) -> None:
        """Installs the handler. Only in the main thread, and only if :func:`signal_is_free`."""
        self._period_s = 1 / frequency
        self._look = look
        self._failed = failed
        self._pid = os.getpid()
        self._stopped = False
        self._breath = _Breath(self._set_timer)
        self._main = threading.get_ident()
        self._handling = self._looked = False
        self._used_s = 0.0
        self._guard = ThreadTicks(frequency, self._look_at_others, failed)
        signal.signal(signal.SIGPROF, self._on_signal)
        # restart system calls instead of failing with EINTR
        signal.siginterrupt(signal.SIGPROF, False)

    def start(self) -> None:
        """Start the timer and the guard."""
        self._set_timer(1)
        self._guard.start()

    def stop(self) -> None:
        """Stop the timer. The signal is ignored from then on: one may still be pending, and its default would kill the
        process."""
        self._stopped = True
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._guard.stop()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def idents(self) -> set[int]:
        """The guard's."""
        return self._guard.idents()

    def _set_timer(self, slower: float) -> None:
        if not self._stopped:
            signal.setitimer(signal.ITIMER_PROF, self._period_s * slower, self._period_s * slower)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # the next signal may come while this one is handled
        if self._handling or self._stopped or os.getpid() != self._pid:
            return
        self._handling = True
        try:
            self._looked = True
            self._look(frame)
            self._breath.tick(running_loop())
        except Exception as error:
            self.stop()
            self._failed(error)
        finally:
            self._handling = False

    def _look_at_others(self, interrupted: FrameType | None = None, *, spared: int | None = None) -> None:
        used_s = time.process_time()
        needed = not self._looked and used_s - self._used_s >= self._period_s
        if needed:
            self._look(spared=self._main)
        self._looked, self._used_s = False, used_s
        self._guard.period_s = self._period_s * (1 if needed else _GUARD_PERIODS)


class _Breath:
    """Makes ticks rarer while the event loop is blocked.

    Each signal writes a byte into the loop's self-pipe, which only the loop empties and which holds a few hundred. If
    it is full, the byte of a SIGTERM is lost, and asyncio complains on stderr. CPU time stays owed, so none is lost;
    when the loop runs again, at most a tenth of the blocked time is charged to what runs then.
    """

    def __init__(self, set_timer: Callable[[float], None]) -> None:
        self._set_timer = set_timer
        self._asked: asyncio.AbstractEventLoop | None = None
        self._ticks = 0

    def tick(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Called after a sample, with the loop of the main thread."""
        self._ticks += 1
        if self._asked is not None and self._asked is not loop:
            self._answered()
        elif self._asked is not None and self._ticks > _ASK_EVERY:
            self._set_timer(_SLOWER ** min(self._ticks - _ASK_EVERY, _MOST_SLOWER))
        elif self._asked is None and loop is not None and self._ticks >= _ASK_EVERY:
            self._asked, self._ticks = loop, 0
            loop.call_soon_threadsafe(self._answered)

    def _answered(self) -> None:
        if self._ticks > _ASK_EVERY:
            self._set_timer(1)
        self._asked, self._ticks = None, 0


class ThreadTicks:
    """A thread that wakes by the clock, for processes in which the signal is not available."""

    what = "a thread (wall clock)"

    def __init__(self, frequency: int, look: Look, failed: Failed) -> None:
        self.period_s = 1 / frequency
        self._look = look
        self._failed = failed
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler ticks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def idents(self) -> set[int]:
        """The thread's."""
        ident = self._thread.ident
        return set() if ident is None else {ident}

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while True:
                # missed ticks are not repeated: CPU time stays owed
                due = max(due + self.period_s, time.monotonic())
                if self._end.wait(due - time.monotonic()):
                    return
                self._look()
        except Exception as error:
            self._failed(error)


def signal_is_free() -> bool:
    """Whether SIGPROF and its timer can be used: only in the main thread, and if nothing else uses them."""
    return (
        hasattr(signal, "SIGPROF")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGPROF) in (signal.SIG_DFL, signal.SIG_IGN)
        and signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    )

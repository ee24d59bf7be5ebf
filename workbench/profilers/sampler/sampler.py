"""The sampler of one service: its thread, start and stop, and reports on request.

Errors here never reach the service: they are logged once, and the service continues.
"""

from __future__ import annotations

import atexit
import logging
import os
import platform
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from workbench.errors import SettingsError
from workbench.profilers.sampler.clocks import CpuClock, best_clock
from workbench.profilers.sampler.collector import Collector
from workbench.profilers.sampler.files import ReportFiles, Snapshot
from workbench.profilers.sampler.report import Report
from workbench.profilers.sampler.stacks import running_loop, waiting_tasks
from workbench.profilers.sampler.ticks import SignalTicks, ThreadTicks, Ticks, signal_is_free

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger("workbench.profilers.sampler")
_MOST_FREQUENT = 1000
_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class _Ask:
    """A request for a report now; the result goes into ``answer``."""

    answer: SimpleQueue[Snapshot | None] = field(default_factory=SimpleQueue)


class _Stop:
    """The end."""


def setup_profiling(
    path: str | os.PathLike[str],
    frequency: int = 150,
    interval: float = 120,
    name: str | None = None,
    *,
    delay: float = 10,
) -> Sampler:
    """Profile this process, starting ``delay`` seconds from now, into the folder ``path`` (made if missing).

    ``frequency`` samples are taken for each second of CPU time. Every ``interval`` seconds, at :meth:`Sampler.stop` and
    at a clean exit, a flame graph and a pprof profile of everything since the start are written. ``name``: the
    service's name, for the picture and the log. Call it from the main thread, before or in the event loop: then samples
    are taken by the CPU timer's signal, and SIGUSR2 requests a report. Otherwise, if these signals are in use, or for a
    second sampler in one process, a thread samples by the clock, which is less exact, and a warning says so.

    Raises SettingsError for invalid numbers. Later errors are only logged.
    """
    if not 1 <= frequency <= _MOST_FREQUENT:
        raise SettingsError(f"expected 1 to {_MOST_FREQUENT} samples per second, found {frequency}", where="frequency")
    if not interval > 0:
        raise SettingsError(f"expected more than 0 seconds, found {interval}", where="interval")
    if not delay >= 0:
        raise SettingsError(f"expected 0 seconds or more, found {delay}", where="delay")
    sampler = Sampler(Path(path), frequency, interval, delay, name or f"process {os.getpid()}", best_clock())
    sampler._start()
    return sampler


class Sampler:
    """The running profiler of this process. Made by :func:`setup_profiling`."""

    def __init__(self, folder: Path, frequency: int, interval: float, delay: float, name: str, clock: CpuClock) -> None:
        self.name = name
        self.folder = folder
        self._frequency = frequency
        self._interval_s = interval
        self._delay_s = delay
        self._clock = clock
        self._pid = os.getpid()
        self._files = ReportFiles(folder, name)
        self._mailbox: SimpleQueue[_Ask | _Stop | Exception] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._collector = Collector(10**9 // frequency, clock, self._own_threads)
        self._ticks: Ticks
        self._loop = running_loop()
        self._began_ns = 0
        self._began = 0.0
        self._failing = False

    def snapshot(self, timeout: float = 60.0) -> Snapshot | None:
        """Write a report now and return its files; None if that failed (see the log) or takes longer.

        During the delay this starts sampling at once. It blocks: in a coroutine use ``await asyncio.to_thread(...)``.
        """
        if not self._alive():
            return None
        ask = _Ask()
        self._mailbox.put(ask)
        try:
            return ask.answer.get(timeout=timeout)
        except Empty:
            return None

    def stop(self) -> None:
        """Stop, with a last report. A second call, or a call in a forked child, does nothing."""
        atexit.unregister(self.stop)
        if not self._alive():
            return
        # here, not in the thread: handlers can only be set in the main thread
        self._ticks.stop()
        self._ignore_requests()
        self._mailbox.put(_Stop())
        self._thread.join(_STOP_S)

    def waiting_tasks(self) -> str:
        """Where the suspended asyncio tasks wait now, as folded stacks that ``workbench.read_folded`` reads.

        They use no CPU time, so they are not in the reports. Uses the loop that ran when profiling was set up,
        otherwise this thread's; "" without a loop.
        """
        loop: asyncio.AbstractEventLoop | None = self._loop or running_loop()
        return "" if loop is None or loop.is_closed() else waiting_tasks(loop)

    def _start(self) -> None:
        try:
            by_signal = signal_is_free()
            kind = SignalTicks if by_signal else ThreadTicks
            self._ticks = kind(self._frequency, self._collector.look, self._mailbox.put)
            if not by_signal:
                self._warn("SIGPROF is not available: a thread samples by the clock, which is less exact")
            if not self._clock.exact:
                self._warn(
                    "this system has no CPU clock per thread: CPU time is divided among the threads that seem to work"
                )
            if not self._take_requests():
                self._warn("SIGUSR2 is not available: reports cannot be requested from outside")
            self._thread.start()
            atexit.register(self.stop)
        except Exception:
            _log.warning("%s: profiling could not be started", self.name, exc_info=True)

    def _run(self) -> None:
        try:
            self._live()
        except Exception:
            self._ticks.stop()
            _log.warning("%s: profiling has ended", self.name, exc_info=True)

    def _live(self) -> None:
        message = self._next_message(time.monotonic() + self._delay_s)
        if isinstance(message, _Stop):
            return
        self._began_ns, self._began = time.time_ns(), time.monotonic()
        self._collector.begin()
        self._ticks.start()
        due = self._began + self._interval_s
        while True:
            if isinstance(message, _Ask):
                message.answer.put(self._report())
            elif isinstance(message, _Stop):
                self._report()
                return
            elif isinstance(message, Exception):
                _log.warning("%s: sampling has ended", self.name, exc_info=message)
            elif time.monotonic() >= due:
                self._report()
                due = max(due + self._interval_s, time.monotonic())
            message = self._next_message(due)

    def _next_message(self, until: float) -> _Ask | _Stop | Exception | None:
        try:
            return self._mailbox.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return None

    def _report(self) -> Snapshot | None:
        """Write a report. A failure is logged once, and again only after a success."""
        try:
            taken_ns, duration_s = time.time_ns(), time.monotonic() - self._began
            functions, stacks = self._collector.taken()
            report = Report(
                functions,
                stacks,
                self._frequency,
                self._began_ns,
                max(1, round(duration_s * 1e9)),
                taken_ns,
                (f"sampler of Indexer Workbench in CPython {platform.python_version()}, ticks by {self._ticks.what}",),
            )
            snapshot = self._files.write(report)
        except Exception as error:
            if not self._failing:
                self._warn(f"no report could be written: {error}")
            self._failing = True
            return None
        self._failing = False
        return snapshot

    def _own_threads(self) -> set[int]:
        ident = self._thread.ident
        return self._ticks.idents() | (set() if ident is None else {ident})

    def _alive(self) -> bool:
        return os.getpid() == self._pid and self._thread.is_alive()

    def _take_requests(self) -> bool:
        free = (
            hasattr(signal, "SIGUSR2")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGUSR2) in (signal.SIG_DFL, signal.SIG_IGN)
        )
        if free:
            signal.signal(signal.SIGUSR2, self._on_request)
            signal.siginterrupt(signal.SIGUSR2, False)
        return free

    def _ignore_requests(self) -> None:
        """Ignore late requests, since the signal's default would kill the service."""
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGUSR2) == self._on_request
        ):
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    def _on_request(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._mailbox.put(_Ask())

    def _warn(self, what: str) -> None:
        _log.warning("%s, profiles in %s: %s", self.name, self.folder, what)

"""Calibrating this machine: the highest rate that it sends in time, for each number of generator processes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.calibration.calibration import Calibration, Offer, Timers, count
from workbench.calibration.search import Search
from workbench.calibration.stored import keep
from workbench.calibration.trial import Bench, Trial, limit_of
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.nullserver.child import null_server
from workbench.runs.alone import alone_on_this_machine
from workbench.runs.folder import utc_now

Say = Callable[[str], None]

MIN_SENT = 1000  # then ten values are above the p99
LOOKED_AT = 2000  # requests to estimate the rate of a closed loop
CONCURRENCY = 32
START_SHARE = 0.125  # of the closed loop's rate: three doublings reach it
_SLEEP_S = 0.001
_SLEEPS = 300


@dataclass(frozen=True)
class Wanted:
    """The goal: the highest rate in time for each number of ``processes``, where lag p99 is at most ``lag_p99_ms`` in
    trials of ``seconds``. ``servers``: processes of the null server (None: one for two generators). The search for
    a number of processes ends after at most ``max_s`` seconds or ``max_trials`` trials."""

    processes: Sequence[int] = (1,)
    lag_p99_ms: float = 1.0
    seconds: float = 2.0
    servers: int | None = None
    max_s: float = 180.0
    max_trials: int = 30


async def calibrate(wanted: Wanted, identity: Mapping[str, Any], runs_dir: Path, say: Say) -> Calibration:
    """Find this machine's rates, and store them in ``runs_dir`` (see :mod:`workbench.calibration.stored`).

    ``say`` gets a line per trial. Cancelling stores the results so far and raises CancelledError. Raises ToolError
    if the null server or a generator ends, RunFolderError if another run is measuring or nothing can be stored.
    """
    offers: list[Offer] = []
    async with alone_on_this_machine():
        timers = await asyncio.to_thread(idle_timers)
        try:
            for processes in wanted.processes:
                async with null_server(wanted.servers or math.ceil(processes / 2)) as server:
                    work = _Work(Bench(server, processes, wanted.lag_p99_ms), wanted, say)
                    try:
                        await work.look()
                    finally:
                        offers += work.offer()
        finally:
            found = Calibration(dict(identity), wanted.lag_p99_ms, wanted.seconds, timers, tuple(offers))
            if offers:
                keep(runs_dir, found)
    return found


def idle_timers() -> Timers:
    """How late this thread wakes from sleeps of 1 ms: no generator on this machine can be more exact."""
    late_ms = []
    for _ in range(_SLEEPS):
        began = time.perf_counter()
        time.sleep(_SLEEP_S)
        late_ms.append(1e3 * (time.perf_counter() - began - _SLEEP_S))
    p50, p99 = np.percentile(late_ms, (50, 99))
    return Timers(float(p50), float(p99), max(late_ms))


class _Work:
    """The search for one number of processes, and what it has found so far."""

    def __init__(self, bench: Bench, wanted: Wanted, say: Say) -> None:
        self._bench, self._wanted, self._say = bench, wanted, say
        self._closed: Trial | None = None
        self._search: Search | None = None
        self._trials: dict[float, list[Trial]] = {}

    async def look(self) -> None:
        """Try rates until the highest one that is sent in time is found, or time or trials are used up."""
        until = time.monotonic() + self._wanted.max_s
        self._closed = closed = await self._closed_loop()
        self._tell(f"closed loop: {closed.sent_per_s:,.0f}/s, {closed.cpu_us:.0f} µs of CPU a request", closed)
        self._search = Search(_start(closed.sent_per_s), max_trials=self._wanted.max_trials)
        while (rate := self._search.upcoming()) is not None and time.monotonic() < until:
            receipts = max(MIN_SENT, round(rate * self._wanted.seconds))
            trial = await self._bench.attempt(OpenPlan(receipts, rate))
            self._trials.setdefault(rate, []).append(trial)
            self._search = self._search.tried(rate, not trial.spoilt)
            word = trial.spoilt or f"in time, lag p99 {trial.lag_p99_ms:.2f} ms"
            self._tell(f"{rate:,.0f}/s: {word}", trial)

    def offer(self) -> list[Offer]:
        """The result in a list, which is empty if not even the closed loop ended."""
        closed, search = self._closed, self._search
        if closed is None or search is None:
            return []
        rate = search.found if search.complete else search.at_least
        passed = [trial for trial in self._trials.get(rate, ()) if not trial.spoilt]
        limited_by, why = limit_of(self._trials, rate)
        return [
            Offer(
                processes=self._bench.processes,
                rate_per_s=rate,
                complete=search.complete,
                lag_p50_ms=_median([trial.lag_p50_ms for trial in passed]),
                lag_p99_ms=_median([trial.lag_p99_ms for trial in passed]),
                cpu_us=_median([trial.cpu_us for trial in passed]),
                closed_per_s=closed.sent_per_s,
                closed_cpu_us=closed.cpu_us,
                limited_by=limited_by,
                why=why,
                trials=len(search.trials),
                other_cores=_median([trial.other_cores for trials in self._trials.values() for trial in trials]),
                made=utc_now(),
            )
        ]

    async def _closed_loop(self) -> Trial:
        """The rate of a closed loop: estimated briefly, then measured for the length of a trial."""
        concurrency = CONCURRENCY * self._bench.processes
        short = await self._bench.attempt(ClosedPlan(LOOKED_AT * self._bench.processes, concurrency))
        receipts = max(LOOKED_AT, round(short.sent_per_s * self._wanted.seconds))
        return await self._bench.attempt(ClosedPlan(receipts, concurrency))

    def _tell(self, line: str, trial: Trial) -> None:
        server = f" (the null server used {trial.server_percent:.0f} % of a core)" if trial.of_server else ""
        self._say(f"{count(self._bench.processes)}: {line}{server}")


def _start(closed_per_s: float) -> float:
    """The rate at which doubling begins: three doublings below a closed loop's rate, rounded to two digits."""
    rate = max(Search.lowest, START_SHARE * closed_per_s)
    return float(f"{rate:.2g}")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan

"""Processes and metrics beside the load, on the run's clock."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil

from workbench.errors import TargetError
from workbench.receipts.address import checksum
from workbench.service.agent import fees_of
from workbench.service.connect import Target
from workbench.service.metrics import Reading, scrape

if TYPE_CHECKING:
    import pandas as pd

INTERVAL_S = 0.5
LONGEST_S = 10.0
LOOKS = 1000
SCRAPE_EVERY = 2
MOST_ROWS = 500_000
"""The most rows that are kept of a step, some 200 MB: the metrics of two services in the longest possible step. After
that only rows of processes are kept, which are few."""
BEFORE = -1
"""The step number of rows before the first step."""
COLUMNS = ("t_s", "step", "source", "metric", "labels", "value")


def pause_s(elapsed_s: float, least_s: float) -> float:
    """How long to wait before the next sample of a step that has run for ``elapsed_s``.

    A thousandth of ``elapsed_s``, so that a step of days has not too many samples; from ``least_s`` to LONGEST_S.
    """
    return min(LONGEST_S, max(least_s, elapsed_s / LOOKS))


class Watch:
    """Collects rows (COLUMNS) while it runs. Set ``step`` and ``payer``, and call ``generator``, ``leave_alone`` and
    ``ask_again``, as the run goes on."""

    def __init__(self, target: Target, seconds: Clock) -> None:
        self._target = target
        self._seconds = seconds
        self._processes: dict[str, list[psutil.Process]] = {}
        self.rows: list[tuple[float, int, str, str, str, float]] = []
        self.left_out = 0  # rows of metrics beyond MOST_ROWS
        self.step = BEFORE
        self._scraping = True
        self._asking = asyncio.Lock()  # locked while a service is asked
        self.payer: bytes | None = None
        self.survived_wei: dict[bytes, int] = {}
        by_pid: dict[int, str] = {}
        for source, pid in sorted(target.pids.items(), reverse=True):
            by_pid.setdefault(pid, source)  # service and agent can be one process: it is watched once, as service
        for pid, source in by_pid.items():
            self._add(source, [pid])

    def generator(self, pids: Sequence[int]) -> None:
        """Watch these processes, together, as the generator from now on."""
        if [process.pid for process in self._processes.get("generator", [])] != list(pids):
            self._add("generator", pids)

    async def run(self) -> None:
        """Sample until cancelled."""
        tick, step, began = 0, self.step, time.monotonic()
        while True:
            if self.step != step:
                step, began = self.step, time.monotonic()
            self._sample_processes()
            if tick % SCRAPE_EVERY == 0 and self._scraping:
                async with self._asking:
                    await self._scrape()
            tick += 1
            await asyncio.sleep(pause_s(time.monotonic() - began, INTERVAL_S))

    async def leave_alone(self) -> None:
        """Ask the services nothing from now on, since answering would be in the profile. All earlier questions are
        answered when this returns: under a profiler one page of metrics can take seconds."""
        self._scraping = False
        async with self._asking:
            pass

    def ask_again(self) -> None:
        """The profile is finished: ask the services again."""
        self._scraping = True

    def frame(self) -> pd.DataFrame:
        """All rows so far."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def _add(self, source: str, pids: Sequence[int]) -> None:
        self._processes.pop(source, None)
        if not pids:
            return
        try:
            processes = [psutil.Process(pid) for pid in pids]
            for process in processes:
                process.cpu_percent()  # the first call only sets the starting point
        except psutil.Error:
            return
        self._processes[source] = processes

    def _sample_processes(self) -> None:
        t_s = self._seconds()
        for source, processes in list(self._processes.items()):
            try:
                facts = [_facts(process) for process in processes]
            except psutil.Error:  # one ended: the sum would be incomplete
                del self._processes[source]
                continue
            for metric in facts[0]:
                total = sum(fact[metric] for fact in facts)
                self.rows.append((t_s, self.step, source, metric, "", total))

    async def _scrape(self) -> None:
        for source, url in (
            ("service", self._target.service_metrics_url),
            ("agent", self._target.agent_metrics_url),
        ):
            if url is None:
                continue
            try:
                readings = await scrape(url, f"the {source}'s metrics")
            except TargetError:
                continue  # the load itself will show if the service is gone
            if source == "agent":
                self._note_survived(readings)
            t_s = self._seconds()
            for reading in readings:
                if not self._wanted(reading):
                    continue
                if len(self.rows) >= MOST_ROWS:
                    self.left_out += 1
                else:
                    labels = ",".join(f"{key}={value}" for key, value in reading.labels)
                    self.rows.append((t_s, self.step, source, reading.name, labels, reading.value))

    def _note_survived(self, readings: list[Reading]) -> None:
        """Keep the most fees of the step's payer that the agent held without denying the payer."""
        if self.payer is None:
            return
        fees = fees_of(readings, self.payer, limit=None)
        if not fees.denied:
            self.survived_wei[self.payer] = max(fees.spent, self.survived_wei.get(self.payer, 0))

    def _wanted(self, reading: Reading) -> bool:
        """Only metrics of the step's payer: 64 payers of a stand-in would fill the table."""
        if reading.name.endswith(("_bucket", "_created")):
            return False
        sender = dict(reading.labels).get("sender")
        return sender is None or self.payer is None or sender.lower() == checksum(self.payer).lower()


def _facts(process: psutil.Process) -> dict[str, float]:
    """Raises psutil.Error for a process that has ended."""
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:  # it has ended and has no memory
            raise psutil.ZombieProcess(process.pid)
        return {
            "cpu_percent": process.cpu_percent(),
            "rss_bytes": float(process.memory_info().rss),
            "threads": float(process.num_threads()),
        }


class Clock:
    """Seconds since the run began, also after it was interrupted and resumed (or the machine restarted).

    ``known_s``: the last of an earlier session. Time continues from there if the machine's clock was set back since.
    """

    def __init__(self, run_wall_ns: int, wall_ns: int, monotonic_ns: int, known_s: float = 0.0) -> None:
        self.monotonic_start_ns = monotonic_ns - max(wall_ns - run_wall_ns, math.ceil(known_s * 1e9))

    def __call__(self) -> float:
        return self.at(time.monotonic_ns())

    def at(self, monotonic_ns: int) -> float:
        """The run time of a monotonic clock reading of this session."""
        return (monotonic_ns - self.monotonic_start_ns) / 1e9


@asynccontextmanager
async def watching(watch: Watch) -> AsyncIterator[Watch]:
    """Run ``watch`` while the context is open."""
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

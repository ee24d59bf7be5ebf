"""A Dask cluster of real processes on loopback: a scheduler and workers, as its command line starts them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client, Security

BEYOND_NS = 3600 * 10**9
AHEAD = ("unshare", "--time", "--monotonic", str(BEYOND_NS // 10**9), "--")
"""Before a command: its monotonic clock is an hour ahead, as that of another machine could be."""


@dataclass
class DaskCluster:
    """``address`` of the scheduler; processes by their start, the scheduler first; their output in ``log``."""

    folder: Path
    environment: dict[str, str]
    protocol: str = "tcp"
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What all of them say."""
        return self.folder / "dask.log"

    def kill(self, number: int) -> None:
        """SIGKILL to the scheduler (0) or a worker (from 1): to it alone, not to what it has started."""
        self.processes[number].send_signal(signal.SIGKILL)

    def start(self, module: str, *arguments: str, before: Sequence[str] = ()) -> None:
        """Start one more process."""
        with self.log.open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    [*before, sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    env={**os.environ, **self.environment},
                )
            )

    def add_worker(self, before: Sequence[str] = ()) -> None:
        """One more worker: without a nanny, so that what is killed stays dead."""
        own = self.folder / f"worker-{len(self.processes)}"
        own.mkdir()
        arguments = (
            "--host",
            f"{self.protocol}://127.0.0.1",
            "--nthreads",
            "1",
            "--no-nanny",
            "--memory-limit",
            "512MB",
        )
        self.start("dask_worker", self.address, *arguments, "--local-directory", str(own), before=before)


@contextmanager
def dask_cluster(
    folder: Path,
    workers: int = 4,
    before: Sequence[str] = (),
    security: Security | None = None,
    **environment: str,
) -> Iterator[DaskCluster]:
    """A scheduler and ``workers`` of one thread each, on free ports, without dashboards; with ``security`` over TLS."""
    folder.mkdir(exist_ok=True)
    cluster = DaskCluster(folder, environment, "tcp" if security is None else "tls")
    file = folder / "scheduler.json"
    try:
        cluster.start(
            "dask_scheduler", "--host", f"{cluster.protocol}://127.0.0.1", "--port", "0", "--scheduler-file", str(file)
        )
        with Client(scheduler_file=str(file), security=security, set_as_default=False, timeout=120) as client:
            cluster.address = client.scheduler.address
            for _ in range(workers):
                cluster.add_worker(before)
            if workers:
                client.wait_for_workers(workers, timeout=120)
        yield cluster
    finally:
        for process in cluster.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in cluster.processes:
            process.wait()

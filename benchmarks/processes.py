"""The gain from a second generator process: requests per second of one on one core, and of two on two.

Each core has a null server and the generator that sends to it, both pinned there. So a generator always shares its core
with its server, and a second pair takes nothing from the first one's core: one core is compared with two. Both
generators belong to one step, with one plan and one start, as with `--processes 2`; only the address differs. With a
single server, two generators would share it, and on two cores the server takes a core from one of them. Requests have
no receipts, since those of the first seconds would be signed before the measurement.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness import Measure, arguments, interleave, median_of, table, write
from benchmarks.null_server import null_server
from workbench.load.engines.child import ChildGenerator
from workbench.load.engines.conduct import conduct
from workbench.load.plan import ClosedPlan
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepSpec
from workbench.settings import TargetSettings

RATE, CPU = "requests per second", "client CPU microseconds per request"
ONE, TWO = "one process", "two processes"


@dataclass(frozen=True)
class Pairs:
    """A server address per core, and the task of each generator."""

    servers: Mapping[int, str]
    concurrency: int
    count: int
    folder: Path


def send(pairs: Pairs, workers: int) -> Mapping[str, float]:
    """One step by ``workers`` generators, each beside its own server."""
    settings, cores = TargetSettings(), list(pairs.servers)[:workers]
    spec = StepSpec(
        url="",
        query=settings.query,
        plan=ClosedPlan(pairs.count * workers, pairs.concurrency * workers),
        buffer=pairs.folder / "samples",
        receipt=None,
    )
    buffer = SampleBuffer.create(spec.buffer, spec.plan.count)
    path = f"/subgraphs/id/{settings.deployment}"
    parts = [
        replace(part, url=pairs.servers[core] + path) for part, core in zip(spec.shared(workers), cores, strict=True)
    ]

    def pin(message: dict[str, Any]) -> None:
        if not message["sent"]:  # they are still starting, so their children are pinned too
            for pid, core in zip(message["pids"], cores, strict=False):
                os.sched_setaffinity(pid, {core})

    try:
        report = asyncio.run(conduct([ChildGenerator(part, None) for part in parts], pin))
        good = buffer.paid()
    finally:
        buffer.path.unlink()
    if good != spec.plan.count:
        raise SystemExit(f"only {good} of {spec.plan.count} requests were answered well")
    seconds = (report.ended_ns - report.started_ns) / 1e9
    return {RATE: good / seconds, CPU: report.cpu_s / good * 1e6}


def _parse() -> Any:
    parser = arguments(str(__doc__).splitlines()[0])
    parser.add_argument("--concurrency", type=int, default=32, help="requests in flight of each generator")
    parser.add_argument("--count", type=int, default=100_000, help="how many requests each generator sends, each round")
    return parser.parse_args()


def main(cores: Sequence[int] | None = None) -> int:
    """Measure, print, write."""
    options = _parse()
    cores = sorted(os.sched_getaffinity(0))[:2] if cores is None else cores
    if len(cores) < 2:
        raise SystemExit("two cores are needed to tell what a second process adds")
    with ExitStack() as stack:
        servers = {core: stack.enter_context(null_server(core)) for core in cores}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pairs = Pairs(servers, options.concurrency, options.count, folder)
        rivals: dict[str, Measure] = {ONE: lambda: send(pairs, 1), TWO: lambda: send(pairs, 2)}
        figures = interleave(rivals, options.rounds)
    print(table(figures))
    gain = median_of(figures, TWO, RATE) / median_of(figures, ONE, RATE)
    print(f"two processes: {gain:.2f} times the requests per second of one")
    write(options.out, "processes", figures, gain=gain, concurrency=options.concurrency, count=options.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Do the brackets of a capacity search contain the true capacity, and does the search for the sender limit find it?

``python -m benchmarks.limits`` simulates 500 searches for each kind of noise. ``python -m benchmarks.limits real``
plants sender limits and capacities in running services and searches them. Both print a table.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.analysis.capacity_search import CapacitySearch
from workbench.search.condition import unseen

NOISES = ((0.0, 0.0), (0.01, 0.0), (0.03, 0.02), (0.1, 0.05))
"""Scatter of the capacity between trials (as a share), and how often a trial fails at any rate."""


FRESH = 10_000


@dataclass(frozen=True)
class Simulated:
    """One search for a planted capacity: whether its bracket contains it, the number of trials, and the ratio of the
    bracket's ends."""

    held: bool
    trials: int
    width: float


def simulated(seed: int, noise: float, hiccups: float) -> Simulated:
    """Search a capacity drawn from ``seed``. A trial passes if its rate is at most the capacity, which scatters between
    trials; sometimes it fails by itself. Slightly more than the capacity passes too, as in a real trial of 2 s."""
    generator = np.random.default_rng(seed)
    capacity = math.exp(generator.uniform(math.log(20), math.log(5000)))
    search = CapacitySearch(start=50, unseen=unseen(2.0))
    told = capacity * generator.uniform(1, unseen(2.0))
    while (rate := search.upcoming()) is not None:
        passed = rate <= told * math.exp(noise * generator.standard_normal()) and generator.random() >= hiccups
        search = search.tried(rate, "pass" if passed else "fail")
    found = search.bracket()
    high = math.inf if found.high is None else found.high
    return Simulated(found.low <= capacity <= high, len(search.trials), high / found.low if found.low else math.inf)


def simulate(count: int = 500) -> None:
    """The table of simulated searches. The constants of the search were chosen on the seeds below FRESH."""
    print(f"{'scatter':>8} {'hiccups':>8} {'held the truth':>15} {'trials':>8} {'width':>7}")
    for noise, hiccups in NOISES:
        found = [simulated(seed, noise, hiccups) for seed in range(FRESH, FRESH + count)]
        held = 100 * sum(one.held for one in found) / count
        trials, width = np.mean([one.trials for one in found]), np.median([one.width for one in found])
        print(f"{100 * noise:7.0f}% {100 * hiccups:7.0f}% {held:14.1f}% {trials:8.1f} {width:7.3f}")


async def serve(service_ms: float) -> None:
    """Serve one request at a time, ``service_ms`` each, and print the address; until standard input closes."""
    from aiohttp import web

    from tests.load.servers import GOOD, http_server

    free_at = 0.0

    async def handler(request: web.Request) -> web.Response:
        nonlocal free_at
        clock = asyncio.get_running_loop()
        free_at = max(free_at, clock.time()) + service_ms / 1000
        await asyncio.sleep(free_at - clock.time())
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def one_at_a_time(service_ms: float) -> AsyncIterator[str]:
    """A service in a separate process with the capacity 1000 / service_ms."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.limits", "serve", str(service_ms)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def really(repeats: int = 20) -> None:
    """The table of searches against running services."""
    import workbench

    with tempfile.TemporaryDirectory() as runs:
        for planted in (1, 777, 1000):
            found = [
                (await workbench.find_limit(limit_grt=str(planted / 1000), predict=predict, rate=1500.0, runs_dir=runs))
                for predict in (True, False)
            ]
            said = ", ".join(f"{one.receipts} in {len(one.run.steps)} trials" for one in found)
            print(f"sender limit {planted:5}: found {said} (predicted, searched blindly)", flush=True)
        held = 0
        for number in range(repeats):
            service_ms = 4 + number % 5
            async with one_at_a_time(service_ms) as url:
                one = await workbench.find_limit(
                    capacity=True, target=url, allocation="0x" + "11" * 20, runs_dir=runs, trial_s=2.0
                )
            low, high = one.rates or (0.0, None)
            truth = 1000 / service_ms
            holds = low <= truth <= (math.inf if high is None else high)
            held += holds
            print(
                f"capacity {truth:6.1f}/s: {low:g} to {high}/s, {len(one.run.steps)} trials, "
                f"{'holds' if holds else 'does not hold'}",
                flush=True,
            )
        print(f"{held} of {repeats} brackets hold the truth")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(float(sys.argv[2])))
    elif sys.argv[1:2] == ["real"]:
        asyncio.run(really(*map(int, sys.argv[2:])))
    else:
        simulate()

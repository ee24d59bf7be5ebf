"""The sampler's cost for a service: CPU time of the same work with it, without it, and under other samplers.

The work is the stand-in's: V2 receipts decoded, their signers recovered, answers made, by asyncio tasks on uvloop that
switch after every receipt. Each round runs it once under each sampler, in a separate process. CPU time is that of the
process for the work only, per receipt, without start-up and without the report, whose CPU time is given separately.
py-spy samples from outside, stopping the process for each sample; its own CPU time is given, too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness import arguments, interleave, table, write

FREQUENCY = 150
TARGET = 0.03
CPU, REPORT, ELAPSED, OUTSIDE = "CPU µs per receipt", "CPU ms of a report", "seconds", "CPU seconds of the profiler"
NONE, OURS, PYINSTRUMENT, PY_SPY = "without", "sampler", "pyinstrument", "py-spy"

# run by the interpreter under test, which may be one with pyinstrument in it: {path} is the workbench's site-packages
WORK = """
import asyncio, json, sys, time
sys.path += json.loads(sys.argv[1])
rival, receipts, folder = sys.argv[2], int(sys.argv[3]), sys.argv[4]
import uvloop
from benchmarks.signing import ours_v2
from workbench.receipts import v2
from workbench.receipts.address import parse_address
from workbench.settings import TargetSettings

settings = TargetSettings()
domain = v2.domain(settings.chain_id, parse_address(settings.collector))
header = ours_v2()
HEADERS = [header(nonce) for nonce in range(500)]

async def pay(text):
    signed = v2.decode_header(text)
    answer = json.dumps({"signer": signed.signer(domain).hex(), "value": signed.receipt.value})
    await asyncio.sleep(0)
    return len(answer)

async def client(share):
    return sum([await pay(HEADERS[number % len(HEADERS)]) for number in share])

async def work(n):
    async with asyncio.TaskGroup() as group:
        for first in range(32):
            group.create_task(client(range(first, n, 32)), name="client")

async def main():
    await work(2000)
    sampler = profiler = None
    if rival == "sampler":
        from workbench.profilers.sampler import setup_profiling
        sampler = setup_profiling(folder, 150, delay=0)
        await asyncio.to_thread(sampler.snapshot)
    elif rival == "pyinstrument":
        from pyinstrument import Profiler
        profiler = Profiler(interval=1 / 150)
        profiler.start()
    print("ready", flush=True)
    if rival == "py-spy":
        sys.stdin.readline()
    began, before = time.perf_counter(), time.process_time()
    await work(receipts)
    cpu, seconds = time.process_time() - before, time.perf_counter() - began
    figures = {"CPU µs per receipt": cpu / receipts * 1e6, "seconds": seconds}
    if sampler is not None:
        before = time.process_time()
        await asyncio.to_thread(sampler.snapshot)
        figures["CPU ms of a report"] = (time.process_time() - before) * 1e3
    if profiler is not None:
        profiler.stop()
    print(json.dumps(figures), flush=True)

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


def measure(rival: str, receipts: int, python: Path, py_spy: Path | None) -> dict[str, float]:
    """The figures of one process."""
    with TemporaryDirectory() as folder:
        command = [python, "-c", WORK, json.dumps(sys.path), rival, str(receipts), folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            if child.stdin is None or child.stdout is None:
                raise SystemExit("the child has no pipes")
            if child.stdout.readline() != "ready\n":
                raise SystemExit(f"the work under {rival} did not start")
            spy = None
            if py_spy is not None:
                spy = _spy(py_spy, child.pid, Path(folder))
                child.stdin.write("go\n")
                child.stdin.flush()
            figures: dict[str, float] = json.loads(child.stdout.readline())
            child.wait()
            if spy is not None:
                figures[OUTSIDE] = spy()
    return figures


def _spy(py_spy: Path, pid: int, folder: Path) -> Callable[[], float]:
    """py-spy on a process, after it has started; the result gives py-spy's CPU time when called after the process's
    end."""
    command = [py_spy, "record", "-r", str(FREQUENCY), "-d", "600", "-f", "raw", "-o", folder / "raw", "-p", str(pid)]
    spy = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if spy.stdout is None or "Sampling process" not in spy.stdout.readline():
        spy.kill()
        raise SystemExit("py-spy does not start: it must be allowed to trace")

    def end() -> float:
        import resource

        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        spy.communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return end


def main() -> int:
    """Measure, print, write; 1 when the target is missed."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--receipts", type=int, default=40_000, help="receipts of one process")
    parser.add_argument("--rivals", type=Path, help="bin folder of a virtualenv with py-spy and pyinstrument")
    options = parser.parse_args()
    python = Path(sys.executable)
    rivals = {name: partial(measure, name, options.receipts, python, None) for name in (NONE, OURS)}
    if options.rivals:
        rivals[PYINSTRUMENT] = partial(measure, PYINSTRUMENT, options.receipts, options.rivals / "python", None)
        rivals[PY_SPY] = partial(measure, PY_SPY, options.receipts, python, options.rivals / "py-spy")
    figures = interleave(rivals, options.rounds)
    print(table(figures))
    by_name = {figure.rival: figure.values for figure in figures if figure.quantity == CPU}
    # of each round, since other load on the machine changes between rounds
    overheads = {
        name: [with_it / without - 1 for with_it, without in zip(values, by_name[NONE], strict=True)]
        for name, values in by_name.items()
        if name != NONE
    }
    for name, values in overheads.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name}: {middle:+.1%} CPU time a receipt (rounds: {low:+.1%} to {high:+.1%})")
    write(
        options.out, "sampler", figures, overheads=overheads, target=TARGET,
        receipts=options.receipts, frequency=FREQUENCY,
    )  # fmt: skip
    return 0 if statistics.median(overheads[OURS]) < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

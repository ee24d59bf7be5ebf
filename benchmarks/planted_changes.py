"""Are changes between two builds of a service found, and is nothing reported if nothing changed?

A small service in C takes receipts over HTTP. It is built unchanged, and with one change: a function that does 10 %
more, one more allocation per receipt, one more system call, one more lock, or none. Each build runs under callgrind and
under strace, gets random receipts in steps, and is checked by ``compare`` and the gate with defaults. A result is right
if only the changed function is reported, in the metric of the change.

    python -m benchmarks.planted_changes --repeats 20
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from workbench.compare.comparison import Comparison
from workbench.compare.gate import Gate, gate
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.modes import Mode
from workbench.profilers.open import profiling
from workbench.sides.read import compare
from workbench.sweep.by_hand import run_of_windows

SOURCE = Path(__file__).parent / "planted" / "service.c"
RECEIPTS, STEPS = 60, 3
MODES: tuple[Mode, ...] = ("callgrind", "strace")


@dataclass(frozen=True)
class Change:
    """One planted change: how it is built, its function, and the checks of the gate that must fail."""

    name: str
    flag: str
    function: str
    checks: frozenset[str]


UNCHANGED = Change("nothing", "", "", frozenset())
CHANGES = (
    Change("a function 10 % slower", "-DSLOWER", "hash_receipt", frozenset({"hash_receipt, each call"})),
    Change("one allocation more", "-DALLOCATES", "store_receipt", frozenset({"allocations in store_receipt"})),
    Change(
        "one system call more",
        "-DCALLS",
        "answer",
        frozenset({"system calls in answer", "system calls per receipt", "system calls, getppid"}),
    ),
    Change("one lock more", "-DLOCKS", "store_receipt", frozenset({"locks taken in store_receipt"})),
    UNCHANGED,
)


@dataclass(frozen=True)
class Trial:
    """The result for one pair of builds: the functions of causes, the failed checks, seconds per comparison."""

    functions: frozenset[str]
    failed: frozenset[str]
    seconds: float


def build(folder: Path, change: Change) -> Path:
    """The service with a change, built in a separate folder. Raises CalledProcessError if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "receipts"
    flags = [change.flag] if change.flag else []
    subprocess.run(["gcc", "-g", "-O1", "-pthread", *flags, "-o", str(program), str(SOURCE)], check=True)
    return program


def measured(program: Path, mode: Mode, folder: Path, *, receipts: int = RECEIPTS, steps: int = STEPS) -> Path:
    """A run folder: the program under a profiler, with a window for each of ``steps`` times ``receipts`` receipts."""
    return asyncio.run(_measured(program, mode, folder, receipts, steps))


async def _measured(program: Path, mode: Mode, folder: Path, receipts: int, steps: int) -> Path:
    port = free_port()
    service = LocalService("receipts", (str(program), str(port)), f"http://127.0.0.1:{port}/")
    windows = []
    async with profiling(mode, service=LocalBackend(service, folder / "raw"), out=folder / "raw") as session:
        # so that one-time work of the first receipt is in no window
        await asyncio.to_thread(_send, port, 5)
        for step in range(1, steps + 1):
            async with session.window(f"step-{step}") as cut:
                await asyncio.to_thread(_send, port, receipts)
            windows += cut.windows
    run, _ = run_of_windows(windows, folder / "run", given={f"step-{step}": receipts for step in range(1, steps + 1)})
    return run.path


def _send(port: int, receipts: int) -> None:
    """Receipts one after the other, with values and numbers that are not those of any other time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    for _ in range(receipts):
        receipt = {
            "payer": f"0x{random.getrandbits(160):040x}",
            "nonce": random.getrandbits(random.choice((40, 50, 63))),
            "value": random.randrange(1, 10**15),
        }
        header = json.dumps(receipt, separators=(",", ":"))
        connection.request("POST", "/subgraphs/id/one", headers={"tap-receipt": header})
        answered = connection.getresponse().read()
        if answered != b'{"data":{}}':
            raise SystemExit(f"the service answered {answered!r} to a receipt")
    connection.close()


def judged(before: Path, after: Path) -> tuple[Comparison, Gate, float]:
    """Two runs compared and gated at the default, and how long that took, reading included."""
    began = time.perf_counter()
    found = compare(before, after)
    return found, gate(found), time.perf_counter() - began


def trial(before: Sequence[Path], after: Sequence[Path]) -> Trial:
    """The runs of two builds, a mode each."""
    functions: set[str] = set()
    failed: set[str] = set()
    seconds = []
    for one, other in zip(before, after, strict=True):
        found, checked, took = judged(one, other)
        functions |= set(found.causes["function"])
        failed |= set(checked.failed["name"])
        seconds.append(took)
    return Trial(frozenset(functions), frozenset(failed), max(seconds))


def right(change: Change, found: Trial) -> tuple[bool, bool]:
    """Whether the comparison and the gate each reported only the change."""
    return found.functions == ({change.function} if change.function else set()), found.failed == change.checks


def main() -> None:
    """Build, run, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="planted-"))
    try:
        print(report(folder, options.repeats), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(folder: Path, repeats: int) -> str:
    """The table of all changes, each ``repeats`` times."""
    plain = build(folder / "plain", UNCHANGED)
    programs = {change.name: build(folder / f"build-{number}", change) for number, change in enumerate(CHANGES)}
    counts = {change.name: [0, 0] for change in CHANGES}
    seconds, odd = [], []
    for number in range(repeats):
        before = [measured(plain, mode, folder / f"{number}-plain-{mode}") for mode in MODES]
        for position, change in enumerate(CHANGES):
            place = folder / f"{number}-{position}"
            after = [measured(programs[change.name], mode, place / mode) for mode in MODES]
            found = trial(before, after)
            good = right(change, found)
            for at in (0, 1):
                counts[change.name][at] += good[at]
            if not all(good):
                odd.append(f"{change.name}, repeat {number + 1}: {sorted(found.functions)}, {sorted(found.failed)}")
            seconds.append(found.seconds)
            shutil.rmtree(place, ignore_errors=True)
    lines = ["| planted | compare names it alone | check fails for it alone |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {named} of {repeats} | {failed} of {repeats} |" for name, (named, failed) in counts.items()]
    seconds.sort()
    lines.append("")
    lines.append(f"A comparison took {seconds[len(seconds) // 2]:.2f} s (median), {seconds[-1]:.2f} s at most.")
    return "\n".join([*lines, *odd])


if __name__ == "__main__":
    main()

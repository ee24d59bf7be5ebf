"""Measures tools in turn, several rounds in one run, so that a busy machine affects all of them alike."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.runs.machine import machine, versions

RESULTS = Path(__file__).parent / "results"
WORKBENCH = Path(sys.executable).with_name("workbench")
"""The ``workbench`` command of the environment that runs the benchmark."""

Measure = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Figure:
    """One quantity of one rival over all rounds."""

    rival: str
    quantity: str
    values: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The smallest of the rounds."""
        return min(self.values)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def maximum(self) -> float:
        """The largest of the rounds."""
        return max(self.values)


@dataclass(frozen=True)
class Process:
    """A process's output, and the time and memory it took."""

    output: str
    elapsed_s: float
    cpu_s: float
    peak_bytes: int


def run_process(
    command: Sequence[str | Path],
    stderr: int | None = subprocess.DEVNULL,
    variables: Mapping[str, str] | None = None,
) -> Process:
    """Run a command to its end, with ``variables`` in its environment. ``stderr`` None: it goes to ours. Exits the
    benchmark if the command fails.

    Python compiles its modules in the round that does not count; an environment that forbids storing them would compile
    them again in every round.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment.update(variables or {})
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True) as process:
        if process.stdout is None:
            raise SystemExit("the child has no output")
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    elapsed_s = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return Process(output, elapsed_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def interleave(rivals: Mapping[str, Measure], rounds: int) -> list[Figure]:
    """Measure each tool once per round, in another order each round, after one round that does not count.

    A rival gives the quantities it measured by name, with their units in the name.
    """
    measured: dict[tuple[str, str], list[float]] = {}
    names = list(rivals)
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            for quantity, value in rivals[name]().items():
                if turn:
                    measured.setdefault((name, quantity), []).append(value)
        if turn:
            print(f"round {turn} of {rounds}", file=sys.stderr)
    return [
        Figure(rival, quantity, tuple(values))
        for (rival, quantity), values in sorted(measured.items(), key=lambda item: names.index(item[0][0]))
    ]


def median_of(figures: Sequence[Figure], rival: str, quantity: str) -> float:
    """The median of one quantity of one rival."""
    return next(f.median for f in figures if (f.rival, f.quantity) == (rival, quantity))


def table(figures: Sequence[Figure]) -> str:
    """The figures as lines of plain text."""
    rows: list[tuple[str, ...]] = [("rival", "quantity", "min", "median", "max")]
    rows += [(f.rival, f.quantity, *(f"{value:,.4g}" for value in (f.minimum, f.median, f.maximum))) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count")
    parser.add_argument("--out", type=Path, default=RESULTS / "latest.json", help="JSON file to add the figures to")
    return parser


def write(out: Path, benchmark: str, figures: Sequence[Figure], **facts: Any) -> None:
    """Write the figures of one benchmark into ``out``, beside those of the others."""
    results = json.loads(out.read_text()) if out.exists() else {}
    results[benchmark] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        **facts,
        "figures": [{**asdict(f), "minimum": f.minimum, "median": f.median, "maximum": f.maximum} for f in figures],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")

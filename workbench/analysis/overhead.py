"""The overhead of a profiler: a step under it beside the same step without it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError

# Throughput that changes by no more than this share is called the same.
UNCHANGED = 0.05

_WHY = {
    "callgrind": "callgrind simulates every instruction, and lets one thread run at a time",
    "massif": "massif replaces the allocator and simulates every instruction, and lets one thread run at a time",
    "strace": "strace stops the service twice at every system call",
    "flamegraph": "the sampler interrupts the service some 150 times a second of CPU time",
    "pprofile": "pprofile traces every line of Python as it runs",
}


@dataclass(frozen=True, slots=True)
class Overhead:
    """A profiled step compared with the plain one. Ratios: 1 is unchanged; NaN if one side is not known.

    ``throughput``: accepted receipts per second; below 1 is slower. ``response_p50``, ``response_p99``: latencies;
    above 1 is slower. ``cpu``: CPU time of the service per accepted receipt. ``sentence``: these in words.
    """

    mode: str
    receipts: int
    throughput: float
    response_p50: float
    response_p99: float
    cpu: float
    sentence: str


def overhead(
    profiled: Mapping[str, Any],
    plain: Mapping[str, Any],
    *,
    mode: str,
    cpu_profiled_s: float = math.nan,
    cpu_plain_s: float = math.nan,
) -> Overhead:
    """Compare two steps of one size, given as rows of the steps table; ``cpu_*_s`` is the CPU time the service used.

    In an open loop the rate is planned, so throughput changes only when the service cannot keep up; CPU per receipt
    shows more there. If the plain step is INVALID, its times are the generator's, so only CPU is compared.

    Raises WorkbenchError if the steps do not match.
    """
    for column in ("receipts", "loop"):
        if profiled[column] != plain[column]:
            raise WorkbenchError(
                f"the steps do not match: {column} {profiled[column]} with the profiler, {plain[column]} without",
                where=f"steps {profiled['step']} and {plain['step']}",
                hint="Take the overhead from two steps of the same plan",
            )
    cpu = _ratio(_each(cpu_profiled_s, profiled["accepted"]), _each(cpu_plain_s, plain["accepted"]))
    throughput = _ratio(profiled["throughput_per_s"], plain["throughput_per_s"])
    p50, p99 = (_ratio(profiled[f"response_{name}_ms"], plain[f"response_{name}_ms"]) for name in ("p50", "p99"))
    if plain.get("verdict") == "INVALID":
        throughput = p50 = p99 = math.nan
    sentence = _sentence(mode, int(plain["receipts"]), throughput, p50, p99, cpu)
    return Overhead(mode, int(plain["receipts"]), throughput, p50, p99, cpu, sentence)


def distorted(mode: str) -> str:
    """Why latencies and rates measured under a profiler are not those of the service; "" without one."""
    if mode == "none":
        return ""
    why = _WHY.get(mode)
    said = "The profiler distorts the latencies and rates of this step; no comparison uses them"
    return f"{said}: {why}." if why else f"{said}."


def _sentence(mode: str, receipts: int, throughput: float, p50: float, p99: float, cpu: float) -> str:
    parts = []
    if math.isfinite(cpu):
        parts.append(f"the service used {cpu:.3g} times the CPU per receipt")
    if math.isfinite(p50):
        parts.append(f"the median response was {p50:.3g} times as long")
    if math.isfinite(p99):
        parts.append(f"the 99th percentile {p99:.3g} times")
    if math.isfinite(throughput):
        kept = abs(throughput - 1) <= UNCHANGED
        less = f"throughput was {100 * throughput:.3g} % of that without the profiler"
        parts.append("throughput was the same" if kept else less)
    if not parts:
        return f"The overhead of {mode} is not known: the step without it has no figures to compare."
    return f"Under {mode}, with {receipts:,} receipts: {', '.join(parts)}."


def _each(seconds: float, accepted: float) -> float:
    return seconds / accepted if accepted else math.nan


def _ratio(above: float, below: float) -> float:
    return float(above) / float(below) if below and math.isfinite(above) and math.isfinite(below) else math.nan

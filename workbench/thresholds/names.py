"""What a threshold can name: the figures of a step, of a run, and what a receipt costs under a profiler."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from workbench.errors import SettingsError

Of = Literal["count", "time", "cost", "run"]


@dataclass(frozen=True, slots=True)
class Name:
    """A figure that a threshold can name.

    ``unit``: ms, s, GRT, bytes, share, percent, per second, or "" for a number. ``of``: ``count`` of a step, valid even
    if the generator was late; ``time`` of a step, measured only in valid steps without a profiler; ``cost`` of a
    receipt, measured as ``metric`` under the profiler ``mode``; ``run``: one figure of the whole run.
    """

    name: str
    unit: str
    of: Of
    meaning: str
    mode: str = ""
    metric: str = ""

    @property
    def text(self) -> str:
        """The meaning of a cost with its unit, in words."""
        return self.meaning + (f" ({self.unit})" if self.unit else "")


_PERCENTILES = ("p50", "p90", "p95", "p99", "max")
_UNITS = {"_per_s": "per second", "_ms": "ms", "_s": "s", "_grt": "GRT", "_percent": "percent", "_share": "share"}
_TIMES = {
    "throughput_per_s": "accepted receipts a second",
    "duration_s": "from the first intended time to the last answer",
    "in_flight_mean": "requests in flight on average",
    "warm_up": "accepted receipts in the warm-up",
    "service_cpu_s": "CPU of the service's processes",
}
_COUNTS = {
    "receipts": "asked for",
    "offered": "planned",
    "sent": "put on the wire",
    "accepted": "accepted by the service",
    "denied": "refused because the payer was denied",
    "failed": "neither accepted nor denied",
    "paid": "paid for, according to the answers",
    "counted": "paid for, according to the agent",
    "stored": "found in the database",
    "invalid": "that the agent refused to aggregate",
    "refused_share": "share of sent receipts denied or failed",
    "denied_share": "share of sent receipts denied",
    "failed_share": "share of sent receipts that failed otherwise",
    "unsent_share": "share of planned receipts not sent",
    "lost_share": "share of paid receipts not in the database",
    "aggregated_grt": "aggregated into RAVs",
    "fees_after_grt": "what the payer owed at the end",
    "settle_s": "time until the agent had counted all receipts",
    "first_refusal_s": "time until the first refusal",
    "denial_lag_receipts": "accepted between the limit and the first refusal",
    "denial_lag_s": "time between the limit and the first refusal",
    "denylisted_s": "time until the payer was on the denylist",
    "denylist_lag_s": "time from the limit to the denylist entry",
    "paid_after_denylisted": "sent after the denylist entry, yet accepted",
    "generator_cpu_percent": "CPU of the generator",
    "lag_p50_ms": "lag of the generator, median",
    "lag_p99_ms": "lag of the generator, 99th percentile",
    "lag_max_ms": "lag of the generator, longest",
    "signed_late": "receipts signed in the timed path",
    "signed_anew": "receipts signed twice",
    "closed_idle": "requests that met a closed connection",
    "surplus": "connections that brought unexpected bytes",
    "loop_delay_max_ms": "longest delay of the generator's event loop",
    "loop_held_percent": "share of time the event loop was held up",
    "gc_pauses": "garbage collections of the generator",
    "gc_pause_max_ms": "longest garbage collection",
    "clock_step_ms": "step of the wall clock",
    "preempted": "times the generator was preempted",
    "throttled_ms": "time the generator was throttled by a CPU quota",
    "steal_percent": "CPU stolen by the host",
    "other_cpu_percent": "CPU of other processes",
}
_RUN = {
    "limit_receipts": "receipt at which the limit was observed exactly",
    "limit_error_receipts": "error of the prediction in receipts",
    "valid_steps": "steps that are valid measurements",
    "valid_share": "share of steps that are valid measurements",
}
# name -> profiler mode, metric in the table of costs, unit, meaning
_COSTS = {
    "instructions_per_receipt": ("callgrind", "Ir", "", "instructions"),
    "cycles_per_receipt": ("callgrind", "CEst", "", "estimated cycles"),
    "l1_misses_per_receipt": ("callgrind", "L1m", "", "L1 cache misses"),
    "ll_misses_per_receipt": ("callgrind", "LLm", "", "last-level cache misses"),
    "branch_misses_per_receipt": ("callgrind", "Bm", "", "mispredicted branches"),
    "allocated_bytes_per_receipt": ("massif", "bytes_allocated", "bytes", "allocated, freed or not"),
    "kept_bytes_per_receipt": ("massif", "bytes_kept", "bytes", "growth of the heap"),
    "leak_bytes_per_receipt": ("massif", "leak", "bytes", "kept by places flagged as leaks"),
    "system_calls_per_receipt": ("strace", "calls", "", "system calls"),
    "failed_calls_per_receipt": ("strace", "errors", "", "system calls that failed"),
    "waiting_ms_per_receipt": ("strace", "waiting", "ms", "time in system calls that wait"),
    "working_ms_per_receipt": ("strace", "working", "ms", "time in system calls that work"),
    "cpu_ms_per_receipt": ("flamegraph", "cpu", "ms", "CPU time by samples"),
    "cpu_samples_per_receipt": ("flamegraph", "samples", "", "CPU samples"),
    "python_lines_per_receipt": ("pprofile", "hits", "", "executed lines of Python"),
}


def _unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _all() -> dict[str, Name]:
    clocks = {
        f"{clock}_{part}_ms": f"{clock} time, {'longest' if part == 'max' else part}"
        for clock in ("response", "service")
        for part in _PERCENTILES
    }
    groups: tuple[tuple[dict[str, str], Of], ...] = ((clocks | _TIMES, "time"), (_COUNTS, "count"), (_RUN, "run"))
    found = {name: Name(name, _unit(name), of, says) for group, of in groups for name, says in group.items()}
    costs = {name: Name(name, unit, "cost", says, mode, metric) for name, (mode, metric, unit, says) in _COSTS.items()}
    return found | costs


NAMES = _all()
"""All names, in the order in which they are listed."""


PER_RECEIPT = {one.metric: one for one in NAMES.values() if one.of == "cost" and one.metric != "leak"}
"""The name of each metric of a profile that is a cost per receipt; a metric belongs to one mode."""

NS_IN_MS = 1e6


def in_unit(name: Name, cost: float) -> float:
    """A cost from a profile (times in nanoseconds), converted to the unit of its name."""
    return cost / NS_IN_MS if name.unit == "ms" else cost


def named(name: str, where: str) -> Name:
    """The figure of this name. Raises SettingsError with the most similar names."""
    if name in NAMES:
        return NAMES[name]
    close = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else "docs/thresholds.md lists all names"
    raise SettingsError(f"there is no figure {name!r}", where=where, hint=hint)

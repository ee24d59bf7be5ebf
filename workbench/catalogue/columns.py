"""The columns of the catalogue: name, type, meaning and unit. One row a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.analysis.figures import AGENT
from workbench.thresholds.names import PER_RECEIPT

Kind = Literal["text", "number", "count", "time"]
SQL_TYPES: dict[Kind, str] = {"text": "VARCHAR", "number": "DOUBLE", "count": "BIGINT", "time": "TIMESTAMP"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``what`` says its meaning and unit."""

    name: str
    kind: Kind
    what: str


def _costs(before: str, whose: str) -> tuple[Column, ...]:
    return tuple(
        Column(before + cost.name, "number", f"{cost.text}, a receipt of {whose}, background subtracted")
        for cost in PER_RECEIPT.values()
    )


COLUMNS: tuple[Column, ...] = (
    Column("run", "text", "name of the run folder, which is unique among the runs of one folder"),
    Column("name", "text", "name given to the run"),
    Column("path", "text", "the run folder"),
    Column("batch", "text", "the batch the run is part of; empty: none"),
    Column("started", "time", "when it began, UTC"),
    Column("duration_s", "number", "from begin to end in seconds; for a resumed run this includes the pause"),
    Column("kind", "text", "sweep, load, or windows (cut by hand)"),
    Column("state", "text", "new, running, finished, interrupted, failed or damaged"),
    Column("fault", "text", "error that ended it, or why its folder cannot be read; empty: none"),
    Column("verdict", "text", "PASS, FAIL or INVALID; empty if the run has not finished"),
    Column("validity", "text", "valid steps out of all, such as 4 of 5"),
    Column("target", "text", "stand-in, or the service's URL or program"),
    Column("service_version", "text", "the service's version, and after + the first digits of its binary's SHA-256"),
    Column("workbench_version", "text", "version of the workbench"),
    Column("machine", "text", "processor, usable cores and system"),
    Column("profiler", "text", "none, or the profiler the service was under"),
    Column("receipts", "text", "receipts of each step, as given"),
    Column("mode", "text", "fresh or cumulative payers"),
    Column("loop", "text", "open, closed or ramp"),
    Column("rate_per_s", "number", "receipts per second of an open loop"),
    Column("concurrency", "count", "requests in flight of a closed loop"),
    Column("value_grt", "number", "value of one receipt in GRT"),
    Column("service_command", "text", "command that started the service"),
    Column("agent_command", "text", "command that started the tap-agent"),
    Column("steps", "count", "steps measured, without warm-up, paired step and the walk to the limit"),
    Column("valid_steps", "count", "valid measurements among them"),
    Column("sent", "count", "receipts sent in these steps"),
    Column("accepted", "count", "receipts accepted in them"),
    Column("denied", "count", "receipts refused because the payer was denied"),
    Column("failed", "count", "receipts refused or lost for other reasons"),
    Column("limit_receipts", "count", "number of the receipt that triggered denial, as observed"),
    Column("predicted_receipts", "count", "the same as predicted"),
    Column("denial_lag_receipts", "number", "receipts accepted after the limit"),
    Column("denial_lag_s", "number", "seconds from the limit to the denial"),
    Column("throughput_per_s", "number", "receipts accepted per second, median of the valid steps without a profiler"),
    Column("response_p50_ms", "number", "response time in ms, half are quicker; median of the same steps"),
    Column("response_p95_ms", "number", "response time in ms, 95 % are quicker; median of the same steps"),
    Column("response_p99_ms", "number", "response time in ms, 99 % are quicker; median of the same steps"),
    Column("service_p50_ms", "number", "service time in ms, half are quicker; median of the same steps"),
    Column("service_p99_ms", "number", "service time in ms, 99 % are quicker; median of the same steps"),
    Column("lag_p99_ms", "number", "lateness of the generator in ms, 99 % are less late; median of the same steps"),
    *_costs("", "the service"),
    *_costs(AGENT, "the tap-agent"),
    Column("tags", "text", "tags in alphabetical order, separated by commas"),
    Column("note", "text", "the note written about the run"),
    Column("sentence", "text", "the verdict in words"),
)
NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
NUMBERS: tuple[str, ...] = tuple(column.name for column in COLUMNS if column.kind in ("number", "count"))

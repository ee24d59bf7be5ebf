"""The input of a generator: everything that one step needs, as plain data that fits through a pipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import SettingsError
from workbench.load.clock import ClockOffset
from workbench.load.interference import Interference, together
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.receipts.template import ReceiptTemplate


@dataclass(frozen=True)
class Share:
    """The part of a step that one of ``workers`` generators sends: every ``workers``-th receipt from ``worker`` on.

    Interleaved, so that all send at the same pace, and the index of a receipt tells its generator.
    """

    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.worker < self.workers:
            raise SettingsError(f"a step of {self.workers} generators has no generator {self.worker}")

    def indexes(self, count: int) -> range:
        """The receipts of this generator in a step of ``count``, by their index in the whole step."""
        return range(self.worker, count, self.workers)

    def of(self, total: int) -> int:
        """This generator's part of a shared number (connections, requests in flight), at least 1; a remainder goes to
        the first ones."""
        return max(1, total // self.workers + (self.worker < total % self.workers))


def query_body(query: str) -> bytes:
    """The request body for a GraphQL ``query``."""
    return json.dumps({"query": query}).encode()


@dataclass(frozen=True)
class StepSpec:
    """One step: target, receipts, plan and sample buffer.

    ``receipt`` None sends requests without a receipt (to a null server, or as free queries with their ``headers``).
    ``share``: which of the plan's receipts this generator sends; ``plan``, ``max_in_flight`` and ``buffer`` are those
    of the whole step, and rows are written at their index in the step. ``spin``: an open loop waits the last 200 µs
    before a due time without sleeping (see :mod:`workbench.load.waiting`). ``own_rows``: the buffer holds only the rows
    of this share, since the generator is on another machine. ``services``: processes of this machine whose CPU time
    does not count as other load.
    """

    url: str
    query: str
    plan: Plan
    buffer: Path
    receipt: ReceiptTemplate | None
    step: int = 0
    seed: int = 1
    timeout_s: float = 10.0
    max_in_flight: int = 1000
    timestamp_window_s: float = 15.0
    headers: dict[str, str] | None = None
    share: Share = Share()
    spin: bool = False
    own_rows: bool = False
    services: tuple[int, ...] = ()

    @property
    def body(self) -> bytes:
        """The request body, the same for every request."""
        return query_body(self.query)

    @property
    def count(self) -> int:
        """How many receipts this generator sends."""
        return len(self.share.indexes(self.plan.count))

    @property
    def in_flight(self) -> int:
        """The most requests of this generator in flight at once."""
        return self.share.of(self._in_flight_of_all)

    @property
    def connections(self) -> int:
        """How many connections this generator opens before the step."""
        if isinstance(self.plan, ClosedPlan):
            return min(self.in_flight, self.count)
        # as many as are in flight if an answer takes 50 ms; more are opened when needed
        return min(self.in_flight, self.count, max(4, int(self.plan.peak_rate * 0.05) // self.share.workers))

    @property
    def _in_flight_of_all(self) -> int:
        return self.plan.concurrency if isinstance(self.plan, ClosedPlan) else self.max_in_flight

    def shared(self, workers: int) -> tuple[StepSpec, ...]:
        """This step for ``workers`` generators, or fewer if there are not as many receipts or requests in flight: each
        sends at least one, and together they have no more in flight than requested."""
        workers = max(1, min(workers, self.plan.count, self._in_flight_of_all))
        return tuple(replace(self, share=Share(worker, workers)) for worker in range(workers))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without the key."""
        return {**asdict(self), "buffer": str(self.buffer)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepSpec:
        """The inverse of to_json."""
        plan = data["plan"]
        return cls(
            **{
                **data,
                "buffer": Path(data["buffer"]),
                "plan": ClosedPlan(**plan) if "concurrency" in plan else OpenPlan(**plan),
                "receipt": ReceiptTemplate(**data["receipt"]) if data["receipt"] else None,
                "share": Share(**data["share"]),
                "services": tuple(data["services"]),
            }
        )


@dataclass(frozen=True)
class StepReport:
    """A generator's report on itself.

    Times are of the machine's monotonic clock. ``cpu_s`` is the generator's CPU time between ``started_ns`` and
    ``ended_ns``, without that of the processes that sign; ``signed_late`` receipts had to be signed when due;
    ``signed_anew`` were signed again in time, since they would have been too old; ``cap_hits`` counts waits for a free
    slot of ``max_in_flight``.

    ``spun_s``: the part of ``cpu_s`` that was spent waiting before due times, so it was free. ``closed_idle`` requests
    were sent on a kept connection that closed before a byte of an answer, as when a service closes an idle connection
    at that moment; they are part of the resets. ``surplus`` connections brought bytes that were not part of an answer,
    and were not used again. ``interference``: what disturbed the generator (None: not measured).

    For several generators (:func:`merge_reports`) ``parts`` holds the report of each. ``where``: where a generator
    outside of our own processes ran; ``clock``: how far its monotonic clock is ahead of ours. Its times are already
    converted.
    """

    started_ns: int
    ended_ns: int
    cpu_s: float
    connections: int
    sent: int
    in_flight_max: int
    cap_hits: int
    signed_late: int
    interrupted: bool
    pid: int
    signed_anew: int = 0
    spun_s: float = 0.0
    closed_idle: int = 0
    surplus: int = 0
    interference: Interference | None = None
    parts: tuple[StepReport, ...] = ()
    where: str = ""
    clock: ClockOffset | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepReport:
        """The report of one generator, from what ``dataclasses.asdict`` made of it."""
        clock, interference = data.get("clock"), data.get("interference")
        known = {
            "parts": (),
            "clock": None if clock is None else ClockOffset(**clock),
            "interference": None if interference is None else Interference.from_json(interference),
        }
        return cls(**{**data, **known})

    @property
    def cpu_percent(self) -> float:
        """CPU that the generator needed while sending, in percent of one core; for several, that of the busiest."""
        if self.parts:
            return max(part.cpu_percent for part in self.parts)
        return 100 * (self.cpu_s - self.spun_s) / max((self.ended_ns - self.started_ns) / 1e9, 1e-9)

    @property
    def busiest(self) -> str:
        """The name of the generator that ``cpu_percent`` belongs to; they are counted from 1."""
        if not self.parts:
            return "the generator"
        shares = [part.cpu_percent for part in self.parts]
        return f"generator {shares.index(max(shares)) + 1} of {len(shares)}"


def generator_lines(report: StepReport) -> dict[str, str]:
    """Facts about each generator, by its name: where it ran, its clock offset, what it sent, its CPU. Empty for a
    single process of ours, whose report is enough."""
    parts = report.parts or ((report,) if report.where else ())
    lines = {}
    for number, part in enumerate(parts, 1):
        clock = [] if part.clock is None else [f"clock offset {part.clock}"]
        figures = [f"{part.sent:,} sent", f"{part.cpu_percent:.0f} % of a core", f"pid {part.pid}"]
        lines[f"generator {number} of {len(parts)}"] = ", ".join([*filter(None, [part.where]), *clock, *figures])
    return lines


_COUNTS = (
    *("cpu_s", "spun_s", "connections", "sent", "in_flight_max", "cap_hits"),
    *("signed_late", "signed_anew", "closed_idle", "surplus"),
)


def merge_reports(reports: Sequence[StepReport]) -> StepReport:
    """The report of a step sent by several generators: from the first start to the last end, with counts summed. Other
    values are those of the busiest; ``in_flight_max`` is a sum, so an upper bound of what was in flight at one
    moment."""
    if len(reports) == 1:
        return reports[0]
    return replace(
        max(reports, key=lambda report: report.cpu_percent),
        **{name: sum(getattr(report, name) for report in reports) for name in _COUNTS},
        started_ns=min(report.started_ns for report in reports),
        ended_ns=max(report.ended_ns for report in reports),
        interrupted=any(report.interrupted for report in reports),
        parts=tuple(reports),
        interference=together([report.interference for report in reports]),
        where="",
        clock=None,
    )

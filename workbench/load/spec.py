"""What a generator is told: everything one step needs, as plain data that can cross a pipe."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import SettingsError
from workbench.load.plan import ClosedPlan, OpenPlan, Plan
from workbench.receipts.template import ReceiptTemplate


@dataclass(frozen=True)
class Share:
    """The part of a step that one of ``workers`` generators sends: every ``workers``-th receipt from ``worker`` on.

    Interleaved, so that all of them send at the same pace, and anyone can tell whose a receipt is by its index.
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
        """This generator's part of a number that all share (connections, requests in flight), the first ones having
        one more where it does not divide; at least 1."""
        return max(1, total // self.workers + (self.worker < total % self.workers))


@dataclass(frozen=True)
class StepSpec:
    """One step: where to send what, by which plan, into which sample buffer.

    ``receipt`` None sends requests without a receipt (a null server, the free lane with its ``headers``). ``share``:
    which of the plan's receipts this generator sends; ``plan``, ``max_in_flight`` and ``buffer`` are those of the whole
    step, and rows are written at their index in it.
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

    @property
    def body(self) -> bytes:
        """The request body, the same for every request."""
        return json.dumps({"query": self.query}).encode()

    @property
    def in_flight(self) -> int:
        """The most requests that can be open at once."""
        return self.plan.concurrency if isinstance(self.plan, ClosedPlan) else self.max_in_flight

    @property
    def connections(self) -> int:
        """How many connections are opened before the step."""
        if isinstance(self.plan, ClosedPlan):
            return min(self.plan.concurrency, self.plan.count)
        # as many as are in flight when an answer takes 50 ms; more are opened when the step needs them
        return min(self.max_in_flight, self.plan.count, max(4, int(self.plan.rate * 0.05)))

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
            }
        )


@dataclass(frozen=True)
class StepReport:
    """How the generator fared: its own part of the measurement.

    Times are of the machine's monotonic clock. ``cpu_s`` is the generator's CPU time between ``started_ns`` and
    ``ended_ns``, without that of the processes that sign; ``signed_late`` receipts had to be signed at their turn,
    ``signed_anew`` ahead of it, since the signature they had would have been too old; ``cap_hits`` counts waits for a
    free slot of ``max_in_flight``.
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

    @property
    def cpu_percent(self) -> float:
        """CPU of the generator while sending, in percent of one core."""
        return 100 * self.cpu_s / max((self.ended_ns - self.started_ns) / 1e9, 1e-9)

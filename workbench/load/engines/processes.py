"""A step driven by several processes of this machine."""

from __future__ import annotations

import math

from workbench.load.engines.child import ChildGenerator
from workbench.load.engines.conduct import OnProgress, conduct
from workbench.load.engines.in_process import START_IN_NS
from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

RATE_PER_PROCESS = 8000.0
"""Signed requests a second that one process offers with half of its core to spare, for ``auto``: 25 µs of CPU each in
the process that sends and 40 µs in the one that signs."""

TELLING_NS = 1_000_000


async def processes(
    spec: StepSpec, key: SigningKey | None, count: int, on_progress: OnProgress | None = None
) -> StepReport:
    """Run one step in ``count`` processes, or fewer where it has not as many receipts or requests in flight.

    Each sends its share of the plan and writes its rows into the step's buffer, which all have mapped. See
    :func:`workbench.load.engines.conduct.conduct`. Raises ToolError naming the process that died.
    """
    parts = spec.shared(count)
    # each is told the instant in turn, and none may be told it too late
    start_in_ns = START_IN_NS + len(parts) * TELLING_NS
    return await conduct([ChildGenerator(part, key) for part in parts], on_progress, start_in_ns)


def automatic(plan: Plan, cores: int) -> int:
    """How many processes ``auto`` means for a plan on a machine with ``cores``.

    An open loop takes as many as its rate needs by RATE_PER_PROCESS, and leaves a core to the service. How fast a
    closed one will be nobody knows before: it takes half of the cores.
    """
    if isinstance(plan, OpenPlan):
        return max(1, min(math.ceil(plan.peak_rate / RATE_PER_PROCESS), cores - 1))
    return max(1, cores // 2)

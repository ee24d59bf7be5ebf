"""A step sent by several processes of this machine."""

from __future__ import annotations

import math

from workbench.load.engines.child import ChildGenerator
from workbench.load.engines.conduct import OnProgress, conduct
from workbench.load.engines.in_process import START_IN_NS
from workbench.load.plan import OpenPlan, Plan
from workbench.load.spec import StepReport, StepSpec
from workbench.receipts.keys import SigningKey

RATE_PER_PROCESS = 8000.0
"""Signed requests per second of one process that uses half a core, for ``auto``: each takes 25 µs of CPU in the process
that sends and 40 µs in the one that signs."""

TELLING_NS = 1_000_000


async def processes(
    spec: StepSpec, key: SigningKey | None, count: int, on_progress: OnProgress | None = None
) -> StepReport:
    """Run one step in ``count`` processes, or fewer if there are not enough receipts or requests in flight.

    Each sends its share of the plan and writes its rows into the step's mapped buffer. See
    :func:`workbench.load.engines.conduct.conduct`. Raises ToolError naming the process that died.
    """
    parts = spec.shared(count)
    # each is told the instant in turn, and the last must not be told too late
    start_in_ns = START_IN_NS + len(parts) * TELLING_NS
    return await conduct([ChildGenerator(part, key) for part in parts], on_progress, start_in_ns)


def automatic(plan: Plan, cores: int) -> int:
    """How many processes ``auto`` means for a plan on a machine with ``cores``.

    An open loop gets as many as its rate needs by RATE_PER_PROCESS and leaves a core for the service. The speed of a
    closed loop is not known before, so it gets half of the cores.
    """
    if isinstance(plan, OpenPlan):
        return max(1, min(math.ceil(plan.peak_rate / RATE_PER_PROCESS), cores - 1))
    return max(1, cores // 2)

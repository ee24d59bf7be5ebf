"""Wait until the tap-agent has counted what was sent: denial is a step behind the load."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from workbench.errors import TargetError
from workbench.service.budget import Fees
from workbench.service.connect import Target

POLL_S = 0.02
STALL_S = 5.0
QUIET_S = 0.5


@dataclass(frozen=True)
class Settled:
    """The agent's view after a step. ``complete``: it has counted every receipt that it could count. ``survived_wei``:
    the most fees that it was seen to hold of the payer without denying it (None: no such moment was seen)."""

    fees: Fees | None
    complete: bool
    seconds: float
    survived_wei: int | None = None


async def settle(target: Target, payer: bytes, received: int | None, timeout_s: float, *, unsure: int = 0) -> Settled:
    """Wait until the agent has received ``received`` receipts of ``payer``, or up to ``unsure`` more.

    ``unsure`` receipts got no answer and may have been stored or not: for them the count is given QUIET_S to stand
    still. Gives up after ``timeout_s``, or when the count had begun to move and then stood still for STALL_S.
    ``received`` None, no agent metrics, or an agent that does not answer: the present view, not complete.
    """
    started = time.monotonic()
    survived: int | None = None
    try:
        fees = await target.fees(payer)
        if fees is None or received is None or target.agent_metrics_url is None:
            return Settled(fees, complete=False, seconds=0.0)
        before, moved = fees.received, started
        survived = _survived(fees, survived)
        while fees.received < received + unsure:
            now = time.monotonic()
            if fees.received >= received and now - moved > QUIET_S:
                break
            if now - started > timeout_s or (fees.received != before and now - moved > STALL_S):
                return Settled(fees, complete=False, seconds=now - started, survived_wei=survived)
            await asyncio.sleep(POLL_S)
            seen = await target.fees(payer)
            if seen is None:
                return Settled(fees, complete=False, seconds=time.monotonic() - started, survived_wei=survived)
            if seen.received != fees.received:
                moved = time.monotonic()
            fees, survived = seen, _survived(seen, survived)
        return Settled(fees, complete=True, seconds=time.monotonic() - started, survived_wei=survived)
    except TargetError:
        # what the step measured must not be lost to a target that is gone; the next step will meet the error
        return Settled(None, complete=False, seconds=time.monotonic() - started, survived_wei=survived)


def _survived(fees: Fees, before: int | None) -> int | None:
    return before if fees.denied else max(fees.spent, before or 0)

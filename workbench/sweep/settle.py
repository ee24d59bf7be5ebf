"""Waits until the tap-agent has counted what was sent, since denial comes later than the load."""

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
    """The agent's view after a step. ``complete``: it has counted every receipt that it can count. ``survived_wei``:
    the most fees of the payer that it held without denying the payer (None: not seen)."""

    fees: Fees | None
    complete: bool
    seconds: float
    survived_wei: int | None = None


async def settle(target: Target, payer: bytes, received: int | None, timeout_s: float, *, unsure: int = 0) -> Settled:
    """Wait until the agent has received ``received`` receipts of ``payer``, or up to ``unsure`` more.

    ``unsure`` receipts got no answer and may or may not be stored: the count must not change for QUIET_S. Gives up
    after ``timeout_s``, or if the count changed and then stopped for STALL_S. With ``received`` None, without agent
    metrics, or if the agent does not answer, the result is the current view, not complete.
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
        # a target that is gone must not lose this step's measurement; the next step will raise the error
        return Settled(None, complete=False, seconds=time.monotonic() - started, survived_wei=survived)


def _survived(fees: Fees, before: int | None) -> int | None:
    return before if fees.denied else max(fees.spent, before or 0)

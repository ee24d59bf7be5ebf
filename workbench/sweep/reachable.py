"""Whether there is still a service at the target: a step whose target died is not a measured step.

A service that answers badly, resets connections or says nothing is there, and what it does is measured. It is gone when
no connection can be made to where it listened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from workbench.errors import TargetError
from workbench.load.chunks import LiveRows
from workbench.load.engines.conduct import OnProgress
from workbench.load.outcome import CODE_OF, Outcome
from workbench.load.samples import DONE, OUTCOME
from workbench.load.spec import StepReport
from workbench.sweep.setup import Setup
from workbench.sweep.steps import Step

LOOK_S = 1.0
"""How often it is looked, while no receipt is answered well."""

GONE_S = 5.0
"""So long nobody may take connections while a step is sent: whatever runs the service may start it again."""

_CONNECT_TIMEOUT_S = 5.0
_WITHOUT = [CODE_OF[outcome] for outcome in (Outcome.CONNECT_ERROR, Outcome.RESET)]

Send = Callable[[OnProgress], Awaitable[StepReport]]


async def send_while_reachable(setup: Setup, step: Step, send: Send, told: OnProgress) -> StepReport:
    """What ``send`` reports of a step; it is stopped when the target is gone.

    Raises TargetError then, and where the target is gone at the step's end: the rows are those of a step that was cut
    off.
    """
    look = _Look()

    def on_progress(message: dict[str, Any]) -> None:
        look.at(message["ok"])
        told(message)

    sending = asyncio.ensure_future(send(on_progress))
    try:
        while not sending.done():
            await asyncio.wait({sending}, timeout=LOOK_S)
            if not sending.done() and look.is_due() and look.is_gone(await connects(setup.target.url)):
                raise await _gone(setup, step)
        report = sending.result()
    finally:
        if not sending.done():
            # being cancelled, a generator waits for the answers in flight
            sending.cancel()
            await asyncio.wait({sending})
    await require_reachable(setup, step)
    return report


async def require_reachable(setup: Setup, step: Step) -> None:
    """Raise TargetError where receipts of a step had no connection, and none can be made now."""
    lost = await asyncio.to_thread(_lost, setup.record.live(step.number))
    if lost and not await connects(setup.target.url):
        raise await _gone(setup, step)


async def connects(url: str) -> bool:
    """Whether somebody takes connections at the host and port of an address. One that is not taken within 5 s is: a
    service under load may be slow to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except TimeoutError:
        return True
    except OSError:
        return False
    writer.close()
    return True


class _Look:
    """What has been seen of the target since its last good answer."""

    def __init__(self) -> None:
        self._ok = 0
        self._good_s = time.monotonic()
        self._absent_s: float | None = None

    def at(self, ok: int) -> None:
        """``ok`` receipts have been answered well so far."""
        if ok > self._ok:
            self._ok, self._good_s, self._absent_s = ok, time.monotonic(), None

    def is_due(self) -> bool:
        """Whether there was no good answer for so long that it is to be looked."""
        return time.monotonic() - self._good_s >= LOOK_S

    def is_gone(self, connects: bool) -> bool:
        """Whether nobody was there each time for GONE_S."""
        now = time.monotonic()
        if connects:
            self._absent_s = None
            return False
        if self._absent_s is None:
            self._absent_s = now
        return now - self._absent_s >= GONE_S


async def _gone(setup: Setup, step: Step) -> TargetError:
    """What to say; raises itself, with its last words, where it was a program of the run that ended."""
    if setup.require_alive is not None:
        await setup.require_alive()
    rows = setup.record.live(step.number)
    lost = await asyncio.to_thread(_lost, rows)
    return TargetError(
        f"the service no longer accepts connections: {lost:,} of the {rows.measured():,} receipts sent in step "
        f"{step.number} got no connection, and the step was cut off",
        where=setup.target.url,
        hint="Its log says why it ended. Restart it, then resume with --resume",
    )


def _lost(live: LiveRows) -> int:
    """How many receipts of a step had no connection, or lost it before the answer."""
    lost = 0
    for _, rows in live.blocks():
        lost += int(np.count_nonzero(np.isin(rows[:, OUTCOME], _WITHOUT) & (rows[:, DONE] > 0)))
    return lost

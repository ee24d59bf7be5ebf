"""Whether the target still runs: a step whose target died is not measured.

A service that answers with errors, resets connections or does not answer still runs, and is measured. It is gone when
no connection can be made to its address.
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
"""How often the target is checked while no receipt is accepted."""

GONE_S = 5.0
"""For so long the target may refuse connections during a step: it may be restarting."""

_CONNECT_TIMEOUT_S = 5.0
_WITHOUT = [CODE_OF[outcome] for outcome in (Outcome.CONNECT_ERROR, Outcome.RESET)]

Send = Callable[[OnProgress], Awaitable[StepReport]]


async def send_while_reachable(setup: Setup, step: Step, send: Send, told: OnProgress) -> StepReport:
    """Send a step and return its report; sending is stopped when the target is gone.

    Then, and if the target is gone at the end of the step, raises TargetError: the step was cut off.
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
            # a cancelled generator still waits for the answers in flight
            sending.cancel()
            await asyncio.wait({sending})
    await require_reachable(setup, step)
    return report


async def require_reachable(setup: Setup, step: Step) -> None:
    """Raise TargetError if receipts of a step got no connection and none can be made now."""
    lost = await asyncio.to_thread(_lost, setup.record.live(step.number))
    if lost and not await connects(setup.target.url):
        raise await _gone(setup, step)


async def connects(url: str) -> bool:
    """Whether a server accepts connections at the host and port of an address. No answer within 5 s counts as yes: a
    service under load may be slow."""
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
    """What is known of the target since its last good answer."""

    def __init__(self) -> None:
        self._ok = 0
        self._good_s = time.monotonic()
        self._absent_s: float | None = None

    def at(self, ok: int) -> None:
        """``ok``: how many receipts were accepted so far."""
        if ok > self._ok:
            self._ok, self._good_s, self._absent_s = ok, time.monotonic(), None

    def is_due(self) -> bool:
        """Whether there was no good answer for so long that the target must be checked."""
        return time.monotonic() - self._good_s >= LOOK_S

    def is_gone(self, connects: bool) -> bool:
        """Whether every check for GONE_S found no server."""
        now = time.monotonic()
        if connects:
            self._absent_s = None
            return False
        if self._absent_s is None:
            self._absent_s = now
        return now - self._absent_s >= GONE_S


async def _gone(setup: Setup, step: Step) -> TargetError:
    """The error to raise. If a program of the run has ended, raises the error with its last output itself."""
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
    """How many receipts of a step got no connection, or lost it before the answer."""
    lost = 0
    for _, rows in live.blocks():
        lost += int(np.count_nonzero(np.isin(rows[:, OUTCOME], _WITHOUT) & (rows[:, DONE] > 0)))
    return lost

"""How far ahead of the sending receipts are signed: pure functions of pace and time.

A receipt is good for a time, not for a number of receipts. So the signer keeps a few seconds of sending ready: in an
open loop those of the plan, in a closed loop as many as the pace of the last seconds would send in them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from workbench.load.plan import NS_PER_S

MARK_NS = NS_PER_S // 4

FEWEST = 500
"""Always ready, whatever the pace: a service that wakes up and takes 5,000 a second is served for 0.1 s, in which the
signer sees it. Signing these anew for a service that takes hardly any costs less than a hundredth of a core."""

MOST = 200_000
"""Never more: some 80 MB."""

Mark = tuple[int, int]
"""A moment in nanoseconds, and how many receipts had been sent by then."""


@dataclass(frozen=True)
class Freshness:
    """How long a signed receipt is good for, in nanoseconds.

    ``max_age_ns``: older than this it is not sent. ``renew_ns``: this old and not yet sent, it is signed anew.
    ``ahead_ns``: what is signed ahead is for so long.
    """

    max_age_ns: int
    renew_ns: int
    ahead_ns: int

    @classmethod
    def within(cls, window_s: float) -> Freshness:
        """For a service that accepts timestamps ``window_s`` from its clock.

        A fifth of the window is left to the way there and to the difference of the clocks. At most 3 s are signed
        ahead, and as long before a receipt is too old the signer begins to renew it.
        """
        max_age_ns = int(window_s * 0.8 * NS_PER_S)
        ahead_ns = min(3 * NS_PER_S, max_age_ns // 4)
        return cls(max_age_ns, max_age_ns - ahead_ns, ahead_ns)


def planned_ahead(offsets_ns: npt.NDArray[np.int64], sent: int, ahead_ns: int) -> int:
    """How many receipts after the ``sent`` first ones an open loop wants ready: those of the next ``ahead_ns`` of its
    plan. They are counted from the one that is sent next and not from the clock: a loop that is late stays as far."""
    if sent >= len(offsets_ns):
        return 0
    due = int(np.searchsorted(offsets_ns, offsets_ns[sent] + ahead_ns, side="right"))
    return _bounded(due - sent, len(offsets_ns) - sent)


def paced_ahead(count: int, sent: int, pace_per_s: float, ahead_ns: int) -> int:
    """How many receipts after the ``sent`` first ones of ``count`` a closed loop wants ready: those of ``ahead_ns`` at
    its pace."""
    return _bounded(math.ceil(pace_per_s * ahead_ns / NS_PER_S), count - sent)


def pace(marks: Sequence[Mark], now: Mark) -> float:
    """Receipts per second of a closed loop: the fastest stretch between marks, the one up to ``now`` among them.

    The fastest, since a service that stalls for a moment goes on as fast as before. A stretch counts as MARK_NS long
    at least, so that two requests in one millisecond are not taken for a pace.
    """
    stretches = pairwise([*marks, now])
    return max(
        ((sent - before) * NS_PER_S / max(at - began, MARK_NS) for (began, before), (at, sent) in stretches),
        default=0.0,
    )


def remember(marks: Sequence[Mark], now: Mark, ahead_ns: int) -> list[Mark]:
    """The marks with ``now`` among them where MARK_NS have passed, without what is older than ``ahead_ns``."""
    kept = [mark for mark in marks if now[0] - mark[0] <= ahead_ns]
    return [*kept, now] if not kept or now[0] - kept[-1][0] >= MARK_NS else kept


def _bounded(wanted: int, left: int) -> int:
    return min(max(wanted, FEWEST), MOST, left)

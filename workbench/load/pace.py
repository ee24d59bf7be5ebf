"""How many receipts are signed ahead of the sending: pure functions of pace and time.

A signed receipt is valid for a limited time. So the signer keeps a few seconds of sending ready: in an open loop by the
plan, in a closed loop by the pace of the last seconds.
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
"""The fewest receipts kept ready: when a service suddenly takes 5,000 per second, they last 0.1 s, in which the signer
notices. For a slow service, signing them again and again costs less than 0.01 of a core."""

MOST = 200_000
"""The most receipts kept ready: some 80 MB."""

Mark = tuple[int, int]
"""A time in nanoseconds, and how many receipts had been sent by then."""


@dataclass(frozen=True)
class Freshness:
    """How long a signed receipt may be used, in nanoseconds.

    ``max_age_ns``: an older receipt is not sent. ``renew_ns``: an unsent receipt of this age is signed again.
    ``ahead_ns``: how much sending time is signed ahead.
    """

    max_age_ns: int
    renew_ns: int
    ahead_ns: int

    @classmethod
    def within(cls, window_s: float) -> Freshness:
        """For a service that accepts timestamps up to ``window_s`` from its clock.

        A fifth of the window is kept for transport and clock difference. At most 3 s are signed ahead, and the signer
        begins to renew a receipt as long before it is too old.
        """
        max_age_ns = int(window_s * 0.8 * NS_PER_S)
        ahead_ns = min(3 * NS_PER_S, max_age_ns // 4)
        return cls(max_age_ns, max_age_ns - ahead_ns, ahead_ns)


def planned_ahead(offsets_ns: npt.NDArray[np.int64], sent: int, ahead_ns: int) -> int:
    """How many receipts after the first ``sent`` an open loop wants ready: those of the next ``ahead_ns`` of its plan,
    counted from the next receipt and not from the clock, so that a late loop has as many ready."""
    if sent >= len(offsets_ns):
        return 0
    due = int(np.searchsorted(offsets_ns, offsets_ns[sent] + ahead_ns, side="right"))
    return _bounded(due - sent, len(offsets_ns) - sent)


def paced_ahead(count: int, sent: int, pace_per_s: float, ahead_ns: int) -> int:
    """How many receipts after the first ``sent`` of ``count`` a closed loop wants ready: those of ``ahead_ns`` at its
    pace."""
    return _bounded(math.ceil(pace_per_s * ahead_ns / NS_PER_S), count - sent)


def pace(marks: Sequence[Mark], now: Mark) -> float:
    """Receipts per second of a closed loop: the fastest interval between marks, including the one up to ``now``.

    The fastest, since a service that stalls for a moment continues as fast as before. An interval counts as at least
    MARK_NS long, so that two requests in one millisecond do not count as a pace.
    """
    stretches = pairwise([*marks, now])
    return max(
        ((sent - before) * NS_PER_S / max(at - began, MARK_NS) for (began, before), (at, sent) in stretches),
        default=0.0,
    )


def remember(marks: Sequence[Mark], now: Mark, ahead_ns: int) -> list[Mark]:
    """The marks, with ``now`` added if MARK_NS have passed, without those older than ``ahead_ns``."""
    kept = [mark for mark in marks if now[0] - mark[0] <= ahead_ns]
    return [*kept, now] if not kept or now[0] - kept[-1][0] >= MARK_NS else kept


def _bounded(wanted: int, left: int) -> int:
    return min(max(wanted, FEWEST), MOST, left)

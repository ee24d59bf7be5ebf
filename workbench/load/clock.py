"""How far another machine's monotonic clock is ahead of ours: pure functions over round trips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RoundTrip = tuple[int, int, int]
"""Nanoseconds: our clock when asking, theirs when answering, ours when the answer was there."""


@dataclass(frozen=True)
class ClockOffset:
    """The other clock shows ``offset_ns`` more than ours, give or take ``error_ns``; each in nanoseconds.

    ``drift_ns``: by how much the offset changed from the start of a step to its end.
    """

    offset_ns: int = 0
    error_ns: int = 0
    drift_ns: int = 0

    def __str__(self) -> str:
        text = f"{self.offset_ns / 1e6:+.2f} ms ± {self.error_ns / 1e6:.2f} ms"
        return f"{text}, {self.drift_ns / 1e6:+.2f} ms drift by the end" if abs(self.drift_ns) > self.error_ns else text


def offset_of(trips: Sequence[RoundTrip]) -> ClockOffset:
    """The offset by the quickest round trip.

    As in NTP (RFC 5905, section 8): the other clock was read at some moment of the trip. In its middle, give or take
    half of the trip, is all that can be known, so the shortest trip says most.
    """
    asked, theirs, answered = min(trips, key=lambda trip: trip[2] - trip[0])
    return ClockOffset(theirs - (asked + answered) // 2, (answered - asked + 1) // 2)

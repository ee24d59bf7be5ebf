"""The offset between another machine's monotonic clock and ours: pure functions over round trips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

RoundTrip = tuple[int, int, int]
"""In nanoseconds: our clock when asking, theirs when answering, ours when the answer arrived."""


@dataclass(frozen=True)
class ClockOffset:
    """The other clock is ahead of ours by ``offset_ns``, ± ``error_ns``.

    ``drift_ns``: change of the offset from the start of a step to its end.
    """

    offset_ns: int = 0
    error_ns: int = 0
    drift_ns: int = 0

    def __str__(self) -> str:
        text = f"{self.offset_ns / 1e6:+.2f} ms ± {self.error_ns / 1e6:.2f} ms"
        return f"{text}, {self.drift_ns / 1e6:+.2f} ms drift by the end" if abs(self.drift_ns) > self.error_ns else text


def offset_of(trips: Sequence[RoundTrip]) -> ClockOffset:
    """The offset from the shortest round trip.

    As in NTP (RFC 5905, section 8): the other clock was read at an unknown moment of the trip, taken as its middle ±
    half of the trip. So the shortest trip is the most exact.
    """
    asked, theirs, answered = min(trips, key=lambda trip: trip[2] - trip[0])
    return ClockOffset(theirs - (asked + answered) // 2, (answered - asked + 1) // 2)

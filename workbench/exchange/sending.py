"""When to send requests that are signed ahead, and how long they are good: pure functions of the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from workbench.load.plan import NS_PER_S, OpenPlan

CHUNK = 4096


@dataclass(frozen=True)
class Sending:
    """``count`` requests that another tool is to send.

    ``rate_per_s`` None: as fast as it can, or with a fixed number in flight. ``start_ns`` is the wall clock when the
    first is due. A service refuses a receipt whose timestamp is further from its clock than its window, so each is
    stamped with the moment it is due, and may be sent ``window_s`` earlier or later.
    """

    count: int
    rate_per_s: float | None
    start_ns: int
    window_s: float

    @property
    def duration_s(self) -> float:
        """Seconds from the first due time to the last; 0 if there are no due times."""
        return 0.0 if self.rate_per_s is None else (self.count - 1) / self.rate_per_s

    def due_ns(self) -> Iterator[int]:
        """The wall clock when each is due, in order. Without a rate all are due at the start."""
        if self.rate_per_s is None:
            for _ in range(self.count):
                yield self.start_ns
            return
        offsets = OpenPlan(self.count, self.rate_per_s).offsets_ns()
        for first in range(0, self.count, CHUNK):  # a list of ten million numbers would take 400 MB
            yield from (offsets[first : first + CHUNK] + np.int64(self.start_ns)).tolist()

    @property
    def begin_after_ns(self) -> int:
        """The wall clock before which the first request would be refused."""
        return self.start_ns - int(self.window_s * NS_PER_S)

    @property
    def begin_before_ns(self) -> int:
        """The wall clock after which the first request would be refused: until when the requests are good."""
        return self.start_ns + int(self.window_s * NS_PER_S)

    def sentence(self) -> str:
        """Until when they are good, and how to send them, in words."""
        many = f"{self.count:,} request{'s' if self.count != 1 else ''}"
        after, until = clock(self.begin_after_ns), clock(self.begin_before_ns)
        if self.rate_per_s is None:
            return f"{many}, all stamped for {clock(self.start_ns)}: good from {after} until {until}"
        return (
            f"{many}, stamped for {self.rate_per_s:g} a second from {clock(self.start_ns)} on: "
            f"begin to send them between {after} and {until}"
        )

    def warning(self) -> str:
        """What can go wrong if the requests take longer than a receipt is good; "" if they do not."""
        if self.rate_per_s is None or self.duration_s <= self.window_s:
            return ""
        return (
            f"the last one is due {self.duration_s:,.0f} s after the first, a receipt is good for {self.window_s:g} s "
            f"around its time: sent faster or slower than {self.rate_per_s:g} a second they are refused"
        )


def clock(wall_ns: int) -> str:
    """A moment as the local time of day, in whole seconds and with its offset from UTC."""
    return datetime.fromtimestamp(wall_ns / NS_PER_S).astimezone().strftime("%H:%M:%S %z")

"""A rate that rises or falls linearly: ``ramp:100:2000:60s``. Used by settings and plans."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from workbench.masking import shown

FORM = "ramp:FROM:TO:DURATION such as ramp:100:2000:60s"
_NUMBER = r"(\d+(?:\.\d+)?)"
_RAMP = re.compile(rf"ramp:{_NUMBER}:{_NUMBER}:{_NUMBER}(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_RATE = 1_000_000
LEAST_RATE = 1e-6  # below this a plan would not end
MAX_DURATION_S = 7 * 86_400


@dataclass(frozen=True)
class Ramp:
    """From ``start`` to ``end`` receipts per second in ``duration_s``; after that the rate stays at ``end``."""

    start: float
    end: float
    duration_s: float

    @classmethod
    def parse(cls, text: str) -> Ramp:
        """The ramp of a text like ``ramp:100:2000:60s`` (units ms, s, m, h). Raises ValueError that says what is
        wrong."""
        match = _RAMP.fullmatch(text)
        if match is None:
            raise ValueError(f"expected {FORM}, found {shown(text)}")
        start, end = float(match[1]), float(match[2])
        duration_s = float(match[3]) * _SECONDS[match[4]]
        if not (LEAST_RATE <= end <= MAX_RATE and start <= MAX_RATE):
            raise ValueError(
                f"a ramp must end above 0 and never exceed {MAX_RATE:,} receipts/s ({FORM}), found {shown(text)}"
            )
        if not 0 < duration_s <= MAX_DURATION_S:
            raise ValueError(f"a ramp must last more than 0 s and at most 7 days ({FORM}), found {shown(text)}")
        return cls(start, end, duration_s)

    @property
    def count(self) -> int:
        """How many receipts are due before its end."""
        return max(1, math.ceil((self.start + self.end) / 2 * self.duration_s - 1e-6))

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(self.start, self.end)


def is_ramp(arrivals: str) -> bool:
    """Whether ``arrivals`` is a ramp."""
    return arrivals.startswith("ramp:")

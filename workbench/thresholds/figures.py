"""What was measured of a name: a figure for each step, or one of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval (NaN: none), in the unit of its name.

    ``step`` and ``receipts`` say of which step, ``service`` of which service, where it is of one. ``n``: from how many
    receipts it is (0: no matter). ``repeats``: it is the mean of so many steps of this size, of ``planned``
    ones, and the interval is theirs.
    ``absent`` says why there is no value, and what to do; it is empty where there is one.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    step: int | None = None
    receipts: int | None = None
    service: str | None = None
    n: int = 0
    repeats: int = 1
    planned: int = 1
    absent: str = ""

    @property
    def measured(self) -> bool:
        """Whether there is a value."""
        return not self.absent and not math.isnan(self.value)

    @property
    def place(self) -> str:
        """Where it was measured, in words; "" for the run."""
        said = [] if self.step is None or self.repeats > 1 else [f"step {self.step}"]
        some = f"{self.repeats} of {self.planned}" if self.planned > self.repeats else f"{self.repeats}"
        said += [f"{some} repeats of {self.receipts:,} receipts"] if self.repeats > 1 else []
        return ", ".join(said + ([self.service] if self.service else []))

"""The values measured for a name: one for each step, or one for the run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval (NaN: none), in the unit of its name.

    ``step``, ``receipts`` and ``service`` say where it was measured, if it belongs to one step or service. ``n``: the
    number of receipts it was measured with (0: not relevant). ``repeats``: if above 1, value and interval are those of
    the mean of this many steps of this size, out of ``planned`` ones.
    ``absent`` says why there is no value, and what to do; it is empty if there is one.
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

"""Little's law (1961): in a steady state as many are in flight as come in a second, times how long each takes.

A check of a measurement against itself. All three are counted apart, until the last sending: how many were in flight on
average, how many were answered a second, how long those took. Where they do not fit, the step was not steady (requests
piled up or ran dry) or rows are missing, and its latencies are those of no load in particular.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Times = npt.NDArray[np.int64]

TOLERANCE = 0.05
_SETTLED = 0.25
"""This part of the time is left out at the start, when the first requests were still alone; requests must not take
longer than it."""
_FEWEST_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class LittlesLaw:
    """``in_flight`` on average against ``per_s`` times ``seconds``.

    ``holds``: within TOLERANCE; None where there are too few answers, or they took too much of the time. ``sentence``
    says it all.
    """

    in_flight: float
    per_s: float
    seconds: float
    holds: bool | None

    @property
    def expected(self) -> float:
        """How many should be in flight: answers a second times seconds each."""
        return self.per_s * self.seconds

    @property
    def off(self) -> float:
        """By what part the expected number is off from the one in flight; NaN where none was."""
        return self.expected / self.in_flight - 1 if self.in_flight > 0 else math.nan

    @property
    def sentence(self) -> str:
        """The check in words; empty where there was nothing to check."""
        if math.isnan(self.in_flight):
            return ""
        figures = (
            f"{self.in_flight:,.4g} in flight on average; {self.per_s:,.4g} answers a second of "
            f"{self.seconds * 1e3:,.4g} ms each make {self.expected:,.4g}"
        )
        if self.holds is None:
            return f"Little's law cannot be checked in so short a step: {figures}."
        if self.holds:
            return f"Little's law holds: {figures}."
        why = "requests piled up" if self.off < 0 else "there were too few requests"
        return f"Little's law does not hold: {figures}. The step was not steady ({why})."


NOTHING = LittlesLaw(math.nan, math.nan, math.nan, None)


def littles_law(parts: Iterable[tuple[Times, Times]], first_ns: int, last_ns: int) -> LittlesLaw:
    """The check for requests, given in ``parts`` of (sent, done) in ns, between ``first_ns`` and ``last_ns``: the first
    and the last sending. The first quarter of that time is left out."""
    start_ns = first_ns + round(_SETTLED * (last_ns - first_ns))
    span = last_ns - start_ns
    if span <= 0:
        return NOTHING
    inside = taken = 0.0
    answered = 0
    for sent, done in parts:
        inside += float((np.clip(done, start_ns, last_ns) - np.clip(sent, start_ns, last_ns)).sum())
        ended = (done > start_ns) & (done <= last_ns)
        answered += int(ended.sum())
        taken += float((done - sent)[ended].sum())
    if not answered:
        return NOTHING
    law = LittlesLaw(inside / span, answered / (span / 1e9), taken / answered / 1e9, None)
    part = law.seconds * 1e9 / (last_ns - first_ns)
    if answered < _FEWEST_ANSWERS or part > _SETTLED:
        return law
    # what began before and ends after is counted in one of the two only
    chance = 2 * part / math.sqrt(max(law.in_flight, 1.0))
    return replace(law, holds=abs(law.off) <= TOLERANCE + chance)

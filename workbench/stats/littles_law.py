"""Little's law (1961): in a steady state, requests in flight = answers per second x seconds per answer.

A self-check of a measurement. All three are counted separately, until the last request is sent. If they do not fit, the
step was not steady (requests piled up or ran dry) or rows are missing, and its latencies describe no particular load.
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
"""This share of the time is left out at the start, while requests are still building up; a request must not take longer
than this."""
_FEWEST_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class LittlesLaw:
    """``in_flight`` on average, compared with ``per_s`` times ``seconds``.

    ``holds``: within TOLERANCE; None if there are too few answers, or they took too much of the time.
    """

    in_flight: float
    per_s: float
    seconds: float
    holds: bool | None

    @property
    def expected(self) -> float:
        """How many should be in flight: answers per second times seconds per answer."""
        return self.per_s * self.seconds

    @property
    def off(self) -> float:
        """The relative difference between the expected number and the one in flight; NaN if none was."""
        return self.expected / self.in_flight - 1 if self.in_flight > 0 else math.nan

    @property
    def sentence(self) -> str:
        """The check in words; empty if there was nothing to check."""
        if math.isnan(self.in_flight):
            return ""
        figures = (
            f"{self.in_flight:,.4g} in flight on average; {self.per_s:,.4g} answers per second of "
            f"{self.seconds * 1e3:,.4g} ms each make {self.expected:,.4g}"
        )
        if self.holds is None:
            return f"Little's law cannot be checked because the step is too short: {figures}."
        if self.holds:
            return f"Little's law holds: {figures}."
        why = "requests piled up" if self.off < 0 else "there were too few requests"
        return f"Little's law does not hold: {figures}. The step was not steady ({why})."


NOTHING = LittlesLaw(math.nan, math.nan, math.nan, None)


def littles_law(parts: Iterable[tuple[Times, Times]], first_ns: int, last_ns: int) -> LittlesLaw:
    """The check for requests, given in ``parts`` of (sent, done) in ns. ``first_ns`` and ``last_ns``: when the first
    and the last were sent. The first quarter of that time is left out."""
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
    # a request that begins before and ends after counts in one of the two only
    chance = 2 * part / math.sqrt(max(law.in_flight, 1.0))
    return replace(law, holds=abs(law.off) <= TOLERANCE + chance)

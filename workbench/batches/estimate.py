"""How long the runs of a batch will take, estimated from finished runs of this batch and earlier ones. Pure.

A run takes the time of its sending, which follows from its plan, and a rest: start, settling, the walk to the limit,
notebook and report. If runs of the same combination have finished, their whole time is used; otherwise the rest of runs
under the same profiler. Without these, the rest is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from workbench.numbers import duration

GUESSED_REST_S = {"none": 25.0, "flamegraph": 45.0, "massif": 60.0, "callgrind": 60.0, "strace": 45.0, "pprofile": 60.0}
GUESSED_PER_S = {"none": 400.0, "flamegraph": 300.0, "massif": 20.0, "callgrind": 8.0, "strace": 100.0, "pprofile": 5.0}
"""Receipts a second of a closed loop."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a run's time depends on: its ``combination`` (the same for its repeats), its profiler, and the planned
    seconds of sending."""

    combination: str
    profiler: str
    sending_s: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has finished, and the seconds it took with notebook and report."""

    kind: Kind
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds, and how many of the runs were estimated without a finished run (``guessed``)."""

    seconds: float
    guessed: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.seconds + other.seconds, self.guessed + other.guessed)

    @property
    def text(self) -> str:
        """The estimate in words."""
        return f"about {duration(self.seconds)}{' (a guess)' if self.guessed else ''}"


def sending_s(receipts: int, rate: float | None, profiler: str) -> float:
    """Seconds to send this many receipts, at ``rate`` or (None) in a closed loop."""
    return receipts / (rate or GUESSED_PER_S.get(profiler, GUESSED_PER_S["none"]))


def estimate(kind: Kind, finished: Sequence[Finished]) -> Estimate:
    """How long a run of this kind will take."""
    same = [one.seconds for one in finished if one.kind == kind]
    if same:
        return Estimate(median(same))
    rests = [one.seconds - one.kind.sending_s for one in finished if one.kind.profiler == kind.profiler]
    if rests:
        return Estimate(max(0.0, kind.sending_s + median(rests)))
    return Estimate(kind.sending_s + GUESSED_REST_S.get(kind.profiler, GUESSED_REST_S["none"]), 1)


def total(kinds: Sequence[Kind], finished: Sequence[Finished]) -> Estimate:
    """How long runs of these kinds will take, one after another."""
    return sum((estimate(kind, finished) for kind in kinds), Estimate(0.0))

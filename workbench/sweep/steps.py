"""The steps of a sweep, from one line of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import SettingsError
from workbench.masking import shown
from workbench.settings import Settings

FIRST = 1
"""The number of the first step. Runs of earlier releases count from 0, also when resumed."""
MAX_STEPS = 1000
MAX_RECEIPTS = 10_000_000
_MOST_DIGITS = 15
_LEAST_FACTOR = 1.001  # a series with it from 1 to MAX_RECEIPTS has 17,000 steps
_FORMS = "a list 250,500,1000, a range 250:1250:250, or a geometric series 125:2000:x2"
_RANGE = re.compile(r"(\d+):(\d+):(x?)(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Step:
    """``receipts`` to be sent as step ``number``. ``kind``: step; pinpoint (finds the exact limit); under a profiler
    also paired (a step without it) and warm_up. ``repeat``: which repeat of this size it is, from 1."""

    number: int
    receipts: int
    kind: str = "step"
    repeat: int = 1


def parse_steps(text: str, first: int = FIRST) -> tuple[Step, ...]:
    """Steps from a list, an inclusive range START:STOP:STEP, or a geometric series START:STOP:xFACTOR; numbered from
    ``first`` on.

    Raises SettingsError with what was found and the valid forms.
    """
    counts = _counts(text.replace(" ", "").replace("_", ""))
    for count in counts:
        if not 1 <= count <= MAX_RECEIPTS:
            raise SettingsError(f"a step has 1 to {MAX_RECEIPTS:,} receipts, found {count}", where="receipts")
    return tuple(Step(number, count) for number, count in enumerate(counts, first))


def steps_of(settings: Settings, first: int = FIRST) -> tuple[Step, ...]:
    """The steps of a sweep, with the repeats that the settings ask for: all once, then all again, so that a drift of
    the machine or the service affects all sizes alike. Raises SettingsError as :func:`parse_steps`."""
    once = parse_steps(settings.receipts, first)
    if len(once) * settings.repeats > MAX_STEPS:
        raise SettingsError(
            f"{len(once)} steps x {settings.repeats} repeats are more than {MAX_STEPS} steps", where="repeats"
        )
    rounds = range(settings.repeats)
    return tuple(Step(one.number + turn * len(once), one.receipts, repeat=turn + 1) for turn in rounds for one in once)


def first_number(manifest: Mapping[str, Any]) -> int:
    """The number of a run's first step, from its plan; FIRST if nothing is planned yet."""
    planned = [step for step in manifest.get("steps_planned") or () if isinstance(step, Mapping)]
    return min((step["number"] for step in planned if isinstance(step.get("number"), int)), default=FIRST)


def walk_of(steps: tuple[Step, ...]) -> Step:
    """The step that finds the exact limit, which comes after the others."""
    return Step(steps[-1].number + 1, 0, "pinpoint")


def extra_steps(steps: tuple[Step, ...], settings: Settings) -> tuple[Step | None, Step | None]:
    """The paired step and the warm-up of a profiled sweep, each None if the settings do not want it.

    They are numbered after the steps and the pinpoint. The paired step is as large as the first one.
    """
    after = walk_of(steps).number + 1
    paired = Step(after, steps[0].receipts, "paired") if settings.paired else None
    warm_up = Step(after + 1, settings.warm_up_receipts, "warm_up") if settings.warm_up_receipts else None
    return paired, warm_up


def _counts(text: str) -> list[int]:
    if long := [digits for digits in re.findall(r"\d+", text) if len(digits) > _MOST_DIGITS]:
        said = f"a number of {len(long[0])} digits is too large"
        raise SettingsError(said, where="receipts", hint=f"Give {_FORMS}")
    if re.fullmatch(r"\d+(,\d+)*", text):
        counts = [int(part) for part in text.split(",")]
        if len(counts) > MAX_STEPS:
            raise SettingsError(f"{len(counts)} steps are more than {MAX_STEPS}", where="receipts")
        return counts
    match = _RANGE.fullmatch(text)
    if not match:
        raise SettingsError(f"cannot read {shown(text)}", where="receipts", hint=f"Give {_FORMS}")
    start, stop, geometric = int(match[1]), int(match[2]), bool(match[3])
    if start < 1 or stop < start:
        raise SettingsError(f"{shown(text)} must rise, from 1 or more", where="receipts", hint=f"Give {_FORMS}")
    if geometric:
        factor = float(match[4])
        if factor < _LEAST_FACTOR:
            raise SettingsError(
                f"the factor {match[4]} is too small", where="receipts", hint=f"Give one of at least {_LEAST_FACTOR}"
            )
        counts, value = [], float(start)
        while round(value) <= stop and len(counts) <= MAX_STEPS:
            if not counts or round(value) > counts[-1]:
                counts.append(round(value))
            value *= factor
    else:
        if "." in match[4] or int(match[4]) < 1:
            raise SettingsError(f"the step {match[4]} is not a whole number above 0", where="receipts")
        counts = list(range(start, stop + 1, int(match[4]))[: MAX_STEPS + 1])
    if len(counts) > MAX_STEPS:
        raise SettingsError(f"{shown(text)} gives more than {MAX_STEPS} steps", where="receipts")
    return counts

"""The runs of a plan and their order. Pure."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.errors import SettingsError

Order = Literal["interleaved", "shuffled", "written"]
ORDERS: tuple[Order, ...] = ("interleaved", "shuffled", "written")
MOST_RUNS = 1000
_LONGEST_NAME = 48

Changes = Mapping[str, Any]
Axes = Mapping[str, Mapping[str, Changes]]
"""By name of axis and name of value: the settings of this value."""
Match = Mapping[str, tuple[str, ...]]
"""By axis: the values that match."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a batch. ``name`` is the end of its folder's name, and unique in the batch; ``axes``: its value on
    each axis. ``repeat`` counts from 1 up to ``repeats``. ``changes``: its own settings."""

    name: str
    axes: Mapping[str, str]
    repeat: int = 1
    changes: Changes = field(default_factory=dict)
    repeats: int = 1

    @property
    def label(self) -> str:
        """The run in words."""
        said = [f"{axis} {value}" for axis, value in self.axes.items()]
        return ", ".join([*said, f"repeat {self.repeat}"] if self.repeats > 1 else said) or "the run"


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of ``axes`` except those that ``exclude`` matches, then those of ``include`` (values on the
    axes, and settings). ``rules`` change the settings of the runs they match. Everything runs ``repeats`` times."""

    axes: Axes = field(default_factory=dict)
    repeats: int = 1
    order: Order = "interleaved"
    seed: int = 1
    exclude: tuple[Match, ...] = ()
    include: tuple[tuple[Mapping[str, str], Changes], ...] = ()
    rules: tuple[tuple[Match, Changes], ...] = ()


def runs_of(grid: Grid) -> tuple[PlannedRun, ...]:
    """The runs in the order in which they are made, numbered from 1 in their names.

    ``interleaved``: each round runs every combination once, every second round in reverse order, so that a drift of the
    machine affects all combinations equally; ``shuffled``: each round in its own random order, by the seed;
    ``written``: the repeats of a combination one after another.

    Raises SettingsError if there are no runs, or more than MOST_RUNS.
    """
    combinations = _combinations(grid)
    count = len(combinations) * grid.repeats
    if not 1 <= count <= MOST_RUNS:
        raise SettingsError(f"a batch has 1 to {MOST_RUNS:,} runs, found {count:,}", where="axes")
    ordered = _ordered(len(combinations), grid)
    digits = len(str(count))
    runs = []
    for number, (at, repeat) in enumerate(ordered, 1):
        axes, changes = combinations[at]
        words = [*axes.values(), *([f"r{repeat}"] if grid.repeats > 1 else [])]
        name = f"{number:0{digits}d}-{_slug(words)}".rstrip("-")
        runs.append(PlannedRun(name, axes, repeat, changes, grid.repeats))
    return tuple(runs)


def matches(axes: Mapping[str, str], wanted: Match) -> bool:
    """Whether a combination has one of the wanted values on each axis of ``wanted``."""
    return all(axes.get(axis) in values for axis, values in wanted.items())


def _combinations(grid: Grid) -> list[tuple[Mapping[str, str], Changes]]:
    found: list[tuple[Mapping[str, str], Changes]] = []
    values = [[(axis, value) for value in named] for axis, named in grid.axes.items()]
    for place in itertools.product(*values) if values else ():
        axes = dict(place)
        if not any(matches(axes, excluded) for excluded in grid.exclude):
            found.append((axes, _settings(grid, axes)))
    found += [(axes, {**_settings(grid, axes), **changes}) for axes, changes in grid.include]
    return found or [({}, {})] if not grid.axes else found


def _settings(grid: Grid, axes: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a combination's values, changed by the rules that match."""
    changes: dict[str, Any] = {}
    for axis, value in axes.items():
        changes |= grid.axes.get(axis, {}).get(value, {})
    for wanted, more in grid.rules:
        if matches(axes, wanted):
            changes |= more
    return changes


def _ordered(combinations: int, grid: Grid) -> Sequence[tuple[int, int]]:
    """Combination (from 0) and repeat (from 1) of each run."""
    rounds = range(1, grid.repeats + 1)
    if grid.order == "written":
        return [(at, repeat) for at in range(combinations) for repeat in rounds]
    chance = random.Random(grid.seed)  # noqa: S311 (an order, no secret)
    found = []
    for repeat in rounds:
        places = list(range(combinations))
        if grid.order == "shuffled":
            chance.shuffle(places)
        elif repeat % 2 == 0:
            places.reverse()
        found += [(at, repeat) for at in places]
    return found


def _slug(words: Sequence[str]) -> str:
    """Words joined for use in a folder's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(words)).strip("-")[:_LONGEST_NAME]

"""One side of a comparison: a run, or a profile with its number of receipts, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from workbench.analysis.findings import Findings
    from workbench.analysis.leaks import Leaks
    from workbench.profiles.model import Profile

Kind = Literal["exact", "counted", "sampled", "timed"]
# the modes whose figures are counts of what the program did, the same each time it does the same
_EXACT = frozenset({"callgrind", "massif", "dhat", "pstats"})
# callgrind's clocks have no unit of their own
_CLOCKS = frozenset({"sysTime", "sysCpuTime"})
_COUNTED = frozenset({"strace"})


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The call graph of one step, and how many receipts were sent in it."""

    profile: Profile
    receipts: float


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """``name``: what a person calls it. ``facts``: settings, machine, versions and target, by dotted name, for telling
    what differs. ``valid``: False where the run's own verdict is INVALID. ``costs``: the table of
    :mod:`workbench.analysis.costs`, background subtracted. ``graphs``, by service and mode; ``findings``; ``leaks`` by
    service. ``steps``: one row a step; ``responses``: response times, a row an accepted receipt in the order of
    sending: ``load`` (in words: steps of one load are repeats), ``step``, ``response_ms``; ``outcomes``: ``outcome``,
    ``receipts``. ``limit``: what the run says of the sender limit. ``floors``: by quantile of response times the
    noise floor of its target in percent, where equal loads were measured (A/A). ``path``: its folder or
    file."""

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    valid: bool = True
    costs: pd.DataFrame = field(default_factory=pd.DataFrame)
    graphs: Mapping[tuple[str, str], Graph] = field(default_factory=dict)
    findings: Findings | None = None
    leaks: Mapping[str, Leaks] = field(default_factory=dict)
    steps: pd.DataFrame = field(default_factory=pd.DataFrame)
    responses: pd.DataFrame = field(default_factory=pd.DataFrame)
    outcomes: pd.DataFrame = field(default_factory=pd.DataFrame)
    limit: Mapping[str, Any] = field(default_factory=dict)
    floors: Mapping[float, float] = field(default_factory=dict)
    path: Path | None = None
    notes: tuple[str, ...] = ()


def kind_of(mode: str, unit: str, metric: str = "") -> Kind:
    """How far a figure can be trusted to be the same again: ``exact`` counts of what a program did, ``counted`` events
    that depend on how things happened to coincide, ``sampled``, or ``timed``."""
    if metric in _CLOCKS:
        return "timed"
    if mode in _EXACT:
        return "timed" if unit == "ns" else "exact"
    if mode in _COUNTED:
        return "timed" if unit == "ns" else "counted"
    return "sampled"

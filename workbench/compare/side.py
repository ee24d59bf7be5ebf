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
# modes that count what the program did: the same work always gives the same figures
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
    """``name``: the name shown. ``facts``: settings, machine, versions and target, by dotted name, to find differences
    between sides. ``valid``: False if the run's own verdict is INVALID. ``costs``: the table of
    :mod:`workbench.analysis.costs`, background subtracted. ``graphs``, by service and mode; ``findings``; ``leaks`` by
    service. ``steps``: one row a step; ``responses``: response times, a row an accepted receipt in the order of
    sending: ``load`` (in words: steps of one load are repeats), ``step``, ``response_ms``; ``outcomes``: ``outcome``,
    ``receipts``. ``limit``: the run's figures on the sender limit. ``floors``: the noise floor of its target in percent
    by quantile of response times, if equal loads were measured (A/A). ``path``: its folder or file."""

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
    """How repeatable a figure is: ``exact`` counts of what a program did, ``counted`` events that depend on timing,
    ``sampled``, or ``timed``."""
    if metric in _CLOCKS:
        return "timed"
    if mode in _EXACT:
        return "timed" if unit == "ns" else "exact"
    if mode in _COUNTED:
        return "timed" if unit == "ns" else "counted"
    return "sampled"

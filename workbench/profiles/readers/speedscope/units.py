"""What the profiles of a file count: units that convert into each other are one metric, in the finest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.profiles.metrics import Metric
from workbench.profiles.readers.speedscope.document import One
from workbench.profiles.readers.speedscope.timeline import TIMES_NS

UNITS = {
    "none": "count", "nanoseconds": "ns", "microseconds": "us", "milliseconds": "ms", "seconds": "s", "bytes": "bytes",
}  # fmt: skip
# Tools that name a profile after what it counts.
METRIC_WRITERS = ("indexer-workbench", "memray")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """The metrics of all profiles together; for each profile which of them it counts and how often one of its units
    has the metric's."""

    metrics: list[Metric]
    column: list[int]
    scale: list[int]


def unit_of(one: One) -> str:
    """The unit as the workbench calls it; a word that speedscope does not know stays."""
    word = str(one.unit)[:40]
    return UNITS.get(word, word)


def is_known(one: One) -> bool:
    """Whether speedscope has such a unit."""
    return str(one.unit) in UNITS


def name_of(one: One, exporter: str, *, of_metrics: bool) -> str:
    """What the metric is called: the unit's own word, or the profile's name where that says what is counted."""
    word = str(one.unit)[:40]
    name = "samples" if word == "none" else word
    if of_metrics or exporter.startswith(METRIC_WRITERS):
        return str(one.name or "")[:_LONGEST_NAME] or name
    return name


def metrics_of(ones: Sequence[One], exporter: str) -> list[Metric]:
    """A metric for each profile, with names that differ."""
    metrics: list[Metric] = []
    for one in ones:
        name = name_of(one, exporter, of_metrics=True)
        while any(name == metric.name for metric in metrics):
            name += "'"
        metrics.append(Metric(name, unit_of(one)))
    return metrics


def counted(ones: Sequence[One], exporter: str) -> Counted:
    """What profiles count that are added up."""
    finest: dict[str, int] = {}
    kinds = [kind_of(one) for one in ones]
    for place, (kind, one) in enumerate(zip(kinds, ones, strict=True)):
        best = finest.setdefault(kind, place)
        if kind == "time" and TIMES_NS[unit_of(one)] < TIMES_NS[unit_of(ones[best])]:
            finest[kind] = place
    order = list(finest)
    metrics = [
        Metric(name_of(ones[place], exporter if len(ones) == 1 else "", of_metrics=False), unit_of(ones[place]))
        for place in finest.values()
    ]
    column = [order.index(kind) for kind in kinds]
    scale = [
        TIMES_NS[unit_of(one)] // TIMES_NS[metrics[at].unit] if kind == "time" else 1
        for kind, one, at in zip(kinds, ones, column, strict=True)
    ]
    return Counted(metrics, column, scale)


def kind_of(one: One) -> str:
    """Units of one kind convert into each other: all times are one, others are their own."""
    unit = unit_of(one)
    return "time" if unit in TIMES_NS else f"unit {unit}"

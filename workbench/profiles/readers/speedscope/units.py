"""The metrics of a file's profiles: units that convert into each other are one metric, in the finest unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.profiles.metrics import Metric
from workbench.profiles.readers.speedscope.document import One
from workbench.profiles.readers.speedscope.timeline import TIMES_NS

UNITS = {
    "none": "count", "nanoseconds": "ns", "microseconds": "us", "milliseconds": "ms", "seconds": "s", "bytes": "bytes",
}  # fmt: skip
# Tools that name a profile after its metric.
METRIC_WRITERS = ("indexer-workbench", "memray")
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """The metrics of all profiles together; for each profile its metric, and how many of the metric's units one of its
    units has."""

    metrics: list[Metric]
    column: list[int]
    scale: list[int]


def unit_of(one: One) -> str:
    """The workbench's name of the unit; words unknown to speedscope are kept."""
    word = str(one.unit)[:40]
    return UNITS.get(word, word)


def is_known(one: One) -> bool:
    """Whether speedscope has such a unit."""
    return str(one.unit) in UNITS


def name_of(one: One, exporter: str, *, of_metrics: bool) -> str:
    """The metric's name: the unit's, or the profile's name if it names the metric."""
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
    """The metrics of profiles that are added up."""
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

"""Two or more runs compared: the tables, the sentences, and what could not be determined."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.card import card
from workbench.compare.causes import Cause, causes
from workbench.compare.families import SYSTEM_CALLS, graphs
from workbench.compare.followed import followed
from workbench.compare.likeness import require_alike, unlike
from workbench.compare.metrics import CHEAPER, DEARER, LEAST_NOISE_PCT, NONE, place_table, whole_table
from workbench.compare.repeats import Repeats, beyond_noise
from workbench.compare.side import Side
from workbench.compare.words import cause_sentence, symptom_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.analysis.tiles import Tile

CAUSE_COLUMNS = (
    "id", "service", "mode", "metric", "unit", "function", "file", "crate", "effect", "effect_pct", "whole", "sentence",
    "symptoms", "symptom_sentence", "own_before", "own_after", "calls_before", "calls_after",
)  # fmt: skip
PART_COLUMNS = ("id", "kind", "callee", "before", "after", "change_pct", "effect", "whole")
SYMPTOM_COLUMNS = ("id", "function", "effect")
UNREPEATED = "Not a whole number of calls per receipt: this may be chance, and no step was repeated to check."
# the metric compared in the call graph of each mode
MAIN_METRIC = {"callgrind": "Ir"}
# a change in calls is named from half a call per receipt on
_LEAST_CALLS = 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """A first run compared with one or more others. The first column of all tables, ``run``, names the other run.

    - ``metrics``: what a receipt costs in each metric; columns in :data:`workbench.compare.metrics.WHOLE_COLUMNS`.
    - ``causes``: which changes in the program explain it, largest effect first (``effect`` per receipt in ``unit``,
      ``effect_pct`` of the whole before; ``whole``: calls changed by a whole number per receipt; ``symptoms``: how many
      functions cost more or less only because of it). ``parts``: the changes of each cause, by ``id``; ``symptoms``:
      these functions with their part of the effect.
    - ``places``: functions, crates and system calls; columns in :data:`workbench.compare.metrics.PLACE_COLUMNS`.
    - ``findings``: those that went, came and stayed; columns in :data:`workbench.compare.followed.COLUMNS`.
    - ``memory``: bytes kept per receipt by allocation site; ``load``, ``outcomes`` and ``limit``: see
      :mod:`workbench.compare.loaded`.
    - ``unlike``: what differs between the runs besides the build: what, before, after.
    - ``notes``: what could not be determined, in sentences. ``seconds``: how long comparing took.
    """

    before: str
    after: tuple[str, ...]
    metrics: pd.DataFrame
    causes: pd.DataFrame
    parts: pd.DataFrame
    symptoms: pd.DataFrame
    places: pd.DataFrame
    findings: pd.DataFrame
    memory: pd.DataFrame
    load: pd.DataFrame
    outcomes: pd.DataFrame
    limit: pd.DataFrame
    unlike: pd.DataFrame
    notes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def text(self) -> str:
        """All of it as the shell shows it."""
        from workbench.compare.told import text

        return text(self)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The four answers shown first wherever the comparison is shown: see :mod:`workbench.analysis.tiles`."""
        from workbench.compare.tiles import comparison_tiles

        return comparison_tiles(self)

    def of(self, run: str) -> Comparison:
        """The comparison with only one of the other runs."""
        tables = {name: table[table["run"] == run].reset_index(drop=True) for name, table in self.tables().items()}
        return Comparison(self.before, (run,), **tables, notes=self.notes, seconds=self.seconds)

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The tables by name."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if isinstance(getattr(self, one.name), pd.DataFrame)
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        plain = {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in self.tables().items()
        }
        return {
            "before": self.before, "after": list(self.after), **plain,
            "notes": list(self.notes), "seconds": self.seconds,
        }  # fmt: skip

    _repr_mimebundle_ = card("comparison")

    def __repr__(self) -> str:
        return self.text


def compare_sides(sides: Sequence[Side], *, anyway: bool = False) -> Comparison:
    """Compare the first side with each of the others. Raises MeasurementError that names the differences if two sides
    are not comparable, unless ``anyway``."""
    started = time.perf_counter()
    first, *others = sides
    parts = [_pair(first, other, anyway=anyway) for other in others]
    names = [name for name in parts[0] if name != "notes"]
    tables = {name: pd.concat([part[name] for part in parts], ignore_index=True) for name in names}
    notes = dict.fromkeys(note for part in parts for note in part["notes"])
    took = time.perf_counter() - started
    return Comparison(first.name, tuple(other.name for other in others), **tables, notes=tuple(notes), seconds=took)


def _pair(before: Side, after: Side, *, anyway: bool) -> dict[str, Any]:
    from workbench.compare.loaded import limit_table, load_table, outcome_table
    from workbench.compare.memory import memory_table

    differences = unlike(before, after)
    if not anyway:
        require_alike(before, after, differences)
    metrics = whole_table(before, after)
    found = cause_tables(before, after, metrics)
    tables = {
        "metrics": _joined(metrics, found["counts"]),
        "causes": found["causes"],
        "parts": found["parts"],
        "symptoms": found["symptoms"],
        "places": _places(before, after, metrics),
        "findings": followed(before, after, found["causes"], found["parts"]),
        "memory": memory_table(before, after),
        "load": load_table(before, after),
        "outcomes": outcome_table(before, after),
        "limit": limit_table(before, after),
        "unlike": differences,
    }
    named: dict[str, Any] = {}
    for name, table in tables.items():
        table = table.copy()
        table.insert(0, "run", pd.Series([after.name] * len(table), index=table.index, dtype="str"))
        named[name] = table
    return {**named, "notes": _notes(before, after, metrics, tables)}


def cause_tables(before: Side, after: Side, metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables ``causes``, ``parts`` and ``symptoms``, and ``counts``: rows like those of ``metrics`` for what the
    graphs count besides cost (allocations, locks, system calls)."""
    rows: list[tuple[Any, ...]] = []
    parts: list[tuple[Any, ...]] = []
    symptoms: list[tuple[Any, ...]] = []
    counts: list[dict[str, Any]] = []
    for service, mode in before.graphs:
        metric = MAIN_METRIC.get(mode)
        if (service, mode) not in after.graphs or metric is None:
            continue
        one, other = before.graphs[service, mode], after.graphs[service, mode]
        repeats = [Repeats.of(side, service, mode, metric) for side in (before, after)]
        for name, graph in graphs(one.profile, other.profile, metric, (one.receipts, other.receipts)):
            main = name == metric
            least = graph.whole[0] * LEAST_NOISE_PCT / 100 if main else _LEAST_CALLS
            told = causes(graph, least=least)
            kept = _kept(told.causes, repeats, least, told.before) if main else _whole_only(told.causes)
            unit = one.profile.metric(metric).unit if main else "count"
            once = main and max(one.steps for one in repeats) < 2
            for cause in kept:
                key = f"{service}/{mode}/{name}/{cause.function}"
                rows.append(_row(key, service, mode, name, unit, cause, told.before, once))
                parts += [(key, *_part(part)) for part in cause.parts]
                symptoms += [(key, *symptom) for symptom in cause.symptoms]
            if not main:
                counts.append(_count(service, mode, name, told.before, told.after, kept))
    return {
        "causes": pd.DataFrame(rows, columns=list(CAUSE_COLUMNS)),
        "parts": pd.DataFrame(parts, columns=list(PART_COLUMNS)),
        "symptoms": pd.DataFrame(symptoms, columns=list(SYMPTOM_COLUMNS)),
        "counts": pd.DataFrame(counts, columns=list(metrics.columns)),
    }


def _kept(found: Sequence[Cause], repeats: Sequence[Repeats], least: float, whole: float) -> list[Cause]:
    """The causes that exceed the noise between repeated steps and are still large enough, the largest first."""
    certain = [beyond_noise(cause, repeats[0], repeats[1], whole) for cause in found]
    kept = [cause for cause in certain if cause is not None and abs(cause.effect) >= least]
    return sorted(kept, key=lambda cause: -abs(cause.effect))


def _whole_only(found: Sequence[Cause]) -> list[Cause]:
    """For counts of calls: the causes with parts that are whole numbers per receipt, with only these parts."""
    kept = []
    for cause in found:
        parts = tuple(part for part in cause.parts if part.whole)
        if parts:
            kept.append(replace(cause, parts=parts, effect=sum(part.effect for part in parts)))
    return kept


def _row(
    key: str, service: str, mode: str, metric: str, unit: str, cause: Cause, whole: float, once: bool
) -> tuple[Any, ...]:
    share = 100 * cause.effect / whole if whole else float("nan")
    sentence = cause_sentence(cause, whole, unit, metric)
    if once and cause.main.kind == "calls" and not cause.main.whole:
        sentence += f" {UNREPEATED}"
    return (
        key, service, mode, metric, unit, cause.function, cause.file, cause.crate, cause.effect, share,
        any(part.whole for part in cause.parts), sentence, len(cause.symptoms),
        symptom_sentence(cause, unit), *cause.own, *cause.times,
    )  # fmt: skip


def _part(part: Any) -> tuple[Any, ...]:
    return part.kind, part.callee, part.before, part.after, part.change_pct, part.effect, part.whole


def _count(service: str, mode: str, metric: str, before: float, after: float, kept: Sequence[Cause]) -> dict[str, Any]:
    """A row of ``metrics`` for counted calls: a change if changes by whole numbers of calls explain at least half."""
    moved = sum(part.effect for cause in kept for part in cause.parts if part.whole)
    # the rest varies with timing
    explains = abs(moved) >= max(_LEAST_CALLS, abs(after - before) / 2) and moved * (after - before) > 0
    verdict = (DEARER if moved > 0 else CHEAPER) if explains else NONE
    return {
        "service": service, "mode": mode, "metric": metric, "unit": "count", "kind": "exact", "before": before,
        "after": after, "change_pct": 100 * (after / before - 1) if before else float("nan"), "verdict": verdict,
    }  # fmt: skip


def _joined(metrics: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """The metrics with the counts of calls, which replace callgrind's own row of system calls."""
    if counts.empty:
        return metrics
    by_calls = set(counts.loc[counts["metric"] == "system calls", "service"])
    again = (metrics["metric"] == SYSTEM_CALLS) & metrics["service"].isin(by_calls)
    return pd.concat([metrics[~again], counts.astype(metrics.dtypes.to_dict())], ignore_index=True)


def _places(before: Side, after: Side, metrics: pd.DataFrame) -> pd.DataFrame:
    """Functions and crates of each service and mode, in the first metric that both have."""
    tables = []
    for (service, mode), group in metrics.groupby(["service", "mode"], sort=False):
        known = [name for name in ("Ir", "calls", "cpu", "time", "bytes_kept") if name in set(group["metric"])]
        metric = known[0] if known else str(group["metric"].iloc[0])
        for by in ("function", "crate"):
            tables.append(place_table(before, after, metric, str(service), str(mode), by))
    kept = [table for table in tables if len(table)]
    return pd.concat(kept, ignore_index=True) if kept else place_table(Side(""), Side(""), "", "", "")


def _notes(before: Side, after: Side, metrics: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    notes = [*before.notes, *after.notes]
    notes += [f"{side.name} is INVALID: its times are not reliable" for side in (before, after) if not side.valid]
    if metrics.empty and tables["load"].empty:
        notes.append("The two have no figure in common")
    elif len(metrics) and metrics["noise_pct"].isna().all():
        notes.append(
            f"No step was repeated, so the noise is not known: {LEAST_NOISE_PCT:g} % is assumed for exact counts. "
            "Steps of one size (--receipts 100,100,100) measure it"
        )
    return tuple(notes)

"""A profile on the terminal and as JSON: totals, the top table, and notes on the figures."""

from __future__ import annotations

from workbench.hints import TYPE_CHECKING
from workbench.numbers import cell, precise, range_text
from workbench.profiles.interval import interval, ticks_of
from workbench.profiles.labels import labels
from workbench.profiles.names import apart, symbol_label, tidy_rust
from workbench.profiles.share import whole_of
from workbench.profiles.table import Table, text

if TYPE_CHECKING:
    from typing import Any

    from workbench.profiles.model import Profile
    from workbench.profiles.table import TableLike
    from workbench.profiles.transforms.combine import Difference

NAME_WIDTH = 70
_NAMED = ("name", "file", "line", "object", "crate", "matched_by", "label")
_SHOWN = ("name", "file", "line", "crate", "matched_by")


def profile_text(profile: Profile, table: TableLike, metric: str | None = None) -> str:
    """The profile in words and the table of :func:`workbench.profiles.views.top.top` in columns."""
    chosen = profile.metric(metric)
    table = Table.of(table)
    functions = len(profile.arrays.functions)
    lines = [
        f"{profile.name}: {profile.format}, {functions:,} functions"
        f"{', calls without stacks' if profile.basis == 'graph' else ''}",
        *(f"{key:11} {value}" for key, value in profile.meta.items() if key in ("cmd", "command", "reader")),
    ]
    lines += [
        f"{'Total' if not position else '':11} "
        f"{precise(profile.total(one.name), one.unit) if one.additive else 'no sum'}  {one.name}"
        + (f" ({one.description})" if one.description else "")
        for position, one in enumerate(profile.metrics)
    ]
    ticks = ticks_of(profile, metric)
    lines += ["", f"By {chosen.name}, {chosen.unit}:", table_text(_with_intervals(profile, table, metric, ticks)), ""]
    if ticks:
        lines.append(f"{ticks:,} samples: self_95 is the 95 % interval of self_pct.")
    shares = table.values("self_pct")
    if None not in shares:
        covered = float(sum(shares))
        lines.append(f"{len(table):,} {'row holds' if len(table) == 1 else 'rows hold'} {covered:.1f} % of the total.")
    else:
        lines.append("No percentages: the costs do not add up to a total.")
    lines += [f"Note: {note}." for note in profile.notes]
    return "\n".join(lines)


def profile_json(profile: Profile, table: TableLike, metric: str | None = None) -> dict[str, Any]:
    """The same as plain values; the total of a ratio is None, and ``samples`` is None if none were taken."""
    ticks = ticks_of(profile, metric)
    return {
        "name": profile.name,
        "format": profile.format,
        "basis": profile.basis,
        "metric": profile.metric(metric).name,
        "metrics": [
            {
                "name": one.name,
                "unit": one.unit,
                "description": one.description,
                "total": profile.total(one.name) if one.additive else None,
            }
            for one in profile.metrics
        ],
        "meta": {key: value for key, value in profile.meta.items() if isinstance(value, (str, int, float, bool))},
        "samples": ticks or None,
        "top": _records(_with_intervals(profile, Table.of(table), metric, ticks)),
        "notes": [note._asdict() for note in profile.notes],
    }


def _with_intervals(profile: Profile, table: Table, metric: str | None, ticks: int) -> Table:
    """The table with ``self_95``, the interval of each share, if there are samples."""
    if not ticks or not len(table):
        return table
    ends = zip(*interval(table["self"], whole_of(profile, metric), ticks), strict=True)
    columns: dict[str, Any] = {}
    for name, column in table.items():
        columns[name] = column
        if name == "self_pct":
            columns["self_95"] = text([range_text(float(low), float(high)) for low, high in ends])
    return Table(columns)


def difference_text(changes: Difference, table: TableLike) -> str:
    """What changed, largest change in self cost first; added and removed functions apart."""
    from workbench.profiles.transforms.matching import EXACT

    unit = changes.metric.unit
    before, after = changes.before_sum, changes.after_sum
    ratio = f", {after / before:.4g} times" if before > 0 and after >= 0 else ""
    sums = f"{precise(before, unit)} before, {precise(after, unit)} after{ratio}"
    if not changes.metric.additive:
        sums = "a ratio, so it has no sum"
    lines = [f"{changes.metric.name}: {sums}; figures {changes.scaling}"]
    table = Table.of(table)
    for state, heading in (("both", "In both"), ("added", "Only after"), ("removed", "Only before")):
        part = table.take(table["state"] == state)
        if len(part):
            usual = set(part["matched_by"].tolist()) <= {EXACT, ""}
            shown = part.without("state", *(["matched_by"] if usual else []))
            lines += ["", f"{heading}:", table_text(shown)]
    if not len(table):
        lines.append("No function changed.")
    lines += [f"Note: {note}." for note in changes.notes]
    return "\n".join(lines)


def difference_json(changes: Difference, table: TableLike) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "metric": changes.metric.name,
        "unit": changes.metric.unit,
        "scaling": changes.scaling,
        "before": changes.before_sum if changes.metric.additive else None,
        "after": changes.after_sum if changes.metric.additive else None,
        "functions": _records(table),
        "notes": [str(note) for note in changes.notes],
    }


def table_text(table: TableLike) -> str:
    """A table in columns: figures first, names last and shortened, columns without any value left out."""
    columns = _plain(table)
    if not any(columns.values()):
        return "(nothing)"
    said = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    cells_of = {name: [cell(value, name) for value in values] for name, values in said.items() if name not in _NAMED}
    names = [name for name in _SHOWN if any(value not in ("", None) for value in said.get(name, ()))]
    cells_of |= {name: _names(columns) if name == "name" else [_short(value) for value in said[name]] for name in names}
    shown = []
    for name, cells in cells_of.items():
        width = max(len(name), max(map(len, cells)))
        shown.append([cell.ljust(width) if name in names else cell.rjust(width) for cell in (name, *cells)])
    return "\n".join("  ".join(row).rstrip() for row in zip(*shown, strict=True))


def _names(columns: dict[str, list[Any]]) -> list[str]:
    """The names as they are shown, no two alike."""
    names = [str(name) for name in columns["name"]]
    files, objects, crates = (columns.get(column) or [""] * len(names) for column in ("file", "object", "crate"))
    named = [tidy_rust(symbol_label(name, object)) for name, object in zip(names, objects, strict=True)]
    if "line" in columns:
        # rows of the same function differ in their lines
        return [_cut(name) for name in named]
    whole = columns.get("label") or names
    return apart([_cut(name) for name in labels(named, files, objects, crates, whole)], "#{}")


def _short(value: Any) -> str:
    return _cut(tidy_rust(str(value)))


def _cut(value: str) -> str:
    seen = "".join(char if char.isprintable() else "?" for char in value)
    return seen if len(seen) <= NAME_WIDTH else f"{seen[: NAME_WIDTH // 2 - 1]}…{seen[-NAME_WIDTH // 2 :]}"


def _plain(table: TableLike) -> dict[str, list[Any]]:
    table = Table.of(table)
    return {name: table.values(name) for name in table}


def _records(table: TableLike) -> list[dict[str, Any]]:
    columns = _plain(table)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

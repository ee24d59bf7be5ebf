"""One figure over the runs that can be compared, in order of time: where it changed, and its values by version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from workbench.analysis.change_points import change_points
from workbench.catalogue.columns import COLUMNS, NUMBERS
from workbench.catalogue.listing import rows_in
from workbench.catalogue.query import check_column, chosen
from workbench.catalogue.row import FINISHED, Row

if TYPE_CHECKING:
    import pandas as pd

ALIKE = ("kind", "profiler", "receipts", "mode", "loop", "rate_per_s", "concurrency", "value_grt", "machine")
"""Runs that are equal in all of these, and all at the stand-in or all not, are one series."""
BY = "service_version"
_TEXTS = tuple(column.name for column in COLUMNS if column.kind == "text")
_KINDS = {column.name: column.kind for column in COLUMNS}


@dataclass(frozen=True, eq=False)
class History:
    """A figure over runs.

    ``runs``: a row a run, the oldest first: series (counted from 1), of (what tells the series from others), run, path,
    started (UTC), ``by``, value, changed (it is the first run after a change). ``changes``: a row a change: series,
    run, started, ``by``, before and after (medians up to the neighbouring changes), change_pct, p (the probability of
    such a difference by chance). ``versions``: a row a series and value of ``by``, in order of time: runs, median,
    lowest, highest, change_pct from the one before. Value, before, after, median, lowest and highest are in the unit
    that the figure's name ends with.
    """

    figure: str
    by: str
    runs: pd.DataFrame
    changes: pd.DataFrame
    versions: pd.DataFrame


def history(figure: str, *, by: str = BY, where: str | None = None, runs_dir: str | Path | None = None) -> History:
    """How ``figure``, a column of :func:`workbench.runs` that is a number, changed over the finished runs.

    Only runs with the same settings on the same machine are compared (see ALIKE). ``by`` is a text column whose values
    are compared with each other. ``where`` chooses runs, as in :func:`workbench.runs`. Raises SettingsError for an
    unknown column.
    """
    import pandas as pd

    if runs_dir is None:
        from workbench.settings import Settings

        runs_dir = Settings.resolve().runs_dir
    tables = tables_of(figure, by=by, where=where, runs_dir=Path(runs_dir))
    return History(
        figure,
        by,
        pd.DataFrame(tables["runs"], columns=["series", "of", "run", "path", "started", by, "value", "changed"]),
        pd.DataFrame(tables["changes"], columns=["series", "run", "started", by, "before", "after", "change_pct", "p"]),
        pd.DataFrame(tables["versions"], columns=["series", by, "runs", "median", "lowest", "highest", "change_pct"]),
    )


def tables_of(figure: str, *, by: str, where: str | None, runs_dir: Path) -> dict[str, list[Row]]:
    """The rows of the tables of :class:`History`, by their names."""
    check_column(figure, NUMBERS, "figure")
    check_column(by, _TEXTS, "by")
    every = rows_in(runs_dir)
    rows = [row for row in (every if where is None else chosen(every, where)) if row["state"] == FINISHED]
    series = _series([row for row in reversed(rows) if row[figure] is not None])
    runs: list[Row] = []
    changes: list[Row] = []
    versions: list[Row] = []
    for number, (of, own) in enumerate(series, 1):
        found = change_points([float(row[figure]) for row in own])
        runs += _runs(number, of, own, figure, by, {change.first for change in found})
        for change in found:
            at = {"series": number, **_of(own[change.first], by)}
            changes.append(
                at | {"before": change.before, "after": change.after, "change_pct": change.percent, "p": change.p}
            )
        versions += _versions(number, own, figure, by)
    return {"runs": runs, "changes": changes, "versions": versions}


def _series(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The series of comparable rows, the longest first, each with the facts that tell it from the others."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["target"] == "stand-in", *(row[name] for name in ALIKE)), []).append(row)
    differing = [at for at in range(len(ALIKE) + 1) if len({key[at] for key in groups}) > 1]
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [(", ".join(filter(None, (_said(at, key[at]) for at in differing))), own) for key, own in ordered]


def _said(at: int, value: Any) -> str:
    """One fact that tells a series from others, in words."""
    if at == 0:
        return "stand-in" if value else "service"
    if value is None or value == "":
        return ""
    name = ALIKE[at - 1]
    return f"{name} {value:g}" if _KINDS[name] in ("number", "count") else f"{name} {value}"


def _runs(number: int, of: str, own: Sequence[Row], figure: str, by: str, firsts: set[int]) -> list[Row]:
    return [
        {"series": number, "of": of, "path": row["path"], **_of(row, by), "value": float(row[figure])}
        | {"changed": at in firsts}
        for at, row in enumerate(own)
    ]


def _of(row: Row, by: str) -> Row:
    return {"run": row["run"], "started": row["started"], by: row[by]}


def _versions(number: int, own: Sequence[Row], figure: str, by: str) -> list[Row]:
    groups: dict[str, list[float]] = {}
    for row in own:
        groups.setdefault(row[by], []).append(float(row[figure]))
    rows: list[Row] = []
    for name, values in groups.items():
        now, before = median(values), rows[-1]["median"] if rows else 0.0
        change = 100 * (now - before) / abs(before) if before else None
        rows.append(
            {"series": number, by: name, "runs": len(values), "median": now}
            | {"lowest": min(values), "highest": max(values), "change_pct": change}
        )
    return rows

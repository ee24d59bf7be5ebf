"""A profile as one offline HTML page: totals and header, flame graph, top table, and notes on what was unusual.

A file that is dropped on the page is read and shown by the page itself, in the browser: it is sent nowhere. The page
without a profile only does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.charts.crate_colours import crate_colour
from workbench.markup import markup, safe
from workbench.report.export import POLICY
from workbench.report.tables import csv_link
from workbench.scripts import joined_script

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

ROWS = 500
_HERE = Path(__file__).parent
_CRATE = "Crate or module"
# column of the top table -> heading, decimals of its numbers (None: text)
_COLUMNS: dict[str, tuple[str, int | None]] = {
    "name": ("Function", None),
    "self": ("Self", 0),
    "self_pct": ("Self, %", 2),
    "cumulative_pct": ("Sum, %", 2),
    "total": ("Total", 0),
    "total_pct": ("Total, %", 2),
    "calls": ("Calls", 0),
    "cost_per_call": ("Total per call", 2),
    "crate": (_CRATE, None),
    "file": ("File", None),
    "object": ("Binary", None),
}
_CHANGES: dict[str, tuple[str, int | None]] = {
    "name": ("Function", None),
    "state": ("In", None),
    "matched_by": ("Matched by", None),
    "before_self": ("Self before", 0),
    "after_self": ("Self after", 0),
    "change_self": ("Change of self", 0),
    "before_total": ("Total before", 0),
    "after_total": ("Total after", 0),
    "ratio_total": ("Total, times", 3),
    "crate": (_CRATE, None),
    "file": ("File", None),
}


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of functions: what is said above it, its columns, and what it is sorted by."""

    rows: pd.DataFrame
    columns: Mapping[str, tuple[str, int | None]]
    said: str
    sorted_by: str


def profile_page(
    profile: Profile, *, before: Profile | None = None, title: str | None = None, metric: str | None = None
) -> str:
    """The page of a profile, or of how it differs from ``before``. It loads nothing, and its policy forbids that.

    ``title`` is its heading (None: the names); ``metric`` is that of the table, and the first of the graph (None: the
    default). Raises WorkbenchError if the two have no metric in common, or not this one.
    """
    from workbench.charts.flame import flame_graph

    graph = flame_graph(profile, before=before, title=title, metric=metric)
    profiles = [profile] if before is None else [profile, before]
    functions = _top_table(profile, metric) if before is None else _changes_table(before, profile, metric)
    shown = {name: look for name, look in functions.columns.items() if _says_something(functions.rows[name])}
    table = functions.rows[list(shown)]
    noted = [[_clean(note) for note in (*one.notes, *one.tree_notes())] for one in profiles]
    body = markup(
        "report/profile",
        title=_clean(graph.title),
        graph=safe(graph._repr_html_()),
        said=_clean(functions.said),
        more=f"The first {ROWS} of {len(table):,} are shown." if len(table) > ROWS else "",
        columns=[
            {"heading": look[0], "kind": "text" if look[1] is None else "number", "sorted": name == functions.sorted_by}
            for name, look in shown.items()
        ],
        rows=[_row(values, shown.values()) for values in table.head(ROWS).itertuples(index=False)],
        csv=csv_link(table),
        noted=zip(("After", "Before") if before is not None else ("",), noted, strict=True),
        sides=("After", "Before") if before is not None else (),
        facts=_facts(profiles),
    )
    return offline_page(graph.title, [body])


def empty_page() -> str:
    """The page without a profile: it shows files that are dropped on it, and loads and sends nothing."""
    return offline_page("workbench view", [markup("report/drop", script=safe(joined_script("charts/flame/main")))])


def offline_page(title: str, parts: Sequence[str], contents: Sequence[tuple[str, str]] = ()) -> str:
    """One self-contained file that cannot load anything from outside; ``parts`` are pieces of HTML, ``contents`` the
    anchors of its headings with their texts (empty: no list of contents)."""
    from workbench.charts.flame.graph import asset

    look = [_HERE / "template" / "report.css", _HERE / "profile_page.css"]
    return markup(
        "report/page",
        title=_clean(title),
        policy=POLICY,
        style=safe("".join(path.read_text(encoding="utf-8") for path in look)),
        contents=contents,
        parts=[safe(part) for part in parts],
        flame_style=safe(asset("flame.css")),
        script=safe(joined_script("report/page")),
    )


def _facts(profiles: list[Profile]) -> dict[str, list[str]]:
    """Format, totals and header of each profile, side by side."""
    rows: dict[str, list[str]] = {}
    for position, profile in enumerate(profiles):
        for key, value in _facts_of(profile).items():
            rows.setdefault(_clean(key), [""] * len(profiles))[position] = _clean(value)
    return rows


def _facts_of(profile: Profile) -> dict[str, str]:
    kind = "whole stacks were recorded" if profile.basis == "stacks" else "functions and calls; stacks are derived"
    facts = {"File": profile.name, "Format": f"{profile.format}: {kind}"}
    for metric in profile.metrics:
        if metric.additive:
            described = f" ({metric.description})" if metric.description and metric.description != metric.name else ""
            facts[f"Total {metric.name}"] = f"{_number(profile.total(metric.name), 2)} {metric.unit}{described}"
    facts["Functions"] = f"{len(profile.functions):,}"
    facts |= {str(key): str(value) for key, value in profile.meta.items() if isinstance(value, (str, int, float))}
    return facts


def _top_table(profile: Profile, metric: str | None) -> _Table:
    from workbench.profiles.views.top import top

    chosen = profile.metric(metric)
    said = (
        f"Costs are {chosen.name}, {chosen.unit}. Self is what a function spent itself, total includes all that it "
        "called; recursion counts once."
    )
    table = top(profile, chosen.name)
    return _Table(table.assign(name=table["label"]), _COLUMNS, said, "self")


def _changes_table(before: Profile, after: Profile, metric: str | None) -> _Table:
    from workbench.profiles.transforms.combine import difference

    changes = difference(before, after, metric)
    said = (
        f"Costs are {changes.metric.name}, {changes.metric.unit}; functions with the largest change of self cost come "
        "first."
    )
    table = changes.functions
    said = " ".join([said, *(f"{str(note)[0].upper()}{str(note)[1:]}." for note in changes.unmatched)])
    return _Table(table.assign(name=table["label"]), _CHANGES, said, "change_self")


def _says_something(column: pd.Series) -> bool:
    return bool((column.notna() & (column.astype(object) != "")).any())


def _row(values: Iterable[Any], looks: Iterable[tuple[str, int | None]]) -> list[dict[str, Any]]:
    """The cells of a row: ``text``; ``value`` of a figure, to sort by; ``swatch``: the crate's colours, as in the
    flame graph."""
    cells = []
    for value, (heading, decimals) in zip(values, looks, strict=True):
        if decimals is None:
            crate = str(value) if heading == _CRATE else ""
            swatch = (crate_colour(crate), crate_colour(crate, dark=True)) if crate else ()
            cells.append({"text": _clean(value), "value": None, "kind": "text", "swatch": swatch})
        elif pd.isna(value):
            cells.append({"text": "–", "value": None, "kind": "", "swatch": ()})
        else:
            plain = value.item() if hasattr(value, "item") else value
            cells.append({"text": _number(plain, decimals), "value": repr(plain), "kind": "", "swatch": ()})
    return cells


def _number(value: float, decimals: int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"


def _clean(value: object) -> str:
    from workbench.charts.flame.packing import clean

    return clean(str(value))

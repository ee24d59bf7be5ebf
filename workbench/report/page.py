"""A profile as one offline HTML page: what it is, its flame graph, its top table, and what was odd about it.

A file that is dropped on the page is read and shown by the page itself, in the browser: it is sent nowhere. The page
without a profile is there for that alone.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.charts.crate_colours import crate_colour
from workbench.report.export import POLICY

if TYPE_CHECKING:
    from workbench.profiles.model import Profile
    from workbench.profiles.notes import Note

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

_HEADER = (
    '<header><div id="drop"><label>Open or drop another file <input type="file"></label>'
    '<span role="status"></span></div><label>Light or dark <select id="theme"><option value="">as the system</option>'
    '<option value="light">light</option><option value="dark">dark</option></select></label></header>'
)


def profile_page(
    profile: Profile, *, before: Profile | None = None, title: str | None = None, metric: str | None = None
) -> str:
    """The page of a profile, or of how it differs from ``before``. It loads nothing and its policy forbids it to.

    ``title`` heads it (None: the names); ``metric`` is the one of the table and the one the graph begins with (None:
    the default). Raises WorkbenchError where the two have no metric in common, or not that one.
    """
    from workbench.charts.flame import flame_graph

    graph = flame_graph(profile, before=before, title=title, metric=metric)
    profiles = [profile] if before is None else [profile, before]
    functions = _top_table(profile, metric) if before is None else _changes_table(before, profile, metric)
    parts = [
        f"<h1>{_text(graph.title)}</h1>",
        f"<h2>Flame graph</h2>{graph._repr_html_()}",
        f"<h2>Functions</h2>{functions}",
        f"<h2>Notes</h2>{_notes(profiles)}",
        f"<h2>Totals and header</h2>{_facts(profiles)}",
    ]
    return offline_page(graph.title, parts)


def empty_page() -> str:
    """The page without a profile: what is dropped on it is shown, and nothing is loaded or sent."""
    from workbench.charts.flame.script import joined_script

    said = (
        "<h1>Drop a profile here</h1><p>Folded stacks, the output of <code>perf script</code>, speedscope, Firefox or "
        "pprof, packed by gzip or not. This page reads the file in this browser and sends it nowhere. Other "
        "formats: <code>workbench view FILE</code>.</p>"
    )
    return offline_page("workbench view", [said, f"<script>{joined_script()}</script>"])


def offline_page(title: str, parts: list[str]) -> str:
    """One file that needs nothing from outside and cannot ask for it; ``parts`` are pieces of HTML."""
    from workbench.charts.flame.graph import asset
    from workbench.charts.flame.script import joined_script

    look = [_HERE / "template" / "report.css", _HERE / "profile_page.css"]
    style = "".join(path.read_text(encoding="utf-8") for path in look)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{_text(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n{_HEADER}\n"
        + "\n".join(parts)
        + f'\n</main>\n<template id="flame-style"><style>{asset("flame.css")}</style></template>\n'
        f"<script>{joined_script(_HERE / 'js' / 'page.js')}</script>\n</body>\n</html>\n"
    )


def _facts(profiles: list[Profile]) -> str:
    """Format, totals and header of each profile, side by side."""
    rows: dict[str, list[str]] = {}
    for position, profile in enumerate(profiles):
        for key, value in _facts_of(profile).items():
            rows.setdefault(key, [""] * len(profiles))[position] = value
    head = ""
    if len(profiles) > 1:
        head = '<thead><tr><td></td><th scope="col">After</th><th scope="col">Before</th></tr></thead>'
    body = "".join(
        f'<tr><th scope="row">{_text(key)}</th>' + "".join(f"<td>{_text(value)}</td>" for value in values) + "</tr>"
        for key, values in rows.items()
    )
    return f'<div class="scroll" tabindex="0"><table class="facts">{head}<tbody>{body}</tbody></table></div>'


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


def _top_table(profile: Profile, metric: str | None) -> str:
    from workbench.profiles.views.top import top

    chosen = profile.metric(metric)
    said = (
        f"Costs are {chosen.name}, {chosen.unit}. Self is spent in a function itself, total with all that it called; "
        "recursion counts once."
    )
    table = top(profile, chosen.name)
    return _sortable(table.assign(name=table["label"]), _COLUMNS, said, "self")


def _changes_table(before: Profile, after: Profile, metric: str | None) -> str:
    from workbench.profiles.transforms.combine import difference

    changes = difference(before, after, metric)
    said = (
        f"Costs are {changes.metric.name}, {changes.metric.unit}; functions with the largest change of self cost come "
        "first."
    )
    table = changes.functions
    said = " ".join([said, *(f"{str(note)[0].upper()}{str(note)[1:]}." for note in changes.unmatched)])
    return _sortable(table.assign(name=table["label"]), _CHANGES, said, "change_self")


def _sortable(table: pd.DataFrame, columns: Mapping[str, tuple[str, int | None]], said: str, sorted_by: str) -> str:
    shown = {column: look for column, look in columns.items() if _says_something(table[column])}
    head = "".join(
        f'<th scope="col" data-kind="{"text" if decimals is None else "number"}"'
        f'{" aria-sort=descending" if column == sorted_by else ""}><button type="button">{heading}</button></th>'
        for column, (heading, decimals) in shown.items()
    )
    body = "".join(_row(values, shown.values()) for values in table[list(shown)].head(ROWS).itertuples(index=False))
    more = f" The first {ROWS} of {len(table):,} are shown." if len(table) > ROWS else ""
    return (
        f"<p>{_text(said)}{more} A heading sorts by its column.</p>"
        f'<div class="scroll top" tabindex="0"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _says_something(column: pd.Series) -> bool:
    return bool((column.notna() & (column.astype(object) != "")).any())


def _row(values: Iterable[Any], looks: Iterable[tuple[str, int | None]]) -> str:
    cells = []
    for value, (heading, decimals) in zip(values, looks, strict=True):
        if heading == _CRATE:
            cells.append(f'<td class="text">{_swatch(str(value))}{_text(value)}</td>')
        elif decimals is None:
            cells.append(f'<td class="text">{_text(value)}</td>')
        elif pd.isna(value):
            cells.append("<td>–</td>")
        else:
            plain = value.item() if hasattr(value, "item") else value
            cells.append(f'<td data-value="{plain!r}">{_number(plain, decimals)}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _swatch(crate: str) -> str:
    """The crate's colour, as the flame graph has it."""
    return f'<i style="--light:{crate_colour(crate)};--dark:{crate_colour(crate, dark=True)}"></i>' if crate else ""


def _notes(profiles: list[Profile]) -> str:
    lists = [_list([*profile.notes, *profile.tree_notes()]) for profile in profiles]
    if len(profiles) > 1:
        lists = [f"<h3>{name}</h3>{each}" for name, each in zip(("After", "Before"), lists, strict=True)]
    said = "".join(lists)
    return f"<p>What was odd, assumed or dropped while the profile was read and its tree made.</p>{said}"


def _list(notes: Iterable[Note]) -> str:
    items = "".join(f"<li>{_text(str(note))}</li>" for note in notes)
    return f"<ul>{items}</ul>" if items else "<p>Nothing.</p>"


def _number(value: float, decimals: int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"


def _text(value: object) -> str:
    from workbench.charts.flame.packing import clean

    return html.escape(clean(str(value)))

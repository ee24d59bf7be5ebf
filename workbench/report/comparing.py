"""A comparison for people: sentences, tables and difference flame graphs, in notebooks and as one offline page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from workbench.errors import NAME_ANOTHER, SettingsError
from workbench.markup import markup, safe
from workbench.report.display import tiles
from workbench.report.page import offline_page
from workbench.report.tables import table
from workbench.report.view import View, nothing, plain_html

if TYPE_CHECKING:
    import pandas as pd

    from workbench.charts.flame import FlameGraph
    from workbench.compare.comparison import Comparison
    from workbench.compare.side import Side

ROWS = 50
EXAMPLE = ("receipts-before.callgrind.out.gz", "receipts-after.callgrind.out.gz")
EXAMPLE_RECEIPTS = 60
# table of a comparison -> its heading, and the columns that are shown
_TABLES = {
    "metrics": (
        "What a receipt costs",
        ["service", "mode", "metric", "unit", "before", "after", "change_pct", "low_pct", "high_pct", "noise_pct",
         "verdict"],
    ),
    "causes": ("What explains it", ["sentence", "metric", "effect", "effect_pct", "symptoms", "file"]),
    "symptoms": ("Functions that only show it", ["id", "function", "effect"]),
    "findings": (
        "Findings", ["state", "kind", "service", "subject", "foretold_pct", "saved_pct", "before", "after"],
    ),
    "load": (
        "Response times by decile",
        ["load", "decile", "before_ms", "after_ms", "shift_ms", "low_ms", "high_ms", "noise_pct", "verdict"],
    ),
    "outcomes": ("Outcomes", ["outcome", "before", "after", "share_before_pct", "share_after_pct", "q", "verdict"]),
    "memory": ("Memory kept per receipt", ["service", "function", "before", "after", "flag_after", "verdict"]),
    "limit": ("The sender limit", ["what", "before", "after"]),
    "places": ("Place by place", ["mode", "by", "name", "before", "after", "change", "change_pct", "q", "verdict"]),
    "unlike": ("What differs besides the build", ["what", "before", "after"]),
}  # fmt: skip


def comparison_words(found: Comparison) -> View:
    """The comparison's sentences about the cost of a receipt; the rest is in tables."""
    from workbench.compare.told import opening

    said = opening(found)
    return View(plain_html(said), said)


def comparison_table(found: Comparison, name: str, rows: int = ROWS) -> View:
    """One of its tables, with its most important columns; a sentence if it has no rows."""
    shown = _shown(found, name)
    return (
        table(shown, rows, name=_TABLES[name][0])
        if len(shown)
        else nothing("Nothing was measured in both, or nothing differs")
    )


def difference_flames(sides: Sequence[Side]) -> list[FlameGraph]:
    """Difference flame graphs per receipt between the first side and each of the others, for each service and mode
    whose call graph both sides have."""
    from workbench.charts.flame import flame_graph

    first, *others = sides
    return [
        flame_graph(
            other.graphs[key].profile,
            before=first.graphs[key].profile,
            per=(first.graphs[key].receipts, other.graphs[key].receipts),
            title=f"{key[0]} under {key[1]}: {first.name}, compared with {other.name}",
        )
        for other in others
        for key in first.graphs
        if key in other.graphs
    ]


def asked(before: str, after: str, receipts: str = "") -> list[Side]:
    """The sides that a notebook names, separated by commas; without names those of the committed example, a service in
    which one function does 10 % more work and which allocates once more per receipt. Raises WorkbenchError."""
    from workbench.report.answers.example import example
    from workbench.sides.read import sides_of

    if not before and not after:
        return sides_of([example(name) for name in EXAMPLE], receipts=EXAMPLE_RECEIPTS)
    numbers = [_number(text) for text in _listed(receipts)]
    return sides_of(
        [before, *_listed(after)], receipts=(numbers if len(numbers) > 1 else numbers[0]) if numbers else None
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{text!r} is not a number of receipts", where="receipts", hint="Write it as 100") from None


def write_comparison(found: Comparison, sides: Sequence[Side], path: Path) -> None:
    """Write one self-contained page. Raises RunFolderError if it cannot be written."""
    from workbench.runs.atomic import replacing

    title = f"{found.before} and {', '.join(found.after)}"
    sections = [*_compared(found, sides, path.parent), *_sections(found, sides)]
    contents = [(anchor, heading) for anchor, heading, _ in sections]
    head = markup("report/heading", level=1, anchor="", text=title, below=safe(tiles(found).as_html))
    parts = [
        head,
        *(markup("report/heading", level=2, anchor=at, text=text, below=safe(html)) for at, text, html in sections),
    ]
    with replacing(path, NAME_ANOTHER) as unfinished:
        unfinished.write_text(offline_page(title, parts, contents), encoding="utf-8", errors="backslashreplace")


def _compared(found: Comparison, sides: Sequence[Side], folder: Path) -> Iterator[tuple[str, str, str]]:
    """The compared runs if any has a report: their names link to their reports from a page in ``folder``."""
    import pandas as pd

    heading = "What is compared"
    reports = [_address(side.path / "report.html", folder) if side.path is not None else "" for side in sides]
    if any(reports):
        which = ["before", *["after"] * len(found.after)]
        rows = pd.DataFrame({"side": which, "run": [side.name for side in sides]})
        yield "compared", heading, table(rows, links={"run": reports}, name=heading).as_html


def _address(file: Path, folder: Path) -> str:
    """The link to a file from a page in ``folder``; "" if the file does not exist."""
    return quote(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()) if file.is_file() else ""


def _sections(found: Comparison, sides: Sequence[Side]) -> Iterator[tuple[str, str, str]]:
    """Anchor, heading and HTML of each part that has something to show."""
    yield "words", "In words", comparison_words(found).as_html
    for name, (heading, _) in _TABLES.items():
        if len(_shown(found, name)):
            yield name, heading, comparison_table(found, name).as_html
    for number, graph in enumerate(difference_flames(sides), 1):
        yield f"difference-{number}", graph.title, graph._repr_html_()


def _shown(found: Comparison, name: str) -> pd.DataFrame:
    """The columns of a table that have values; ``run`` only if there are several runs."""
    whole = found.tables()[name]
    columns = [*(["run"] if len(found.after) > 1 else []), *_TABLES[name][1]]
    shown = whole[columns]
    return shown[[column for column in columns if shown[column].notna().any()]] if len(shown) else shown

"""``workbench runs``: list, query, show, tag, annotate and remove runs; the history of a figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result, tell
from workbench.errors import NAME_ANOTHER_OUTPUT
from workbench.numbers import cell

if TYPE_CHECKING:
    from workbench.catalogue.row import Row

_SHOWN = (
    "run", "batch", "state", "verdict", "validity", "profiler", "receipts", "rate_per_s", "limit_receipts",
    "response_p50_ms", "response_p99_ms", "instructions_per_receipt", "tags", "fault",
)  # fmt: skip
_LONGEST = 60
_RUN = "The folder of a run, or its name or a part of it."


def add_runs(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs``, which lists runs."""
    parser.epilog = "Actions, each with --help: runs show, runs tag, runs note, runs rm, runs history."
    parser.add_argument(
        "--where", metavar="SQL", help="Only runs for which this SQL condition holds: \"verdict = 'FAIL'\"."
    )
    parser.add_argument("--columns", metavar="NAMES", help="Columns to show, with commas, or all.")
    parser.add_argument("--last", type=int, metavar="N", help="The newest N only.")
    _add_common(parser)


def add_show(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs show``."""
    parser.add_argument("run", metavar="RUN", help=_RUN)
    _add_common(parser)


def add_tag(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs tag``."""
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("tags", nargs="*", metavar="TAG", help="Tags to give.")
    parser.add_argument("--remove", nargs="+", metavar="TAG", default=[], help="Tags to take away.")
    _add_common(parser)


def add_note(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs note``."""
    parser.add_argument("run", metavar="RUN", help=_RUN)
    parser.add_argument("text", metavar="TEXT", help='The note, which replaces an earlier one; "" removes it.')
    _add_common(parser)


def add_rm(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs rm``."""
    parser.add_argument("run", nargs="+", metavar="RUN", help="Folders of runs, or their names or parts of them.")
    parser.add_argument("--yes", action="store_true", help="Do not ask.")
    _add_common(parser)


def add_history(parser: OneLineParser) -> None:
    """The arguments of ``workbench runs history``."""
    parser.add_argument("figure", metavar="FIGURE", help="A column that is a number, such as response_p95_ms.")
    parser.add_argument(
        "--by", default="service_version", metavar="COLUMN", help="A series for each value of this column."
    )
    parser.add_argument("--where", metavar="SQL", default=None, help="Only runs for which this condition holds.")
    parser.add_argument("-o", "--output", type=Path, metavar="PATH", help="Write a chart: one offline HTML page.")
    _add_common(parser)


def _add_common(parser: OneLineParser) -> None:
    add_runs_dir(parser)
    add_json(parser)


def add_runs_dir(parser: OneLineParser) -> None:
    """Where the runs are."""
    parser.add_argument("--runs-dir", type=Path, metavar="PATH", help="Where runs are (default: data/runs).")


def do_runs(options: argparse.Namespace) -> int:
    """Print a row for each run, the newest first."""
    from workbench.catalogue.listing import rows_in
    from workbench.catalogue.query import check_column, chosen

    names = _columns(options.columns)
    for name in names:
        check_column(name, where="--columns")
    rows = rows_in(runs_dir(options))
    shown = rows if options.where is None else chosen(rows, options.where)
    if options.last is not None:
        shown = shown[: max(options.last, 0)]
    if options.json:
        print_json(shown)
        return 0
    if shown:
        result(table(shown, names))
    which = "" if options.where is None else f" of {len(rows):,}"
    result(f"{len(shown):,}{which} runs in {runs_dir(options)}")
    return 0


def _columns(text: str | None) -> Sequence[str]:
    from workbench.catalogue.columns import NAMES

    if text is None:
        return _SHOWN
    return NAMES if text == "all" else [name.strip() for name in text.split(",") if name.strip()]


def do_show(options: argparse.Namespace) -> int:
    """Print a line for each column of a run."""
    from workbench.catalogue.columns import COLUMNS
    from workbench.catalogue.remove import size_of

    run = named(options)
    row = _row(run)
    size = size_of(run)
    if options.json:
        print_json([{**row, "size_bytes": size}])
        return 0
    width = max(len(column.name) for column in COLUMNS)
    for column in COLUMNS:
        if row[column.name] not in (None, ""):
            print(f"{column.name:{width}}  {cell(row[column.name])}")
    print(f"{'size_bytes':{width}}  {size:,}")
    for name in ("report.html", "notebook.ipynb"):
        if (run / name).is_file():
            print(f"{name:{width}}  {run / name}")
    return 0


def do_tag(options: argparse.Namespace) -> int:
    """Change the tags, and print them."""
    from workbench.catalogue.marks import tag

    run = named(options)
    marks = tag(run, options.tags, options.remove)
    tell(options, {"run": run.name, "tags": list(marks.tags)}, f"{run.name}: {', '.join(marks.tags) or 'no tags'}")
    return 0


def do_note(options: argparse.Namespace) -> int:
    """Change the note, and print it."""
    from workbench.catalogue.marks import note

    run = named(options)
    marks = note(run, options.text)
    tell(options, {"run": run.name, "note": marks.note}, f"{run.name}: {marks.note or 'no note'}")
    return 0


def do_rm(options: argparse.Namespace) -> int:
    """Remove runs, after asking."""
    from workbench.catalogue.named import run_named
    from workbench.catalogue.remove import check_removable, remove_run, size_of
    from workbench.errors import SettingsError

    folder = runs_dir(options)
    found = list(dict.fromkeys(run_named(text, folder) for text in options.run))
    for run in found:
        check_removable(run)
    if not options.yes:
        for run in found:
            print(f"{run}: {size_of(run):,} bytes", file=sys.stderr)
        if not sys.stdin.isatty():
            raise SettingsError(
                "cannot ask for confirmation without a terminal",
                where="workbench runs rm",
                hint="Give --yes to remove them",
            )
        print(f"Remove {len(found)} runs? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 0
    removed = [{"run": run.name, "size_bytes": remove_run(run)} for run in found]
    words = "\n".join(f"{one['run']}: removed, {one['size_bytes']:,} bytes" for one in removed)
    tell(options, removed, words)
    return 0


def do_history(options: argparse.Namespace) -> int:
    """Print a row for each version, and the changes that were found."""
    from workbench.catalogue.history import tables_of

    by, where, folder = options.by, options.where, runs_dir(options)
    tables = tables_of(options.figure, by=by, where=where, runs_dir=folder)
    if options.output is not None:
        from workbench.catalogue.history import history
        from workbench.charts import history as chart
        from workbench.runs.atomic import replacing

        with replacing(options.output, NAME_ANOTHER_OUTPUT) as temporary:
            found = history(options.figure, by=by, where=where, runs_dir=folder)
            chart(found).write_html(temporary, include_plotlyjs=True)
    if options.json:
        print_json({"figure": options.figure, "by": by, **tables})
        return 0
    if not tables["runs"]:
        print(f"No finished run has {options.figure}.")
        return 0
    several = len({row["series"] for row in tables["runs"]}) > 1
    for number in dict.fromkeys(row["series"] for row in tables["runs"]):
        own = {name: [row for row in rows if row["series"] == number] for name, rows in tables.items()}
        if several:
            print(f"Series {number}: {own['runs'][0]['of']}")
        print(table(own["versions"], (by, "runs", "median", "lowest", "highest", "change_pct")))
        print(*_changes(own["changes"], options.figure, by) or ["No change was found."], sep="\n", end="\n\n")
    if options.output is not None:
        print(options.output)
    return 0


def _changes(rows: Sequence[Row], name: str, by: str) -> list[str]:
    return [
        f"{name} changed from {cell(row['before'])} to {cell(row['after'])} ({row['change_pct']:+.1f} %) "
        f"with {row['run']}{f', {row[by]}' if row[by] else ''}"
        for row in rows
    ]


def named(options: argparse.Namespace) -> Path:
    """The run that the text names; a path needs no folder of runs."""
    from workbench.catalogue.named import run_named

    given = Path(options.run)
    return run_named(options.run, given.parent if given.is_dir() else runs_dir(options))


def _row(run: Path) -> Row:
    from workbench.catalogue.listing import row_in

    return row_in(run)


def runs_dir(options: argparse.Namespace) -> Path:
    """Where the runs are."""
    if options.runs_dir is not None:
        return Path(options.runs_dir)
    from workbench.settings import Settings

    return Settings.resolve().runs_dir


def table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Rows in aligned columns: columns without any value are left out, long texts are cut."""
    said = [name for name in names if any(row[name] not in (None, "") for row in rows)]
    shown = []
    for name in said:
        numbers = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        cells = [name, *(_cut(cell(row[name])) for row in rows)]
        width = max(map(len, cells))
        shown.append([cell.rjust(width) if numbers else cell.ljust(width) for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*shown, strict=True))


def _cut(text: str) -> str:
    seen = "".join(char if char.isprintable() else "?" for char in text)
    return seen if len(seen) <= _LONGEST else f"{seen[: _LONGEST - 1]}…"

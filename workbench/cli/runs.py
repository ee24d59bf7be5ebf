"""The commands about the runs there are: list, ask, show, tag, note, remove, open, and a figure's history. Thin."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.catalogue.row import Row

_SHOWN = (
    "run", "batch", "state", "verdict", "validity", "profiler", "receipts", "rate_per_s", "limit_receipts",
    "response_p50_ms", "response_p99_ms", "instructions_per_receipt", "tags", "fault",
)  # fmt: skip
_LONGEST = 60


def add_runs(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench runs``; without an action it lists."""
    _add_list(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="what to do with runs")
    show = actions.add_parser("show", help="All that is known of a run.")
    tag = actions.add_parser("tag", help="Give a run tags, or take them away.")
    note = actions.add_parser("note", help="Write a note about a run.")
    remove = actions.add_parser("rm", help="Remove runs with all that is in their folders.")
    opening = actions.add_parser("open", help="Open a run's report in the browser.")
    history = actions.add_parser("history", help="How a figure went over the runs, and where it changed.")
    for one in (show, tag, note, opening):
        one.add_argument("run", metavar="RUN", help="The folder of a run, or its name or a part of it.")
    remove.add_argument("run", nargs="+", metavar="RUN", help="Folders of runs, or their names or parts of them.")
    remove.add_argument("--yes", action="store_true", help="Do not ask.")
    tag.add_argument("tags", nargs="*", metavar="TAG", help="Tags to give.")
    tag.add_argument("--remove", nargs="+", metavar="TAG", default=[], help="Tags to take away.")
    note.add_argument("text", metavar="TEXT", help='The note, in place of the one there is; "" removes it.')
    history.add_argument("figure", metavar="FIGURE", help="A column that is a number, such as response_p95_ms.")
    history.add_argument("--by", default="service_version", metavar="COLUMN", help="Set side by side by this.")
    history.add_argument("--where", metavar="SQL", default=None, help="Of the runs for which this is true.")
    history.add_argument("-o", "--output", type=Path, metavar="PATH", help="Write a chart: one offline HTML page.")
    for one in (show, tag, note, remove, opening, history):
        one.add_argument("--debug", action="store_true", help="Show tracebacks.")
        # not given here, what was given before the action holds
        one.add_argument("--runs-dir", type=Path, metavar="PATH", default=argparse.SUPPRESS, help="Where runs are.")
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="Print JSON.")


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--where", metavar="SQL", help="Runs for which this is true: \"verdict = 'FAIL'\".")
    parser.add_argument("--columns", metavar="NAMES", help="Columns to show, with commas, or all.")
    parser.add_argument("--last", type=int, metavar="N", help="The newest N only.")
    parser.add_argument("--runs-dir", type=Path, metavar="PATH", help="Where runs are (default: data/runs).")
    parser.add_argument("--json", action="store_true", help="Print JSON, all columns.")


def runs(options: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    actions = {"show": _show, "tag": _tag, "note": _note, "rm": _remove, "open": _open, "history": _history}
    return actions.get(options.action, _list)(options)


def _list(options: argparse.Namespace) -> int:
    from workbench.catalogue.listing import rows_in
    from workbench.catalogue.query import check_column, chosen

    names = _columns(options.columns)
    for name in names:
        check_column(name, where="--columns")
    rows = rows_in(_runs_dir(options))
    shown = rows if options.where is None else chosen(rows, options.where)
    if options.last is not None:
        shown = shown[: max(options.last, 0)]
    if options.json:
        _print_json(shown)
        return 0
    if shown:
        print(table(shown, names))
    which = "" if options.where is None else f" of {len(rows):,}"
    print(f"{len(shown):,}{which} runs in {_runs_dir(options)}")
    return 0


def _columns(text: str | None) -> Sequence[str]:
    from workbench.catalogue.columns import NAMES

    if text is None:
        return _SHOWN
    return NAMES if text == "all" else [name.strip() for name in text.split(",") if name.strip()]


def _show(options: argparse.Namespace) -> int:
    from workbench.catalogue.columns import COLUMNS
    from workbench.catalogue.remove import size_of

    run = _named(options)
    row = _row(run)
    size = size_of(run)
    if options.json:
        _print_json([{**row, "size_bytes": size}])
        return 0
    width = max(len(column.name) for column in COLUMNS)
    for column in COLUMNS:
        if row[column.name] not in (None, ""):
            print(f"{column.name:{width}}  {figure(row[column.name])}")
    print(f"{'size_bytes':{width}}  {size:,}")
    for name in ("report.html", "notebook.ipynb"):
        if (run / name).is_file():
            print(f"{name:{width}}  {run / name}")
    return 0


def _tag(options: argparse.Namespace) -> int:
    from workbench.catalogue.marks import tag

    run = _named(options)
    marks = tag(run, options.tags, options.remove)
    _say(options, {"run": run.name, "tags": list(marks.tags)}, f"{run.name}: {', '.join(marks.tags) or 'no tags'}")
    return 0


def _note(options: argparse.Namespace) -> int:
    from workbench.catalogue.marks import note

    run = _named(options)
    marks = note(run, options.text)
    _say(options, {"run": run.name, "note": marks.note}, f"{run.name}: {marks.note or 'no note'}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from workbench.catalogue.named import run_named
    from workbench.catalogue.remove import check_removable, remove_run, size_of
    from workbench.errors import SettingsError

    runs_dir = _runs_dir(options)
    found = list(dict.fromkeys(run_named(text, runs_dir) for text in options.run))
    for run in found:
        check_removable(run)
    if not options.yes:
        for run in found:
            print(f"{run}: {size_of(run):,} bytes", file=sys.stderr)
        if not sys.stdin.isatty():
            raise SettingsError("nobody can be asked here", where="workbench runs rm", hint="Give --yes to remove them")
        print(f"Remove {len(found)} runs? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 0
    removed = [{"run": run.name, "size_bytes": remove_run(run)} for run in found]
    words = "\n".join(f"{one['run']}: removed, {one['size_bytes']:,} bytes" for one in removed)
    _say(options, removed, words)
    return 0


def _open(options: argparse.Namespace) -> int:
    from workbench.errors import RunFolderError
    from workbench.report.opening import open_page

    run = _named(options)
    page = run / "report.html"
    if not page.is_file():
        raise RunFolderError(
            "the run has no report", where=str(run), hint=f"`workbench report {run}` makes it of a finished run"
        )
    _say(options, {"run": run.name, "report": str(page), "opened": open_page(page)}, str(page))
    return 0


def _history(options: argparse.Namespace) -> int:
    from workbench.catalogue.history import tables_of

    by, where, runs_dir = options.by, options.where, _runs_dir(options)
    tables = tables_of(options.figure, by=by, where=where, runs_dir=runs_dir)
    if options.output is not None:
        from workbench.catalogue.history import history
        from workbench.charts import history as chart
        from workbench.runs.atomic import replacing

        with replacing(options.output, "Name another file with -o, or make room") as temporary:
            found = history(options.figure, by=by, where=where, runs_dir=runs_dir)
            chart(found).write_html(temporary, include_plotlyjs=True)
    if options.json:
        _print_json({"figure": options.figure, "by": by, **tables})
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
        f"{name} changed from {figure(row['before'])} to {figure(row['after'])} ({row['change_pct']:+.1f} %) "
        f"with {row['run']}{f', {row[by]}' if row[by] else ''}"
        for row in rows
    ]


def _named(options: argparse.Namespace) -> Path:
    """The run that is meant; a path is taken without asking where the runs are."""
    from workbench.catalogue.named import run_named

    given = Path(options.run)
    return run_named(options.run, given.parent if given.is_dir() else _runs_dir(options))


def _row(run: Path) -> Row:
    from workbench.catalogue.listing import row_in

    return row_in(run)


def _runs_dir(options: argparse.Namespace) -> Path:
    if options.runs_dir is not None:
        return Path(options.runs_dir)
    from workbench.settings import Settings

    return Settings.resolve().runs_dir


def table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Rows in columns: those in which no row says anything are left out, long texts are cut."""
    said = [name for name in names if any(row[name] not in (None, "") for row in rows)]
    shown = []
    for name in said:
        numbers = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        cells = [name, *(_cut(figure(row[name])) for row in rows)]
        width = max(map(len, cells))
        shown.append([cell.rjust(width) if numbers else cell.ljust(width) for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*shown, strict=True))


def figure(value: Any) -> str:
    """A value as people read it: figures with separators and four digits at least, times to the second."""
    if value is None or value != value:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, (bool, str)):
        return str(value)
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.4g}"


def _cut(text: str) -> str:
    seen = "".join(char if char.isprintable() else "?" for char in text)
    return seen if len(seen) <= _LONGEST else f"{seen[: _LONGEST - 1]}…"


def _say(options: argparse.Namespace, facts: Any, words: str) -> None:
    if options.json:
        _print_json(facts)
    else:
        print(words)


def _print_json(value: Any) -> None:
    from workbench.runs.atomic import to_json

    print(to_json(_plain(value)))


def _plain(value: Any) -> Any:
    """Times as text in UTC."""
    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z"
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value

"""``workbench open``: the report of a run or a batch, in the browser if there is one."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.runs import add_runs_dir, named
from workbench.cli.saying import add_json, say, tell
from workbench.cli.waiting import awaited

PAGE = "report.html"


def add_open(parser: OneLineParser) -> None:
    """The arguments of ``workbench open``."""
    parser.add_argument("run", metavar="RUN", help="The folder of a run or batch, or its name or a part of it.")
    parser.add_argument("--no-open", action="store_true", help="Open no browser: only print the path.")
    add_runs_dir(parser)
    add_json(parser)


def do_open(options: argparse.Namespace) -> int:
    """Make the report if it is missing, print its path, and open it in a browser if there is a display."""
    from workbench.report.opening import open_page

    folder = named(options)
    page = folder / PAGE
    made = not page.is_file()
    if made:
        _make(folder)
    opened = not options.no_open and open_page(page)
    tell(options, {"run": folder.name, "report": str(page), "made": made, "opened": opened}, str(page))
    return 0


def _make(folder: Path) -> None:
    """The report of a run or batch. Raises SettingsError if the run has not finished, ToolError if the notebook
    fails."""
    from workbench.batches.folder import FILE, Batch
    from workbench.report.batch import summarise
    from workbench.report.sweep_report import report_run

    say(f"{folder} has no report yet; making it now")
    if (folder / FILE).exists():
        awaited(summarise(Batch.open(folder)))
    else:
        awaited(report_run(folder, say=say))

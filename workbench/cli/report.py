"""``workbench report``: notebook and report of a run, made again."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, say
from workbench.cli.thresholds import add_fail_if
from workbench.cli.waiting import awaited


def add_report(parser: OneLineParser) -> None:
    """The arguments of ``workbench report``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="The run folder.")
    add_fail_if(parser)
    add_json(parser)


def do_report(options: argparse.Namespace) -> int:
    """Make both again; nothing is measured."""
    from workbench.cli.measuring import finish
    from workbench.report.sweep_report import report_run

    return finish(awaited(report_run(options.run, say=say, fail_if=options.fail_if)), options)

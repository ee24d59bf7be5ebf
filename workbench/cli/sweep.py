"""``workbench sweep``: steps up to the sender limit and past it; writes a notebook and one HTML report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from workbench.cli.measuring import add_services, add_sweep_settings, add_thresholds, finish
from workbench.cli.options import add_config, given, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json
from workbench.cli.waiting import awaited
from workbench.errors import SettingsError


def add_sweep(parser: OneLineParser) -> None:
    """The arguments of ``workbench sweep``."""
    parser.first = ("receipts", "rate", "repeats", "profiler", "target", "fail_if", "resume", "json", "config")
    parser.epilog = "Example: workbench sweep --receipts 250:1250:250 --rate 200"
    parser.add_argument("--resume", type=Path, metavar="RUN", help="Go on with an interrupted run.")
    add_json(parser)
    add_config(parser)
    add_sweep_settings(parser)
    add_services(parser)
    add_thresholds(parser)


def do_sweep(options: argparse.Namespace) -> int:
    """Run a sweep, or continue one."""
    from workbench.progress import Progress
    from workbench.report.sweep_report import report_sweep

    require_alone(options, "run")
    settings = None if options.resume else settings_of(options)
    with Progress(sys.stderr) as progress:
        run = awaited(report_sweep(settings, resume=options.resume, config=options.config, say=progress))
    return finish(run, options)


def require_alone(options: argparse.Namespace, what: str) -> None:
    """Raise SettingsError if ``--resume`` is given with settings: a run that is resumed keeps its own."""
    found = given(options)
    if options.resume and found:
        raise SettingsError(
            f"--resume takes the {what}'s own settings, found {', '.join(sorted(found))} as well",
            where="--resume",
            hint=f"Leave them out, or start a new {what}",
        )

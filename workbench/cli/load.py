"""``workbench load``: receipts are sent once, and measured."""

from __future__ import annotations

import argparse
import sys

from workbench.cli.measuring import add_load_settings, add_services, add_thresholds
from workbench.cli.options import add_config, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.thresholds import write_junit
from workbench.cli.tiles import tile_facts, tile_lines
from workbench.cli.waiting import awaited


def add_load(parser: OneLineParser) -> None:
    """The arguments of ``workbench load``."""
    parser.first = ("num_receipts", "rate", "concurrency", "arrivals", "target", "fail_if", "json", "config")
    parser.epilog = "Example: workbench load --num-receipts 1000 --rate 200"
    add_json(parser)
    add_config(parser)
    add_load_settings(parser)
    add_services(parser, unused=("profile", "idle_s"))
    add_thresholds(parser)


def do_load(options: argparse.Namespace) -> int:
    """Send, and print what was measured."""
    from workbench.progress import Progress
    from workbench.sweep.single import load_settings, run_load

    settings = load_settings(settings_of(options, name="load"))
    with Progress(sys.stderr) as progress:
        measured = awaited(run_load(settings, on_event=progress.event))
    if options.json:
        from workbench.exchange.load_json import load_json

        print_json(load_json(measured.summary, measured.run.path, tile_facts(measured.run)))
    else:
        result(f"{measured.text}\n{tile_lines(measured.run)}\nRun         {measured.run.path}")
    write_junit(options.junit, {"load": measured.run.manifest})
    return measured.exit_code

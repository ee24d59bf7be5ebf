"""``workbench requests``: signed requests for another load tool to send."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.options import add_config, add_settings, all_but, settings_of
from workbench.cli.parser import OneLineParser
from workbench.cli.saying import say
from workbench.cli.waiting import awaited


def add_requests(parser: OneLineParser) -> None:
    """The arguments of ``workbench requests``."""
    from workbench.settings import CommandSettings, LoadSettings, StandinSettings, TargetSettings

    parser.first = ("to", "output", "start_in", "num_receipts", "rate", "target", "allocation", "config")
    parser.add_argument(
        "--to",
        required=True,
        choices=("vegeta", "k6", "headers"),
        help="vegeta: its JSON targets, one per line; k6: a script, with its receipts beside it; headers: only the "
        "receipts, one per line.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="The file to write, or a FIFO (standard output). A pipe gets each request shortly before it is due.",
    )
    parser.add_argument(
        "--start-in",
        type=_seconds,
        metavar="S",
        help="When the first request is due, in seconds from now (a pipe: at once; a file: 5 s after it is written).",
    )
    add_config(parser)
    plan = ("num_receipts", "rate", "concurrency", "seed", "timeout_s", "max_in_flight", "timestamp_window_s")
    add_settings(parser, LoadSettings, "load", leave_out=all_but(LoadSettings, *plan))
    add_settings(parser, TargetSettings, "target")
    before = ("preflight", "database_url")
    add_settings(parser, CommandSettings, "before", leave_out=all_but(CommandSettings, *before))
    add_settings(parser, StandinSettings, "route", leave_out=all_but(StandinSettings, "url_prefix"))


def do_requests(options: argparse.Namespace) -> int:
    """Sign, and write; a pipe gets each request shortly before it is due."""
    from workbench.exchange.requests import find, write

    settings = settings_of(options)
    write(awaited(find(settings)), options.to, options.output, options.start_in, say)
    return 0


def _seconds(text: str) -> float:
    seconds = float(text.removesuffix("s"))
    if not 0 <= seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not a time to wait; give seconds, 0 or more")
    return seconds

"""The commands that exchange with other load tools: requests, export. Thin, one function a subcommand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.settings import Settings


def add_requests(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench requests`` that are no settings."""
    parser.add_argument(
        "--to",
        required=True,
        choices=("vegeta", "k6", "headers"),
        help="vegeta: its JSON targets, one a line; k6: a script, with its receipts beside it; headers: the receipts "
        "alone, one a line.",
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


def requests(options: argparse.Namespace, settings: Settings) -> int:
    """``workbench requests``: signed requests, for another tool to send."""
    from workbench.exchange.requests import find, write

    write(asyncio.run(find(settings)), options.to, options.output, options.start_in, _say)
    return 0


def add_export(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench export``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="The run folder.")
    parser.add_argument(
        "--to",
        required=True,
        choices=("csv", "hdr", "hgrm", "k6"),
        help="csv: a row a request; hdr: HdrHistogram's log, an interval a second; hgrm: its table of percentiles; k6: "
        "a JSON summary with the shape of k6's --summary-export.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="The file to write.")
    parser.add_argument("--step", type=int, metavar="N", help="The step (csv: all; else the only one there is).")
    parser.add_argument(
        "--clock",
        choices=("response", "service", "lag"),
        default="response",
        help="hgrm: which times, from when the request was due, from its sending, or the generator's lateness "
        "(response).",
    )


def export(options: argparse.Namespace) -> int:
    """``workbench export``: what a run measured; the last line is what was written."""
    from workbench.exchange.export import export as write
    from workbench.runs.read import open_run

    write(open_run(options.run), options.to, options.output, step=options.step, clock=options.clock)
    print(options.output)
    return 0


def _seconds(text: str) -> float:
    seconds = float(text.removesuffix("s"))
    if not 0 <= seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not a time to wait, give seconds from 0 up")
    return seconds


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

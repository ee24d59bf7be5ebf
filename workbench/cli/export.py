"""``workbench export``: what a run measured in another tool's format."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, tell


def add_export(parser: OneLineParser) -> None:
    """The arguments of ``workbench export``."""
    parser.add_argument("run", type=Path, metavar="RUN", help="The run folder.")
    parser.add_argument(
        "--to",
        required=True,
        choices=("csv", "hdr", "hgrm", "k6"),
        help="csv: one row per request; hdr: HdrHistogram's log, one interval per second; hgrm: its table of "
        "percentiles; k6: a JSON summary with the shape of k6's --summary-export.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="The file to write.")
    parser.add_argument("--step", type=int, metavar="N", help="The step to export (csv: all; otherwise the only one).")
    parser.add_argument(
        "--clock",
        choices=("response", "service", "lag"),
        default="response",
        help="hgrm: response (time since the request was due, the default), service (since it was sent) or lag (how "
        "late it was sent).",
    )
    add_json(parser, "what was written")


def do_export(options: argparse.Namespace) -> int:
    """Write the file; the last line printed is its path."""
    from workbench.exchange.export import export
    from workbench.runs.read import open_run

    export(open_run(options.run), options.to, options.output, step=options.step, clock=options.clock)
    facts = {"run": str(options.run), "output": str(options.output), "format": options.to}
    tell(options, facts, str(options.output))
    return 0

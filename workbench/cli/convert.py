"""``workbench convert``: a profile in another tool's format."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, say, tell
from workbench.cli.selection import add_file, add_selections, selected
from workbench.errors import NAME_ANOTHER_OUTPUT


def add_convert(parser: OneLineParser) -> None:
    """The arguments of ``workbench convert``."""
    add_file(parser)
    parser.add_argument(
        "--to",
        required=True,
        choices=("pstats", "speedscope", "folded", "pprof", "callgrind", "parquet", "csv"),
        help="The format to write; parquet and csv are a folder of tables.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="The file or folder to write.")
    parser.add_argument(
        "--metric",
        metavar="M",
        help="The metric to write. pstats and folded hold one metric only; the other formats hold all recorded ones, "
        "this one first. A derived event is written only if it is named here.",
    )
    add_json(parser)
    add_selections(parser)


def do_convert(options: argparse.Namespace) -> int:
    """``workbench convert``: the profile in another tool's format; the last line is what was written."""
    from workbench.profiles.exports.tables import write_tables
    from workbench.profiles.exports.write import TABLE_FORMATS, export_notes, exported, led_by
    from workbench.runs.atomic import replacing

    profile = selected(options.file, options, derive=() if options.metric is None else (options.metric,))
    if options.to in TABLE_FORMATS:
        write_tables(led_by(profile, options.metric), options.output, options.to)
    else:
        data = exported(profile, options.to, options.metric)
        with replacing(options.output, NAME_ANOTHER_OUTPUT) as unfinished:
            unfinished.write_bytes(data)
    notes = [str(note) for note in export_notes(profile, options.to, options.metric)]
    for note in notes:
        say(f"Note: {note}.")
    facts = {"output": str(options.output), "format": options.to, "notes": notes}
    tell(options, facts, str(options.output))
    return 0

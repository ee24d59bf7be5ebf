"""``workbench baseline``: runs kept by name, to compare later runs with."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result, say, tell


def add_save(parser: OneLineParser) -> None:
    """The arguments of ``workbench baseline save``."""
    parser.add_argument("name", metavar="NAME", help="What the baseline is called.")
    parser.add_argument("run", type=Path, metavar="RUN", help="The folder of the run.")
    add_json(parser)


def add_list(parser: OneLineParser) -> None:
    """The arguments of ``workbench baseline list``."""
    add_json(parser, "them")


def add_rm(parser: OneLineParser) -> None:
    """The arguments of ``workbench baseline rm``."""
    parser.add_argument("name", metavar="NAME", help="The baseline to forget.")
    add_json(parser)


def do_save(options: argparse.Namespace) -> int:
    """Keep a run by name; the last line is where it is kept."""
    from workbench.sides.baselines import save_baseline

    kept = save_baseline(options.name, options.run)
    for note in kept.notes:
        say(f"Note: {note}.")
    facts = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(kept).items()}
    tell(options, facts, f"{kept.name}: {kept.run}, {kept.size_bytes:,} bytes\n{kept.path}")
    return 0


def do_rm(options: argparse.Namespace) -> int:
    """Forget a baseline."""
    from workbench.sides.baselines import remove_baseline

    remove_baseline(options.name)
    tell(options, {"name": options.name, "removed": True}, f"{options.name}: forgotten")
    return 0


def do_list(options: argparse.Namespace) -> int:
    """Print one line for each baseline."""
    from workbench.sides.baselines import baseline_table

    table = baseline_table()
    if options.json:
        print_json(table.to_dict("records"))
    elif table.empty:
        result("No baseline is kept. workbench baseline save NAME RUN keeps one.")
    else:
        for row in table.itertuples():
            size = f"{row.size_bytes:,} bytes, saved {row.saved}, of {row.run}" if row.saved else row.state
            result(f"{row.name}: {size}")
    return 0

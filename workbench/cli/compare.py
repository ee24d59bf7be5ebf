"""``workbench compare``: runs compared with an earlier one."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result, say
from workbench.cli.tiles import tile_facts, tile_lines


def add_compare(parser: OneLineParser) -> None:
    """The arguments of ``workbench compare``."""
    parser.add_argument("before", metavar="A", help="The run, batch, baseline or profile before.")
    parser.add_argument("after", nargs="+", metavar="B", help="Those after; each is compared with A.")
    add_receipts(parser)
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="Compare runs even if their conditions differ; the differences are listed.",
    )
    add_json(parser, "all tables")
    parser.add_argument(
        "--html", type=Path, metavar="OUT.html", help="Write one offline page with the difference flame graph as well."
    )


def add_receipts(parser: argparse.ArgumentParser) -> None:
    """The option for how many receipts were sent while a profile was recorded."""
    parser.add_argument(
        "--receipts",
        nargs="+",
        type=float,
        metavar="N",
        help="For profiles: receipts sent while each was recorded, one number for all or one each.",
    )


def do_compare(options: argparse.Namespace) -> int:
    """``workbench compare``: what changed, which change explains it, and what is only noise."""
    from workbench.compare.comparison import compare_sides
    from workbench.sides.read import sides_of

    sides = sides_of([options.before, *options.after], receipts=given_receipts(options.receipts))
    found = compare_sides(sides, anyway=options.anyway)
    if options.html is not None:
        from workbench.report.comparing import write_comparison

        write_comparison(found, sides, options.html)
    if options.json:
        print_json({**found.as_dict(), "tiles": tile_facts(found)})
    else:
        result(f"{found.text}\n{tile_lines(found)}")
    if options.html is not None:
        (say if options.json else result)(str(options.html))
    return 0


def given_receipts(numbers: list[float] | None) -> float | list[float] | None:
    """One number for all, or one each."""
    return numbers if numbers is None or len(numbers) > 1 else numbers[0]

"""``workbench diff``: what changed from one profile to another."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import print_json, result
from workbench.cli.selection import SELECTIONS, add_selections, add_table, selected
from workbench.errors import WorkbenchError


def add_diff(parser: OneLineParser) -> None:
    """The arguments of ``workbench diff``."""
    parser.add_argument("before", type=Path, metavar="A", help="The profile, or the folder of the run, before.")
    parser.add_argument("after", type=Path, metavar="B", help="The profile, or the folder of the run, after.")
    add_table(parser)
    parser.add_argument("--normalise", action="store_true", help="Compare shares of the whole instead of costs.")
    parser.add_argument(
        "--per", nargs=2, type=float, metavar=("N", "M"), help="Compare costs per unit: A did N units of work, B did M."
    )
    add_selections(parser)


def do_diff(options: argparse.Namespace) -> int:
    """``workbench diff``: what changed from A to B; for two run folders, the same as ``workbench compare``."""
    if options.before.is_dir() and options.after.is_dir():
        return _diff_of_runs(options)
    from workbench.profiles.transforms.combine import difference
    from workbench.report.profile_text import difference_json, difference_text

    before, after = (selected(path, options) for path in (options.before, options.after))
    changes = difference(
        before,
        after,
        options.metric,
        scale="total" if options.normalise else "none",
        per=None if options.per is None else (options.per[0], options.per[1]),
    )
    functions = changes.functions
    table = functions[(functions["change_self"] != 0) | (functions["change_total"] != 0)].head(options.top)
    if options.json:
        print_json(difference_json(changes, table))
    else:
        result(difference_text(changes, table))
    return 0


def _diff_of_runs(options: argparse.Namespace) -> int:
    """Compare two runs as runs; options that select parts of a profile do not apply to them."""
    from workbench.sides.read import compare

    of_profiles = ("metric", "normalise", "per", "tidy", "format", *SELECTIONS)
    if given := [name for name in of_profiles if getattr(options, name)]:
        raise WorkbenchError(
            f"--{given[0].replace('_', '-')} is for profiles, and these are run folders",
            where="workbench diff",
            hint="Leave it out, or name two profiles",
        )
    found = compare(options.before, options.after)
    if options.json:
        print_json(found.as_dict())
    else:
        result(found.text)
    return 0

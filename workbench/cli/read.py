"""``workbench read``: a profile in text."""

from __future__ import annotations

from workbench.cli.saying import print_json, result
from workbench.cli.selection import SELECTIONS, add_file, add_selections, add_table, selected
from workbench.hints import TYPE_CHECKING
from workbench.leaving_out import bare_numpy, delayed, without_collector

if TYPE_CHECKING:
    import argparse

    from workbench.cli.parser import OneLineParser

DEFAULTS = {
    "by": "function", "sort": "self", "metric": None, "top": 20, "json": False, "tidy": False, "format": None,
    "memory_mib": None, **dict.fromkeys(SELECTIONS),
}  # fmt: skip


def add_read(parser: OneLineParser) -> None:
    """The arguments of ``workbench read``."""
    add_file(parser, str)
    add_table(parser)
    parser.add_argument(
        "--by",
        choices=("function", "name", "file", "crate", "object", "line"),
        help="What a row is (function).",
    )
    parser.add_argument("--sort", choices=("self", "total"), help="What rows are sorted by (self).")
    add_selections(parser)
    parser.set_defaults(**DEFAULTS)


def do_read(options: argparse.Namespace) -> int:
    """``workbench read``: totals, the top table and notes."""
    # dataclasses imports inspect, but uses it only for classes without a docstring
    with without_collector(), delayed("numpy", bare_numpy), delayed("inspect"):
        return _read(options)


def _read(options: argparse.Namespace) -> int:
    from workbench.profiles.views.top import top_table
    from workbench.report.profile_text import profile_json, profile_text

    profile = selected(options.file, options)
    table = top_table(profile, options.metric, options.top, by=options.by, sort=options.sort)
    if options.json:
        print_json(profile_json(profile, table, options.metric))
    else:
        result(profile_text(profile, table, options.metric))
    return 0

"""``workbench view``: a profile as one offline HTML page, or in SnakeViz."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from workbench.cli.parser import OneLineParser
from workbench.cli.saying import add_json, print_json, result
from workbench.cli.selection import add_selections, selected
from workbench.errors import NAME_ANOTHER_OUTPUT, WorkbenchError

EMPTY_PAGE = "workbench-view.html"


def add_view(parser: OneLineParser) -> None:
    """The arguments of ``workbench view``."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="A profile of any known format, packed or not. Without one: a page that files can be dropped on.",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="OUT.html", help="The page to write (beside the profile).")
    parser.add_argument("--no-open", action="store_true", help="Do not open the page in a browser.")
    parser.add_argument("--before", type=Path, metavar="A", help="Show the difference to this earlier profile.")
    parser.add_argument("--metric", metavar="M", help="The metric shown first (the profile's default).")
    parser.add_argument("--snakeviz", action="store_true", help="Show it in SnakeViz, on this machine only.")
    parser.add_argument("--port", type=int, default=0, help="Port for SnakeViz (any free one).")
    add_json(parser, "what was written")
    add_selections(parser)


def do_view(options: argparse.Namespace) -> int:
    """``workbench view``: one offline HTML page, or SnakeViz on loopback until interrupted."""
    from workbench.report.page import empty_page, profile_page

    if options.file is None:
        if options.snakeviz or options.before is not None:
            raise WorkbenchError(
                "no profile was given", where="workbench view", hint="Name a FILE, or leave out --snakeviz and --before"
            )
        return _write_page(empty_page(), options.output or Path(EMPTY_PAGE), options)
    if options.snakeviz and options.before is not None:
        raise WorkbenchError(
            "SnakeViz shows one profile, not a difference", where="--before", hint="Leave out --snakeviz or --before"
        )
    profile = selected(options.file, options)
    if options.snakeviz:
        from workbench.report.snakeviz import serve_snakeviz

        with serve_snakeviz(profile, options.metric, port=options.port) as address:
            print(f"{profile.name} in SnakeViz, until Ctrl-C:\n{address}", flush=True)
            threading.Event().wait()
        return 0
    before = None if options.before is None else selected(options.before, options)
    output: Path = options.output or options.file.with_name(f"{options.file.name}.html")
    page = profile_page(profile, before=before, metric=options.metric)
    return _write_page(page, output, options)


def _write_page(page: str, output: Path, options: argparse.Namespace) -> int:
    """Write a page, print where it is, and open it in a browser if there is a display."""
    from workbench.report.opening import open_page
    from workbench.runs.atomic import replacing

    with replacing(output, NAME_ANOTHER_OUTPUT) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    if not options.json:
        result(str(output))
    opened = not options.no_open and open_page(output)
    if options.json:
        print_json({"page": str(output), "opened": opened})
    return 0

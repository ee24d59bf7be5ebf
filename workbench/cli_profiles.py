"""The commands about profiles: read, convert, diff, view. Thin, one function a subcommand."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

NAME_ANOTHER = "Name another file with -o, or make room"
MEMORY_MIB = 4096  # workbench.profiles.memory, which is not imported for --help
MOST_MEMORY_MIB = 1 << 20
EMPTY_PAGE = "workbench-view.html"
SELECTIONS = {
    "focus": "Only stacks with a frame that matches.",
    "ignore": "Only stacks without a frame that matches.",
    "hide": "Leave matching frames out; their cost goes to their callers.",
    "show": "Leave all other frames out.",
    "show_from": "Leave out what is above the outermost match.",
    "tag_focus": "Only samples with such labels: [key=]regular expressions, or a range as 16kb:32kb.",
    "tag_ignore": "Only samples without such labels.",
    "prune_from": "Leave out what is below the innermost match (of names alone).",
}


def add_read(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench read``."""
    _add_file(parser)
    _add_table(parser)
    parser.add_argument(
        "--by",
        choices=("function", "name", "file", "crate", "object", "line"),
        default="function",
        help="What a row is (function).",
    )
    parser.add_argument("--sort", choices=("self", "total"), default="self", help="What rows are sorted by (self).")
    _add_selections(parser)


def add_convert(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench convert``."""
    _add_file(parser)
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
        help="The metric that is written where the format holds one (pstats, folded), and written first, as the one to "
        "show, where it holds all. What was recorded is written; of derived events only one named here.",
    )
    _add_selections(parser)


def add_diff(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``workbench diff``."""
    parser.add_argument("before", type=Path, metavar="A", help="The profile, or the folder of the run, before.")
    parser.add_argument("after", type=Path, metavar="B", help="The profile, or the folder of the run, after.")
    _add_table(parser)
    parser.add_argument("--normalise", action="store_true", help="Compare shares of the whole in place of costs.")
    parser.add_argument(
        "--per", nargs=2, type=float, metavar=("N", "M"), help="Compare costs per unit: A did N units of work, B did M."
    )
    _add_selections(parser)


def add_view(parser: argparse.ArgumentParser) -> None:
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
    _add_selections(parser)


def read(options: argparse.Namespace) -> int:
    """``workbench read``: totals, the top table and notes."""
    # numpy's linear algebra, which no profile needs, starts threads when numpy is imported: a third of that time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from workbench.profiles.views.top import top_table
    from workbench.report.profile_text import profile_json, profile_text

    profile = _read(options.file, options)
    table = top_table(profile, options.metric, options.top, by=options.by, sort=options.sort)
    if options.json:
        _print_json(profile_json(profile, table, options.metric))
    else:
        print(profile_text(profile, table, options.metric))
    return 0


def convert(options: argparse.Namespace) -> int:
    """``workbench convert``: the profile in another tool's format; the last line is what was written."""
    from workbench.profiles.exports.tables import write_tables
    from workbench.profiles.exports.write import TABLE_FORMATS, export_notes, exported, led_by
    from workbench.runs.atomic import replacing

    profile = _read(options.file, options, derive=() if options.metric is None else (options.metric,))
    if options.to in TABLE_FORMATS:
        write_tables(led_by(profile, options.metric), options.output, options.to)
    else:
        data = exported(profile, options.to, options.metric)
        with replacing(options.output, NAME_ANOTHER) as unfinished:
            unfinished.write_bytes(data)
    for note in export_notes(profile, options.to, options.metric):
        print(f"Note: {note}.", file=sys.stderr)
    print(options.output)
    return 0


def diff(options: argparse.Namespace) -> int:
    """``workbench diff``: what changed from A to B; of two folders of runs what ``workbench compare`` says."""
    if options.before.is_dir() and options.after.is_dir():
        return _diff_of_runs(options)
    from workbench.profiles.transforms.combine import difference
    from workbench.report.profile_text import difference_json, difference_text

    before, after = (_read(path, options) for path in (options.before, options.after))
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
        _print_json(difference_json(changes, table))
    else:
        print(difference_text(changes, table))
    return 0


def _diff_of_runs(options: argparse.Namespace) -> int:
    """Two runs are compared as runs; what selects in a profile says nothing of them."""
    from workbench.comparing.compared import compare

    of_profiles = ("metric", "normalise", "per", "tidy", "format", *SELECTIONS)
    if given := [name for name in of_profiles if getattr(options, name)]:
        raise WorkbenchError(
            f"--{given[0].replace('_', '-')} is about profiles, and these are folders",
            where="workbench diff",
            hint="Leave it out, or name two profiles",
        )
    found = compare(options.before, options.after)
    if options.json:
        _print_json(found.as_dict())
    else:
        print(found.text)
    return 0


def view(options: argparse.Namespace) -> int:
    """``workbench view``: one offline HTML page, or SnakeViz on loopback until interrupted."""
    from workbench.report.page import empty_page, profile_page

    if options.file is None:
        if options.snakeviz or options.before is not None:
            raise WorkbenchError("no profile was given", where="workbench view", hint="Name a FILE, or give neither")
        return _write_page(empty_page(), options.output or Path(EMPTY_PAGE), opened=not options.no_open)
    if options.snakeviz and options.before is not None:
        raise WorkbenchError(
            "SnakeViz shows one profile, not a difference", where="--before", hint="Leave out --snakeviz or --before"
        )
    profile = _read(options.file, options)
    if options.snakeviz:
        from workbench.report.snakeviz import serve_snakeviz

        with serve_snakeviz(profile, options.metric, port=options.port) as address:
            print(f"{profile.name} in SnakeViz, until Ctrl-C:\n{address}", flush=True)
            threading.Event().wait()
        return 0
    before = None if options.before is None else _read(options.before, options)
    output: Path = options.output or options.file.with_name(f"{options.file.name}.html")
    page = profile_page(profile, before=before, metric=options.metric)
    return _write_page(page, output, opened=not options.no_open)


def _write_page(page: str, output: Path, *, opened: bool) -> int:
    """Write a page, say where it is, and open it where somebody is there to see it."""
    from workbench.report.opening import open_page
    from workbench.runs.atomic import replacing

    with replacing(output, NAME_ANOTHER) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    print(output, flush=True)
    if opened:
        open_page(output)
    return 0


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="A profile of any known format, packed or not.")


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metric", metavar="M", help="The metric (the profile's default).")
    parser.add_argument("--top", type=_count, default=20, metavar="N", help="How many rows (20).")
    parser.add_argument("--json", action="store_true", help="Print the result as JSON.")


def _add_selections(parser: argparse.ArgumentParser) -> None:
    section = parser.add_argument_group("selection (regular expressions on function, file and object; pprof's words)")
    for name, what in SELECTIONS.items():
        section.add_argument(
            f"--{name.replace('_', '-')}", metavar="TAGS" if name.startswith("tag") else "RE", help=what
        )
    section.add_argument("--tidy", action="store_true", help="Readable Rust names and file paths.")
    section.add_argument("--format", metavar="F", help="The format, where the content does not tell.")
    section.add_argument(
        "--memory-mib",
        type=_memory,
        default=MEMORY_MIB,
        metavar="N",
        help=f"The memory that reading a profile may take ({MEMORY_MIB:,}); the file may have an eighth of it.",
    )


def _read(path: Path, options: argparse.Namespace, *, derive: Collection[str] | None = None) -> Profile:
    """The profile at ``path`` with derived events (those of ``derive``, None: all) and the selections asked for."""
    from workbench.profiles.read import read_profile
    from workbench.profiles.views.derived import derived

    profile = derived(read_profile(path, format=options.format, memory_bytes=options.memory_mib << 20), derive)
    if options.tidy:
        from workbench.profiles.transforms.group import tidy

        profile = tidy(profile)
    chosen = {name: pattern for name in SELECTIONS if (pattern := getattr(options, name)) is not None}
    if chosen:
        from workbench.profiles.transforms import select

        for name, pattern in chosen.items():
            profile = getattr(select, name)(profile, pattern)
    return profile


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} rows cannot be shown, give 1 or more")
    return number


def _memory(text: str) -> int:
    mebibytes = int(text)
    if not 1 <= mebibytes <= MOST_MEMORY_MIB:
        raise argparse.ArgumentTypeError(f"1 to {MOST_MEMORY_MIB:,} MiB can be given, found {mebibytes}")
    return mebibytes


def _print_json(value: Any) -> None:
    from workbench.runs.atomic import to_json

    print(to_json(value))

"""Options that the commands for profile files share: the file, the table, and which part of the profile is shown."""

from __future__ import annotations

from collections.abc import Callable, Collection

from workbench.cli.saying import add_json
from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from workbench.cli.parser import OneLineParser
    from workbench.profiles.model import Profile

MEMORY_MIB = 4096  # workbench.profiles.memory, which is not imported for --help
MOST_MEMORY_MIB = 1 << 20
SELECTIONS = {
    "focus": "Only stacks with a frame that matches.",
    "ignore": "Only stacks without a frame that matches.",
    "hide": "Leave matching frames out; their cost goes to their callers.",
    "show": "Leave all other frames out.",
    "show_from": "Leave out what is above the outermost match.",
    "tag_focus": "Only samples with these labels: [key=]regular expression, or a range such as 16kb:32kb.",
    "tag_ignore": "Only samples without these labels.",
    "prune_from": "Leave out everything below the innermost match (function names only).",
}


def as_path(text: str) -> Path:
    """A path, for an argument's type: pathlib is imported only where one is given."""
    from pathlib import Path

    return Path(text)


def add_file(parser: OneLineParser, kind: Callable[[str], Path | str] = as_path) -> None:
    """The profile; ``kind``: ``str`` for commands that only read it."""
    parser.add_argument("file", type=kind, metavar="FILE", help="A profile of any known format, packed or not.")


def add_table(parser: OneLineParser) -> None:
    """Which metric, how many rows, and JSON."""
    parser.add_argument("--metric", metavar="M", help="The metric (the profile's default).")
    parser.add_argument("--top", type=_count, default=20, metavar="N", help="How many rows (20).")
    add_json(parser)


def add_selections(parser: OneLineParser) -> None:
    """Parts of a profile to keep or leave out."""
    section = parser.add_argument_group("selection (regular expressions on function, file and object; pprof's words)")
    for name, what in SELECTIONS.items():
        section.add_argument(
            f"--{name.replace('_', '-')}", metavar="TAGS" if name.startswith("tag") else "RE", help=what
        )
    section.add_argument("--tidy", action="store_true", help="Readable Rust names and file paths.")
    section.add_argument("--format", metavar="F", help="The format, if the content does not show it.")
    section.add_argument(
        "--memory-mib",
        type=_memory,
        metavar="N",
        help=f"Most memory for reading a profile, in MiB (WORKBENCH_MEMORY_MIB, else {MEMORY_MIB:,}); the file may be "
        "an eighth of that.",
    )


def selected(path: Path | str, options: argparse.Namespace, *, derive: Collection[str] | None = None) -> Profile:
    """The profile at ``path`` with derived events (those of ``derive``, None: all) and the selections asked for."""
    from workbench.profiles.read import read_profile
    from workbench.profiles.views.derived import derived

    memory_bytes = None if options.memory_mib is None else options.memory_mib << 20
    profile = derived(read_profile(path, format=options.format, memory_bytes=memory_bytes), derive)
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
    import argparse

    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number of rows; give 1 or more")
    return number


def _memory(text: str) -> int:
    import argparse

    mebibytes = int(text)
    if not 1 <= mebibytes <= MOST_MEMORY_MIB:
        raise argparse.ArgumentTypeError(f"1 to {MOST_MEMORY_MIB:,} MiB is allowed, found {mebibytes}")
    return mebibytes

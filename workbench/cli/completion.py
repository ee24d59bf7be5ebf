"""``workbench completion``: the script that completes commands, options and values in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.cli.commands import COMMANDS, Command
from workbench.cli.parser import OneLineParser

SHELLS = ("bash", "zsh")


def add_completion(parser: OneLineParser) -> None:
    """The arguments of ``workbench completion``."""
    parser.epilog = (
        'In bash: eval "$(workbench completion bash)". In zsh: workbench completion zsh > a folder of $fpath.'
    )
    parser.add_argument("shell", choices=SHELLS, help="The shell.")


def do_completion(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    print(shtab.complete(whole(), options.shell))
    return 0


def whole() -> argparse.ArgumentParser:
    """One parser with every command and action, as shtab needs it for completion."""
    parser = OneLineParser(prog="workbench", description="Load-test and profile indexer-service and tap-agent.")
    parser.add_argument("--version", action="store_true", help="Print the version.")
    _add_below(parser, tuple(COMMANDS.values()))
    return parser


def _add_below(parser: argparse.ArgumentParser, commands: tuple[Command, ...]) -> None:
    from workbench.cli.program import fill

    below = parser.add_subparsers(metavar="COMMAND")
    for command in commands:
        own = below.add_parser(command.name.split()[-1], help=command.summary, description=command.summary)
        if command.alone:
            fill(own, command)
        _complete_files(own)
        if command.actions:
            _add_below(own, command.actions)


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Mark values that are files or folders: shtab lets the shell complete those."""
    import shtab

    for action in parser._actions:
        if action.type is Path or action.metavar in ("PATH", "RUN", "FILE"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]

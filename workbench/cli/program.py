"""The ``workbench`` command: finds the command, runs it, and prints errors in one line.

Exit codes: 0 pass, 1 a service level was missed, 2 usage or configuration, 3 target unreachable or unhealthy,
4 invalid measurement, 5 a tool failed, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import SimpleNamespace

from workbench import __version__, keyring
from workbench.cli.commands import COMMANDS, NOISE, Command, actions_of, overview
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, EXIT_USAGE, SettingsError, WorkbenchError, of_file
from workbench.hints import TYPE_CHECKING
from workbench.leaving_out import leave, untranslated
from workbench.masking import masked, masked_streams
from workbench.terminal import coloured, paint

if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

    from workbench.cli.parser import OneLineParser


def command() -> NoReturn:
    """What the shell calls: :func:`main`, then the end of the process with its exit code.

    If the script was called by another program in Python, such as a profiler, that one still has something to do.
    """
    code = main()
    if sys._getframe(1).f_back is None:
        leave(code)
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors are one line, with a traceback before it where --debug is given.

    No private key is printed, and no process that is started inherits the signer keys.
    """
    keyring.take()
    with masked_streams():
        return _said(list(sys.argv[1:] if argv is None else argv))


def _said(arguments: list[str]) -> int:
    own = arguments[: arguments.index("--") if "--" in arguments else len(arguments)]
    try:
        for word, before in zip(own, ["", *own], strict=False):
            if before != "--deployment" and not word.startswith("--deployment="):
                keyring.refuse(word.partition("=")[2] if word.startswith("--") and "=" in word else word, "an argument")
        return _run(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_TOOL
    except (Exception, KeyboardInterrupt) as error:
        debug = "--debug" in own
        if debug:
            import traceback

            traceback.print_exc()
        if isinstance(error, WorkbenchError):
            line, code = str(error), error.exit_code
        elif isinstance(error, KeyboardInterrupt):
            line, code = _interrupted(error), EXIT_INTERRUPTED
        elif isinstance(error, OSError) and (told := of_file(error)) is not None:
            line, code = str(told), told.exit_code
        else:
            text = masked(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
            line, code = f"unexpected error: {text}", EXIT_TOOL
            line += "" if debug else ". Run again with --debug for the details"
        name = "workbench:"
        print(paint(name, "red") if coloured(sys.stderr) else name, line, file=sys.stderr)
        return code


def _interrupted(error: BaseException) -> str:
    """The line after Ctrl-C: where the measured data is, and how to continue."""
    story = sys.modules.get("workbench.sweep.interrupt")  # not imported: nothing was measured
    line = story.how_to_go_on(error) if story is not None else ""
    return f"interrupted. {line}" if line else "interrupted"


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first == "--version":
        print(f"workbench {__version__}")
        return 0
    if first in ("", "-h", "--help", "--help-all"):
        return _show(overview(actions=first == "--help-all"), 0 if first else EXIT_USAGE)
    command, words = find(arguments)
    if not command.alone:
        return _without_action(command, words)
    alone = command.of_a_file and len(words) == 1 and not words[0].startswith("-")
    options = of_a_file(command, words[0]) if alone else _parsed(command, words)
    return int(getattr(import_module(command.module), f"do_{command.verb}")(options))


def _parsed(command: Command, words: Sequence[str]) -> argparse.Namespace:
    parser = parser_of(command)
    cut = words.index("--") if command.before_dashes and "--" in words else len(words)
    options = parser.read(words[:cut])
    if command.before_dashes:
        options.command = list(words[cut + 1 :])
    return options


def of_a_file(command: Command, file: str) -> SimpleNamespace:
    """The options of a command that was given a file and nothing else: argparse is not imported for that, which would
    take as long as reading a small file."""
    return SimpleNamespace(file=file, debug=False, **import_module(command.module).DEFAULTS)


def find(arguments: Sequence[str]) -> tuple[Command, list[str]]:
    """The command that the words name, and the words after it. Raises SettingsError if there is no such command."""
    first, *words = arguments
    command = COMMANDS.get(first)
    if command is None:
        raise _unknown(first, "workbench", COMMANDS, "command")
    if first == "calibrate" and "--aa" in words:
        return NOISE, words
    action = next((one for one in command.actions if words[:1] == [one.name.split()[1]]), None)
    return (command, words) if action is None else (action, words[1:])


def parser_of(command: Command) -> OneLineParser:
    """The parser of a command, with all its arguments."""
    with untranslated():
        from workbench.cli.parser import OneLineParser

    summary = f"{command.summary[:1].upper()}{command.summary[1:]}."
    parser = OneLineParser(prog=command.prog, description=summary, allow_abbrev=False)
    fill(parser, command)
    return parser


def fill(parser: argparse.ArgumentParser, command: Command) -> None:
    """Add to a parser a command's own arguments, and those that every command has."""
    getattr(import_module(command.module), f"add_{command.verb}")(parser)
    parser.add_argument("--debug", action="store_true", help="Show tracebacks.")


def _without_action(command: Command, words: Sequence[str]) -> int:
    known = [one.name.split()[1] for one in command.actions]
    if words and words[0] not in ("-h", "--help", "--help-all"):
        raise _unknown(words[0], command.prog, known, "action")
    return _show(actions_of(command), 0 if words else EXIT_USAGE)


def _show(text: str, code: int) -> int:
    print(text)
    return code


def _unknown(word: str, where: str, known: Sequence[str] | dict[str, Command], what: str) -> SettingsError:
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return SettingsError(f"there is no {what} {word!r}", where=where, hint=f"{meant}There are {', '.join(known)}")

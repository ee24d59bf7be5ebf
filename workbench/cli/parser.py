"""The command line's parser: errors of one line, and a help of one screen."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Sequence

from workbench.errors import SettingsError
from workbench.hints import TYPE_CHECKING
from workbench.patterns import pattern
from workbench.terminal import coloured, paint

if TYPE_CHECKING:
    from typing import Any, NoReturn

_HEADING = pattern(r"^(\w[^:\n]*:)", re.MULTILINE)
_OPTION = pattern(r"^(  +)(-[^\n]*?)(?=  |$)", re.MULTILINE)
_IN_ALL = ("debug", argparse.SUPPRESS)  # what every command has
_FLAG = pattern(r"(?<![\w-])--?[a-zA-Z][\w-]*")


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are SettingsErrors: one line, which suggests the nearest option for an unknown
    one.

    ``first``: the options that ``--help`` shows, in this order (empty: all but those in groups); ``--help-all`` shows
    every one.
    """

    def __init__(self, *, first: Sequence[str] = (), **more: Any) -> None:
        super().__init__(add_help=False, **{"formatter_class": _Formatter, **more})
        self.first = tuple(first)
        self.add_argument("-h", "--help", action=_Help, help="Show this help, on one screen.")
        self.add_argument("--help-all", action=_Help, help="Show all options.")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The values that the words give. Options may stand anywhere, also among the words of one positional argument:
        for that argparse has a slower way, which is left to commands with such an argument."""
        several = any(action.nargs for action in self._actions if not action.option_strings)
        return self.parse_intermixed_args(words) if several else self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving the process."""
        import difflib

        hint = f"See `{self.prog} --help`"
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            known = [option for action in self._actions for option in action.option_strings]
            close = difflib.get_close_matches(unknown.split()[0].split("=")[0], known, n=1)
            hint = f"Did you mean {close[0]}?" if close else hint
        raise SettingsError(message, where=self.prog, hint=hint)

    def format_help(self) -> str:
        """The help of one screen: the positional arguments, the ``first`` options, and how to see the others."""
        own = [action for action in self._actions if not action.option_strings]
        chosen, left = self._chosen()
        formatter = self._get_formatter()
        words = " ".join(formatter._format_args(action, action.dest) for action in own)
        formatter.add_usage(f"{self.prog} {words} [options]".replace("  ", " "), (), ())
        formatter.add_text(self.description)
        for heading, actions in (("arguments", own), ("options", chosen)):
            formatter.start_section(heading)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help() + (self._the_others() if left else "")

    def _chosen(self) -> tuple[list[argparse.Action], bool]:
        """The options that the help of one screen shows, and whether it leaves any out."""
        options = {action.dest: action for action in self._optionals._group_actions if action.dest not in _IN_ALL}
        every = {
            action.dest: action for action in self._actions if action.option_strings and action.dest not in _IN_ALL
        }
        chosen = [every[name] for name in self.first] if self.first else list(options.values())
        return chosen, len(chosen) < len(every)

    def _the_others(self) -> str:
        groups = [group.title for group in self._action_groups[2:] if group._group_actions and group.title]
        count = sum(bool(action.option_strings) for action in self._actions)
        import textwrap

        of = f", those of {'; '.join(groups)} too" if groups else ""
        return "\n" + textwrap.fill(f"--help-all shows all {count} options{of}.", 79) + "\n"


class _Formatter(argparse.HelpFormatter):
    """A HelpFormatter that asks the terminal for its width itself. argparse makes one for each argument, and imports
    ``shutil`` and its compressors to ask: a few milliseconds of every command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """The terminal's width, as :func:`shutil.get_terminal_size` finds it."""
    with contextlib.suppress(KeyError, ValueError):
        if (columns := int(os.environ["COLUMNS"])) > 0:
            return columns
    with contextlib.suppress(AttributeError, ValueError, OSError):  # no terminal, or one of unknown width
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    return 80


class _Help(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: object, option_string: str | None = None
    ) -> None:
        whole = isinstance(parser, OneLineParser) and option_string == "--help-all"
        text = argparse.ArgumentParser.format_help(parser) if whole else parser.format_help()
        sys.stdout.write(with_colours(text) if coloured(sys.stdout) else text)
        parser.exit()


def with_colours(text: str) -> str:
    """A help text with its headings in bold and its options in a colour."""
    text = _HEADING.sub(lambda found: paint(found[1], "bold"), text)
    return _OPTION.sub(lambda found: found[1] + _FLAG.sub(lambda flag: paint(flag[0], "cyan"), found[2]), text)

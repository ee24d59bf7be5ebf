"""How commands print: results on standard output, as text or JSON; everything else on standard error."""

from __future__ import annotations

import sys

from workbench.hints import TYPE_CHECKING
from workbench.terminal import coloured, painted

if TYPE_CHECKING:
    import argparse
    from typing import Any


def say(line: str) -> None:
    """A line on standard error: progress, notes, what went wrong on the way."""
    print(painted(line) if coloured(sys.stderr) else line, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Text on standard output, with its verdicts in colours where a terminal shows it."""
    print(painted(text) if coloured(sys.stdout) else text, flush=True)


def print_json(value: Any) -> None:
    """Plain values as JSON on standard output; times in UTC."""
    from workbench.runs.atomic import to_json

    print(to_json(_plain(value)), flush=True)


def tell(options: argparse.Namespace, facts: Any, words: str) -> None:
    """Print ``facts`` as JSON if ``--json`` was given, otherwise ``words``."""
    if options.json:
        print_json(facts)
    else:
        result(words)


def add_json(parser: argparse.ArgumentParser, what: str = "the result") -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help=f"Print {what} as JSON.")


def _plain(value: Any) -> Any:
    from collections.abc import Mapping
    from datetime import datetime

    if isinstance(value, datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z"
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value

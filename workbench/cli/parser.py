"""The command line's parser: errors of one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from workbench.errors import SettingsError


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are SettingsErrors: one line, with the nearest option where one was unknown."""

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

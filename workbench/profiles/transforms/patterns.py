"""Regular expressions from users."""

from __future__ import annotations

import re

from workbench.errors import WorkbenchError


def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled. Raises WorkbenchError that says what is wrong with it."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise WorkbenchError(
            f"{error}", where=f"pattern {pattern!r}", hint="Give a Python regular expression"
        ) from None

"""Regular expressions that are compiled when they are first used.

Compiling one takes 0.05 to 0.2 ms, and a command that reads a small file uses few of those that its modules have:
compiled at import they would take a twentieth of its time.
"""

from __future__ import annotations

import re

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, AnyStr


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As :func:`re.compile`, done at the first use."""
    return _Late(text, flags)  # type: ignore[return-value]


class _Late:
    """Stands for a pattern. What is asked of it is kept, so that from then on it is as fast as the pattern itself."""

    def __init__(self, text: Any, flags: int) -> None:
        self._written = (text, flags)

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._written), name)
        setattr(self, name, value)
        return value

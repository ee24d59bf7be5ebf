"""The names of the profiler modes. Each mode has an object in :mod:`workbench.profilers.tools`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from workbench.errors import SettingsError
from workbench.settings.kinds import ProfilerMode

Mode = ProfilerMode
MODES: tuple[Mode, ...] = get_args(Mode)
ALIASES: Mapping[str, Mode] = {"valgrind": "massif"}
"""The guide calls the mode massif valgrind."""


def parse_mode(text: str) -> Mode:
    """The mode of that name; ``valgrind`` is massif. Raises SettingsError that lists the modes."""
    name = ALIASES.get(text, text)
    if name not in MODES:
        raise SettingsError(
            f"there is no profiler mode {text!r}", where="profiler", hint=f"Valid are {', '.join(MODES)} and valgrind"
        )
    return name

"""Windows as Profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.windows.record import Window
from workbench.profiles.model import Profile
from workbench.profiles.read import read_massif


def window_profile(window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
    """What the service did in the window. ``logs`` keeps strace logs that several windows are parts of; without it only
    the window's part of such a log is read.

    Of callgrind and pprofile the dump, of the sampler the later report without the earlier, of strace the calls that
    began in the window, of massif the heap at its end (see :func:`edges` for both). Raises ReadError.
    """
    return tool_of(window.mode).profile(window, logs)


def window_profiles(windows: Sequence[Window]) -> list[Profile]:
    """The profile of each window; a log they share is read once."""
    logs: dict[Path, Profile] = {}
    return [window_profile(window, logs) for window in windows]


def edges(window: Window) -> tuple[Profile, Profile]:
    """Of a massif window the heap at its beginning and at its end."""
    return read_massif(window.path("begin")), read_massif(window.path("end"))

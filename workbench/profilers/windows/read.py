"""Windows as Profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.profilers.tools.chosen import tool_of
from workbench.profilers.windows.record import Window
from workbench.profiles.model import Profile
from workbench.profiles.read import read_massif


def window_profile(window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
    """The Profile of a window. ``logs`` caches strace logs that contain several windows; without it only the window's
    part of such a log is read.

    For callgrind and pprofile this is the dump, for the sampler the later report minus the earlier, for strace the
    calls that began in the window, for massif the heap at its end (see :func:`edges` for both ends). Raises ReadError.
    """
    return tool_of(window.mode).profile(window, logs)


def window_profiles(windows: Sequence[Window]) -> list[Profile]:
    """The profile of each window; a shared log is read once."""
    logs: dict[Path, Profile] = {}
    return [window_profile(window, logs) for window in windows]


def edges(window: Window) -> tuple[Profile, Profile]:
    """The heap at the beginning and at the end of a massif window."""
    return read_massif(window.path("begin")), read_massif(window.path("end"))

"""Windows as Profiles."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import ReadError
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.strace import mark_of, time_of_day_s
from workbench.profiles.model import Profile
from workbench.profiles.read import read_callgrind, read_massif, read_pprof, read_strace
from workbench.profiles.transforms.combine import merge
from workbench.profiles.transforms.windows import subtract
from workbench.profiles.views.syscalls import between

_DAY_S = 86400


def window_profile(window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
    """What the service did in the window. ``logs`` keeps strace logs that several windows are parts of; without it only
    the window's part of such a log is read.

    Of callgrind and pprofile the dump, of the sampler the later report without the earlier, of strace the calls that
    began in the window, of massif the heap at its end (see :func:`edges` for both). Raises ReadError.
    """
    if window.mode in ("callgrind", "pprofile"):
        dumps = [window.path(what) for what in sorted(window.files) if what.startswith("dump")]
        return merge([read_callgrind(path) for path in dumps])
    if window.mode == "massif":
        return read_massif(window.path("end"))
    if window.mode == "flamegraph":
        after = read_pprof(window.path("end"))
        return after if "begin" not in window.files else subtract(after, read_pprof(window.path("begin")))
    if window.mode == "strace":
        return _calls(window, logs)
    raise ReadError(f"mode {window.mode} has no profiles", where=str(window.folder))


def window_profiles(windows: Sequence[Window]) -> list[Profile]:
    """The profile of each window; a log they share is read once."""
    logs: dict[Path, Profile] = {}
    return [window_profile(window, logs) for window in windows]


def edges(window: Window) -> tuple[Profile, Profile]:
    """Of a massif window the heap at its beginning and at its end."""
    return read_massif(window.path("begin")), read_massif(window.path("end"))


def _calls(window: Window, logs: dict[Path, Profile] | None) -> Profile:
    path = window.path("log") if "log" in window.files else _whole_log(window)
    offset_s = window.facts["utc_offset_s"]
    part = _part(path, *window.facts["log_part"]) if logs is None and "log_part" in window.facts else b""
    if part:
        day = _day(window.started_ns / 1e9, time_of_day_s(part), offset_s)
        profile = read_strace(part, date=day, utc_offset_s=offset_s)
        # one without calls, whose only line is that of a signal, does not show its clock
        if len(profile.tables["calls"]):
            return between(profile, window.started_ns, window.ended_ns)
    logs = {} if logs is None else logs
    if path not in logs:
        logs[path] = read_strace(path, date=_first_day(window, offset_s), utc_offset_s=offset_s)
    profile = logs[path]
    if "log" in window.files:
        return profile
    return between(profile, window.started_ns, window.ended_ns)


def _part(log: Path, begin: int, end: int) -> bytes:
    """The whole lines of a log from one byte to another. strace may have been in a line at both."""
    with log.open("rb") as file:
        file.seek(max(0, begin - 1))
        data = file.read(end - max(0, begin - 1))
    # the first line is whole where a line ended right before it
    start = data.find(b"\n") + 1 if begin else 0
    return data[start : data.rfind(b"\n") + 1]


def _whole_log(window: Window) -> Path:
    """The log the window is a part of: where strace wrote it, or beside the window, maybe set aside by a later
    start."""
    written, mark = Path(window.facts["log"]), window.facts["log_mark"]
    for path in (*sorted(window.folder.glob("strace*.log")), written):
        # a short log has grown since
        if path.is_file() and mark_of(path, mark["bytes"]) == mark:
            return path
    raise ReadError("the log of this window is gone", where=str(written), hint="It is beside the window's record")


def _first_day(window: Window, offset_s: int) -> datetime.date:
    """The day of the log's first line in its own zone; strace -tt writes no date.

    The tool was started at ``log_started_s``, maybe just before midnight, and wrote the line just after.
    """
    started_s = window.facts.get("log_started_s", window.started_ns / 1e9)
    return _day(started_s, window.facts.get("log_mark", {}).get("time_of_day_s"), offset_s)


def _day(moment_s: float, time_of_day_s: float | None, offset_s: int) -> datetime.date:
    """The day, in a zone, of the time of day that is nearest to a moment (of the moment itself where none is given)."""
    local_s = moment_s + offset_s
    if time_of_day_s is not None:
        local_s += (time_of_day_s - local_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    return datetime.datetime.fromtimestamp(local_s, datetime.UTC).date()

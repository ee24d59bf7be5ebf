"""strace's log: the position of a window in it, its time zone, and how to find it again under another name."""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ReadError
from workbench.profilers.windows.record import Window

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_HEAD_BYTES = 120
# -f puts the task's number first; -t has whole seconds, -tt fractions, -ttt seconds since 1970
_STAMP = re.compile(rb"^(?:\[pid +)?(?:\d+\]? +)?(?:(\d\d):(\d\d):(\d\d)(\.\d+)?|(\d{9,}\.\d+)) ", re.MULTILINE)
_DAY_S = 86400
_ZONE_STEP_S = 900  # every time zone differs from UTC by a number of quarter hours


def mark_of(log: Path, size: int = _HEAD_BYTES) -> dict[str, Any]:
    """Identifies a log that was moved aside by a later start: a hash of its first ``size`` bytes. The bytes themselves
    contain the service's command line, which may include a key."""
    with log.open("rb") as file:
        head = file.read(size)
    return {"bytes": len(head), "sha256": hashlib.sha256(head).hexdigest(), "time_of_day_s": time_of_day_s(head)}


def size_of(log: Path) -> int:
    """Bytes of a log so far; 0 without a log."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def later_stamp(log: Path, after: int, moment_s: float) -> float | None:
    """The last stamp of the lines written after ``after`` bytes, if it is past a moment (seconds since 1970).

    In seconds of the day in the log's own zone, or since 1970. The zone does not matter here: zones differ by quarter
    hours, and these lines were just written.
    """
    try:
        with log.open("rb") as file:
            file.seek(after)
            stamps = _STAMP.findall(file.read())
    except OSError:
        return None
    if not stamps:
        return None
    *of_day, since_1970 = stamps[-1]
    stamp = float(since_1970) if since_1970 else _of_day_s(*of_day)
    ahead = (stamp - moment_s) % _ZONE_STEP_S
    return stamp if ahead < _ZONE_STEP_S / 2 else None


def offset_of(stamp_s: float, moment_s: float, expected_s: int) -> int:
    """How far a log's clock is ahead of UTC, from a ``stamp_s`` (of the day, or since 1970) at a known time.

    The service and the shell that cuts a window can have different zones. A stamp of the day fits two zones a day
    apart; ``expected_s`` decides.
    """
    if stamp_s >= _DAY_S:
        return 0
    offset = round((stamp_s - moment_s % _DAY_S) / _ZONE_STEP_S) * _ZONE_STEP_S
    return min((offset - _DAY_S, offset, offset + _DAY_S), key=lambda other: abs(other - expected_s))


def time_of_day_s(head: bytes) -> float | None:
    """The first stamp of a log in seconds of its day; None without one, or with times since 1970."""
    found = _STAMP.search(head)
    if found is None or found[1] is None:
        return None
    return _of_day_s(found[1], found[2], found[3], found[4] or b"")


def _of_day_s(hours: bytes, minutes: bytes, seconds: bytes, part: bytes) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(part or 0)


def calls_in(window: Window, logs: dict[Path, Profile] | None) -> Profile:
    """The calls of a window, from its own log or its part of a shared one. Raises ReadError if the log is missing."""
    from workbench.profiles.read import read_strace
    from workbench.profiles.views.syscalls import between

    path = window.path("log") if "log" in window.files else _whole_log(window)
    offset_s = window.facts["utc_offset_s"]
    part = _part(path, *window.facts["log_part"]) if logs is None and "log_part" in window.facts else b""
    if part:
        day = _day(window.started_ns / 1e9, time_of_day_s(part), offset_s)
        profile = read_strace(part, date=day, utc_offset_s=offset_s)
        # a log without calls, only with the line of a signal, does not show its clock
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
    """The complete lines of a log between two byte positions, which may be inside a line."""
    with log.open("rb") as file:
        file.seek(max(0, begin - 1))
        data = file.read(end - max(0, begin - 1))
    # the first line is complete if a line ended right before it
    start = data.find(b"\n") + 1 if begin else 0
    return data[start : data.rfind(b"\n") + 1]


def _whole_log(window: Window) -> Path:
    """The log that contains the window: where strace wrote it, or beside the window, perhaps moved aside by a later
    start."""
    written, mark = Path(window.facts["log"]), window.facts["log_mark"]
    for path in (*sorted(window.folder.glob("strace*.log")), written):
        # a short log has grown since
        if path.is_file() and mark_of(path, mark["bytes"]) == mark:
            return path
    raise ReadError(
        "the log of this window is missing", where=str(written), hint="It should be beside the window's record"
    )


def _first_day(window: Window, offset_s: int) -> datetime.date:
    """The day of the log's first line in its own zone; strace -tt writes no date.

    The tool started at ``log_started_s``, perhaps just before midnight, and wrote the line just after.
    """
    started_s = window.facts.get("log_started_s", window.started_ns / 1e9)
    return _day(started_s, window.facts.get("log_mark", {}).get("time_of_day_s"), offset_s)


def _day(moment_s: float, time_of_day_s: float | None, offset_s: int) -> datetime.date:
    """The day, in a zone, of the time of day that is nearest to a moment (of the moment itself where none is given)."""
    local_s = moment_s + offset_s
    if time_of_day_s is not None:
        local_s += (time_of_day_s - local_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    return datetime.datetime.fromtimestamp(local_s, datetime.UTC).date()

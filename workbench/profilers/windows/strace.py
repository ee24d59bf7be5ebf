"""strace's windows: the part of a log between two moments, or, attached to a running service, a log of its own.

A call belongs to the window it began in. The log is complete up to a moment once it has a line of a later one, so at
the end of a window the service gets a signal without a meaning.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path
from shlex import quote
from typing import Any

from workbench.errors import ToolError
from workbench.profilers.modes import STRACE_FLAGS, TOOLS
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.windows.scene import Scene

_HEAD_BYTES = 120
_FULL_BYTES = 65536
_LATER_TIMEOUT_S = 30.0
# with -f the task's number is before it; -t has whole seconds, -tt parts of them, -ttt the time since 1970
_STAMP = re.compile(rb"^(?:\[pid +)?(?:\d+\]? +)?(?:(\d\d):(\d\d):(\d\d)(\.\d+)?|(\d{9,}\.\d+)) ", re.MULTILINE)
_DAY_S = 86400
_ZONE_STEP_S = 900  # every zone is some quarters of an hour from UTC


async def begin(scene: Scene) -> dict[str, Any]:
    """Of a whole-life log the zone of its clock is needed, and where in it the window begins."""
    return {"utc_offset_s": await _offset(scene), "log_from": _size(scene.place.host / "strace.log")}


async def end(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """Wait until the log has got past this moment."""
    log = scene.place.host / "strace.log"
    _require_room(log)
    moment, size = time.time(), _size(log)
    # a signal that means nothing to a process that runs, and that strace writes down with its time
    await scene.signal("CONT")
    await scene.until(lambda: _later(log, size, moment) is not None, _LATER_TIMEOUT_S, _WAITED_FOR)
    stamp = _later(log, size, moment)
    offset = begun["utc_offset_s"] if stamp is None else offset_of(stamp, moment, begun["utc_offset_s"])
    # so that the window can be read without the rest; a session of an earlier version did not say where it began
    part = {"log_part": [begun["log_from"], _size(log)]} if "log_from" in begun else {}
    return {}, {"utc_offset_s": offset, "log": str(log), "log_mark": mark_of(log), **part}, ()


_WAITED_FOR = "a line of strace with a time after the window (with flags of your own: -tt or -ttt are needed)"


def mark_of(log: Path, size: int = _HEAD_BYTES) -> dict[str, Any]:
    """By what a log is found again under another name, since the next start writes under the old one: a hash of its
    first ``size`` bytes. The bytes themselves have the service's command line, in which a key may be."""
    with log.open("rb") as file:
        head = file.read(size)
    return {"bytes": len(head), "sha256": hashlib.sha256(head).hexdigest(), "time_of_day_s": time_of_day_s(head)}


async def attach(scene: Scene, flags: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Begin to trace a service that runs already. Raises ToolError where that is not allowed."""
    offset = await _offset(scene)
    place, name = scene.place, f"{scene.name}.strace.log"
    log, said = place.inside / name, f"{scene.name}.strace.err"
    given = " ".join(quote(flag) for flag in (STRACE_FLAGS if flags is None else flags))
    pid = await scene.pid()
    script = f"strace {given} -o {quote(str(log))} -p {pid} 2>{quote(str(place.inside / said))} >/dev/null & echo $!"
    tracer = int((await scene.run("sh", "-c", script)).strip())
    words = place.host / said

    def attached() -> bool:
        text = words.read_text("utf-8", errors="replace") if words.exists() else ""
        if "attached" not in text and "not found" in text:
            raise ToolError("strace is not installed", where=scene.service, hint=TOOLS["strace"].install)
        if "attached" not in text and ("not permitted" in text or "strace: " in text):
            raise ToolError(
                f"cannot attach to process {pid}: {text.strip().splitlines()[-1]}",
                where=scene.service,
                hint="Allow it (sysctl kernel.yama.ptrace_scope=0, or SYS_PTRACE), or trace its whole life",
            )
        return "attached" in text

    try:
        await scene.until(attached, _LATER_TIMEOUT_S, "strace's word that it has attached")
    except BaseException:
        await to_the_end(_end_tracer(scene, tracer))
        words.unlink(missing_ok=True)
        raise
    return {"utc_offset_s": offset, "tracer": tracer, "produced": name}


async def detach(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """End the tracing; the service goes on."""
    place = scene.place
    ended = await _end_tracer(scene, begun["tracer"])
    (place.host / f"{scene.name}.strace.err").unlink(missing_ok=True)
    _require_room(place.host / begun["produced"])
    kept = await scene.take(place.host / begun["produced"], begun["produced"])
    notes = () if ended else ("strace had ended before the window did: what came after is not in its log",)
    return {"log": kept}, {"utc_offset_s": begun["utc_offset_s"]}, notes


async def _end_tracer(scene: Scene, tracer: int) -> bool:
    """End strace, which detaches it; False where it had ended before."""
    # a process whose parent does not fetch it stays on as a zombie, which can be signalled for ever
    gone = f"! kill -0 {tracer} 2>/dev/null || grep -q ') Z ' /proc/{tracer}/stat 2>/dev/null"
    said = await scene.run(
        "sh", "-c", f"if {gone}; then echo gone; fi; kill -TERM {tracer} 2>/dev/null; until {gone}; do sleep 0.05; done"
    )
    return "gone" not in said


async def _offset(scene: Scene) -> int:
    """How many seconds the service's local time, which strace prints, is ahead of UTC."""
    text = (await scene.run("date", "+%z")).strip()
    sign = -1 if text.startswith("-") else 1
    return sign * (int(text[1:3]) * 3600 + int(text[3:5]) * 60)


def _require_room(log: Path) -> None:
    """Raise ToolError on a full disk: strace goes on without a word, and the log lacks lines."""
    if shutil.disk_usage(log.parent).free < _FULL_BYTES:
        raise ToolError(
            "the disk is full, so the log may lack lines of the window",
            where=str(log),
            hint="Make room and measure the step again",
        )


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _later(log: Path, after: int, moment_s: float) -> float | None:
    """The last stamp of the lines written after ``after`` bytes, if it is past a moment (seconds since 1970).

    In seconds of the day in the log's own zone, or since 1970. Which zone that is does not matter here: they are all
    quarters of an hour apart, and these lines were written just now.
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
    """How far ahead of UTC a log's clock is that shows ``stamp_s`` (of the day, or since 1970) at a moment.

    A service can have another zone than the shell that cuts a window. A stamp of the day fits two zones a day apart:
    ``expected_s`` decides.
    """
    if stamp_s >= _DAY_S:
        return 0
    offset = round((stamp_s - moment_s % _DAY_S) / _ZONE_STEP_S) * _ZONE_STEP_S
    return min((offset - _DAY_S, offset, offset + _DAY_S), key=lambda other: abs(other - expected_s))


def time_of_day_s(head: bytes) -> float | None:
    """The first stamp of a log in seconds of its day; None where it has none, or time since 1970."""
    found = _STAMP.search(head)
    if found is None or found[1] is None:
        return None
    return _of_day_s(found[1], found[2], found[3], found[4] or b"")


def _of_day_s(hours: bytes, minutes: bytes, seconds: bytes, part: bytes) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(part or 0)

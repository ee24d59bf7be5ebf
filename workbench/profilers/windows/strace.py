"""strace's windows: the part of a log between two moments, or, attached to a running service, a log of its own.

A call belongs to the window it began in. The log is complete up to a moment once it has a line of a later one, so at
the end of a window the service gets a signal without a meaning.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from shlex import quote
from typing import Any

from workbench.errors import ToolError
from workbench.profilers.modes import STRACE_FLAGS
from workbench.profilers.windows.scene import Scene

_TAIL_BYTES = 65536
_HEAD_BYTES = 120
_LATER_TIMEOUT_S = 30.0
_STAMP = re.compile(rb"^(?:\[pid +)?\d+\]? +(\d\d):(\d\d):(\d\d)\.(\d{6}) ", re.MULTILINE)
_DAY_S = 86400


async def begin(scene: Scene) -> dict[str, Any]:
    """A whole-life log only needs the zone of its clock."""
    return {"utc_offset_s": await _offset(scene)}


async def end(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """Wait until the log has got past this moment."""
    log = scene.place.host / "strace.log"
    moment = time.time()
    # a signal that means nothing to a process that runs, and that strace writes down with its time
    # by a shell, since slim images have no other kill
    await scene.run("sh", "-c", f"kill -CONT {await scene.pid()}")
    await scene.until(
        lambda: _later(log, moment + begun["utc_offset_s"]), _LATER_TIMEOUT_S, "a line of strace after the window"
    )
    return {}, {**begun, "log": str(log), "log_head": head_of(log)}, ()


def head_of(log: Path) -> str:
    """The beginning of a log, by which it is found again under another name: the next start writes under the old
    one."""
    with log.open("rb") as file:
        return file.read(_HEAD_BYTES).decode("utf-8", errors="backslashreplace")


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
        if "attached" not in text and ("not permitted" in text or "strace: " in text):
            raise ToolError(
                f"cannot attach to process {pid}: {text.strip().splitlines()[-1]}",
                where=scene.service,
                hint="Allow it (sysctl kernel.yama.ptrace_scope=0, or SYS_PTRACE), or trace its whole life",
            )
        return "attached" in text

    await scene.until(attached, _LATER_TIMEOUT_S, "strace's word that it has attached")
    return {"utc_offset_s": offset, "tracer": tracer, "produced": name}


async def detach(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """End the tracing; the service goes on."""
    place, tracer = scene.place, begun["tracer"]
    # in a container its parent is process 1, which may never reap it: a zombie has ended too
    living = f"grep -qs '^State:.[^ZX]' /proc/{tracer}/status"
    await scene.run("sh", "-c", f"kill -TERM {tracer}; while {living}; do sleep 0.05; done")
    kept = await scene.take(place.host / begun["produced"], begun["produced"])
    (place.host / f"{scene.name}.strace.err").unlink(missing_ok=True)
    return {"log": kept}, {"utc_offset_s": begun["utc_offset_s"]}, ()


async def _offset(scene: Scene) -> int:
    """How many seconds the service's local time, which strace prints, is ahead of UTC."""
    text = (await scene.run("date", "+%z")).strip()
    sign = -1 if text.startswith("-") else 1
    return sign * (int(text[1:3]) * 3600 + int(text[3:5]) * 60)


def _later(log: Path, moment_s: float) -> bool:
    """Whether the log's last stamp is at or after a moment (seconds since 1970 in the log's own zone)."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            stamps = _STAMP.findall(file.read())
    except OSError:
        return False
    if not stamps:
        return False
    hours, minutes, seconds, micros = (int(part) for part in stamps[-1])
    stamp = hours * 3600 + minutes * 60 + seconds + micros / 1e6
    behind = (moment_s - stamp) % _DAY_S
    return behind == 0 or behind > _DAY_S / 2

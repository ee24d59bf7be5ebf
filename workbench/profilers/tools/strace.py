"""strace: every system call with times and arguments.

Windows: the part of a log between two times, or, if attached to a running service, a separate log. A call belongs to
the window in which it began. The log is complete up to a time when it has a later line; to get one, the service is sent
a harmless signal at the end of a window.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from shlex import quote
from typing import TYPE_CHECKING, Any

from workbench.errors import ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.tools.strace_log import calls_in, later_stamp, mark_of, offset_of, size_of
from workbench.profilers.tools.tool import Parts, Tool
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    import psutil

    from workbench.profiles.model import Profile

_FULL_BYTES = 65536
_LATER_TIMEOUT_S = 30.0
_INSTALL = "Install strace: apt-get install strace"
_WAITED_FOR = "a line of strace with a time after the window (your own flags need -tt or -ttt)"


@dataclass(frozen=True)
class Strace(Tool):
    """The mode ``strace``."""

    mode: Mode = "strace"
    program: str = "strace"
    flags: tuple[str, ...] = ("-f", "-tt", "-T", "-e", "trace=all", "-s", "256")
    output: str = "strace.log"
    leaves: tuple[str, ...] = ("strace.log*",)
    install: str = _INSTALL
    main_metric: str = "calls"
    attaches: bool = True

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """strace with its flags and log, then the program."""
        given = self.flags if flags is None else flags
        return [self.program, *given, "-o", str(folder / self.output), *program]

    def profiled(self, process: psutil.Process) -> psutil.Process:
        """The child of strace."""
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            children: list[psutil.Process] = process.children()
            if children:
                return children[0]
        return process

    def takes_orders(self, pid: int, folder: Path) -> str:
        """ "" after strace has written a line."""
        del pid
        return "" if size_of(folder / self.output) else "strace has written nothing"

    def reason(self, log: str) -> str:
        """strace's last message about itself, which gives the reason."""
        said = [line for line in log.splitlines() if line.startswith("strace: ") and not _PASSING.search(line)]
        return said[-1] if said else ""

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """For a log of the whole run, note its time zone and the position where the window begins."""
        if scene.attach:
            return await _attach(scene)
        return {"utc_offset_s": await _offset(scene), "log_from": size_of(scene.place.host / self.output)}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Wait until the log has passed this time; if attached, detach."""
        if scene.attach:
            return await _detach(scene, begun)
        log = scene.place.host / self.output
        _require_room(log)
        moment, size = time.time(), size_of(log)
        # a signal without effect on a running process, which strace logs with its time
        await scene.signal("CONT")
        await scene.until(lambda: later_stamp(log, size, moment) is not None, _LATER_TIMEOUT_S, _WAITED_FOR)
        stamp = later_stamp(log, size, moment)
        offset = begun["utc_offset_s"] if stamp is None else offset_of(stamp, moment, begun["utc_offset_s"])
        # so that the window can be read alone; sessions of earlier versions lack the beginning
        part = {"log_part": [begun["log_from"], size_of(log)]} if "log_from" in begun else {}
        facts = {"utc_offset_s": offset, "log": str(log), "log_mark": mark_of(log), **part}
        return Parts(facts={**facts, "log_started_s": scene.started_s})

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The calls that began in the window."""
        return calls_in(window, logs)


# messages about threads that ended during attaching, about options, and warnings
_PASSING = re.compile(r"^strace: Process \d+ (?:attached|detached)|: WARNING|^strace: \[")


async def _attach(scene: Scene) -> dict[str, Any]:
    """Attach to a running service. Raises ToolError if that is not allowed."""
    offset, attached_s = await _offset(scene), time.time()
    place, name = scene.place, f"{scene.name}.strace.log"
    log, said = place.inside / name, f"{scene.name}.strace.err"
    given = " ".join(quote(flag) for flag in (Strace().flags if scene.flags is None else scene.flags))
    pid = await scene.pid()
    script = f"strace {given} -o {quote(str(log))} -p {pid} 2>{quote(str(place.inside / said))} >/dev/null & echo $!"
    tracer = int((await scene.run("sh", "-c", script)).strip())
    words = place.host / said

    def attached() -> bool:
        text = words.read_text("utf-8", errors="replace") if words.exists() else ""
        if "attached" not in text and "not found" in text:
            raise ToolError("strace is not installed", where=scene.service, hint=_INSTALL)
        if "attached" not in text and ("not permitted" in text or "strace: " in text):
            raise ToolError(
                f"cannot attach to process {pid}: {text.strip().splitlines()[-1]}",
                where=scene.service,
                hint="Allow it (sysctl kernel.yama.ptrace_scope=0, or SYS_PTRACE), or start the service under strace",
            )
        return "attached" in text

    try:
        await scene.until(attached, _LATER_TIMEOUT_S, "strace's message that it has attached")
    except BaseException:
        await to_the_end(_end_tracer(scene, tracer))
        words.unlink(missing_ok=True)
        raise
    return {"utc_offset_s": offset, "attached_s": attached_s, "tracer": tracer, "produced": name}


async def _detach(scene: Scene, begun: dict[str, Any]) -> Parts:
    """Stop tracing; the service continues."""
    place = scene.place
    ended = await _end_tracer(scene, begun["tracer"])
    (place.host / f"{scene.name}.strace.err").unlink(missing_ok=True)
    _require_room(place.host / begun["produced"])
    kept = await scene.take(place.host / begun["produced"], begun["produced"])
    notes = () if ended else ("strace ended before the window did: its log lacks the rest",)
    facts = {"utc_offset_s": begun["utc_offset_s"], "log_started_s": begun.get("attached_s", scene.started_s)}
    return Parts({"log": kept}, facts, notes)


async def _end_tracer(scene: Scene, tracer: int) -> bool:
    """End strace, which detaches it; False if it had already ended."""
    # an unreaped process stays a zombie, which can still be signalled
    gone = f"! kill -0 {tracer} 2>/dev/null || grep -q ') Z ' /proc/{tracer}/stat 2>/dev/null"
    said = await scene.run(
        "sh", "-c", f"if {gone}; then echo gone; fi; kill -TERM {tracer} 2>/dev/null; until {gone}; do sleep 0.05; done"
    )
    return "gone" not in said


async def _offset(scene: Scene) -> int:
    """Seconds by which the service's local time, which strace prints, is ahead of UTC."""
    text = (await scene.run("date", "+%z")).strip()
    sign = -1 if text.startswith("-") else 1
    return sign * (int(text[1:3]) * 3600 + int(text[3:5]) * 60)


def _require_room(log: Path) -> None:
    """Raise ToolError on a full disk: strace continues silently, and the log lacks lines."""
    if shutil.disk_usage(log.parent).free < _FULL_BYTES:
        raise ToolError(
            "the disk is full, so the log may lack lines of the window",
            where=str(log),
            hint="Free disk space and measure the step again",
        )

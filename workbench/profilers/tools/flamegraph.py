"""flamegraph: the sampling profiler inside the service, which writes reports by itself.

Windows: the report after a step minus the one before it. Each report counts from the start of the process:
``profile-<UTC time>-N.pb`` with ``flamegraph-<UTC time>-N.svg``, whose times can differ, so N pairs them. A sampler
that accepts requests (ours, by SIGUSR2) reports at both ends of a step. Others report only periodically (those of the
real services every 120 s, first after 130 s): then the window reaches from the last report before the step to the first
after it, and a note says so.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from workbench.errors import ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.sampler.ask import taken_since
from workbench.profilers.sampler.files import key_of
from workbench.profilers.sampler.protobuf import taken_ns
from workbench.profilers.tools.tool import Parts, Tool
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

START_DELAY_S = 10.0
INTERVAL_S = 120.0
FOLDER_VARIABLE = "WORKBENCH_PROFILE_DIR"
"""The stand-in's setting for the folder of our sampler's reports. Upstream's folder is hard-coded."""

_ASKED_TIMEOUT_S = 60.0
_START_S = 5.0  # how long a service may take to start its sampler, without its delay, while other services start too
_TICKS_PER_S = 100  # ticks per second in /proc, on every Linux
_REPORT = re.compile(r"^(profile|flamegraph)-(\d{4}-\d\d-\d\d-\d\d_\d\d_\d\d)-(\d+)\.(pb|svg)$")


@dataclass(frozen=True)
class Flamegraph(Tool):
    """The mode ``flamegraph``."""

    mode: Mode = "flamegraph"
    leaves: tuple[str, ...] = ("flamegraph-*.svg", "profile-*.pb")
    main_metric: str = "cpu"
    writes_reports: bool = True

    def variables(self, folder: PurePath) -> Mapping[str, str]:
        """The variable that tells a service with our sampler where to write reports."""
        return {FOLDER_VARIABLE: str(folder)}

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """Note the last report; if the sampler accepts requests, one made now."""
        if await takes_requests(scene):
            return {"asks": True, "begin": await _ask(scene)}
        began_s, folder = await _began_s(scene), scene.place.host
        reports = [name for name in _reports(folder) if _is_of(folder / name, began_s)]
        return {"asks": False, "began_s": began_s, "begin": reports[-1] if reports else None}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Wait for a report that covers the whole window; keep both reports with their pictures."""
        folder = scene.place.host
        notes: list[str] = []
        if begun["asks"]:
            last = await _ask(scene)
        else:
            moment = time.time()
            last = await _next_report(scene, begun.get("began_s"))
            notes.append(
                f"The sampler reports every {INTERVAL_S:.0f} s: this window began with the last report before the step "
                f"and ends {time.time() - moment:.0f} s after it, so it includes more than the step"
            )
        files: dict[str, str] = {}
        for edge, report in (("begin", begun["begin"]), ("end", last)):
            if report is None:
                continue
            files[edge] = await _keep(scene, report, f"{scene.name}.{edge}.pb")
            picture = _picture(folder, report)
            # an idle sampler writes an empty picture
            if picture is not None and (folder / picture).stat().st_size:
                files[f"{edge}_svg"] = await _keep(scene, picture, f"{scene.name}.{edge}.svg")
        return Parts(files, notes=tuple(notes))

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The later report minus the earlier."""
        from workbench.profiles.read import read_pprof
        from workbench.profiles.transforms.windows import subtract

        del logs
        after = read_pprof(window.path("end"))
        return after if "begin" not in window.files else subtract(after, read_pprof(window.path("begin")))


def first_report_after_s(delay_s: float = START_DELAY_S, interval_s: float = INTERVAL_S) -> float:
    """How long after its start a sampler without requests has no report yet: a shorter run has no profile."""
    return delay_s + interval_s


async def takes_requests(scene: Scene) -> bool:
    """Whether the service's sampler reports on request: it catches SIGUSR2, which would kill a process that does not.

    Only Linux tells what a process catches; elsewhere the sampler is not asked.
    """
    try:
        status = await scene.run("cat", f"/proc/{await scene.pid()}/status")
    except ToolError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-fA-F]+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1)


async def _ask(scene: Scene) -> str:
    """Request a report; returns the first that was taken since. A periodic one that is just being written is older."""
    folder = scene.place.host
    known = set(_reports(folder))
    asked_ns, old = time.time_ns(), {key for name in known if (key := key_of(name)) is not None}
    answers: list[str] = []

    def answered() -> bool:
        if (found := taken_since(folder, asked_ns, old)) is not None:
            answers.append(found.pb.name)
        else:
            # another sampler that accepts requests: its reports have no time
            answers.extend(name for name in _after(folder, known) if taken_ns((folder / name).read_bytes()) is None)
        return bool(answers)

    await scene.signal("USR2")
    await scene.until(answered, _ASKED_TIMEOUT_S, "the report that was requested from the sampler")
    return answers[0]


async def _next_report(scene: Scene, began_s: float | None) -> str:
    """The next report that the service writes. Raises ToolError if there is none in time."""
    folder, wait_s = scene.place.host, START_DELAY_S + INTERVAL_S + _ASKED_TIMEOUT_S
    known, found = set(_reports(folder)), list[str]()

    def written() -> bool:
        for name in _after(folder, known):
            known.add(name)
            if _is_of(folder / name, began_s):
                found.append(name)
        return bool(found)

    what = "the sampler's next report (is the service built with the feature profiling?)"
    await scene.until(written, wait_s, what)
    return found[0]


async def _began_s(scene: Scene) -> float | None:
    """When the service's process began, in seconds since 1970; None if its system does not tell."""
    try:
        text = await scene.run("cat", f"/proc/{await scene.pid()}/stat", "/proc/stat")
    except ToolError:
        return None
    own, _, system = text.partition("\n")
    booted = re.search(r"^btime (\d+)", system, re.MULTILINE)
    # the name in brackets may contain spaces and brackets; the clock of docker's machine is in hundredths
    ticks = own.rpartition(")")[2].split()
    return None if booted is None or len(ticks) < 20 else int(booted[1]) + int(ticks[19]) / _TICKS_PER_S


def _is_of(report: Path, began_s: float | None) -> bool:
    """Whether a report belongs to the process that began at that time. Upstream's folder is hard-coded, so all services
    of a machine write into it; a report tells when its sampler began, some seconds after its process."""
    from workbench.errors import ReadError
    from workbench.profiles.read import read_pprof

    if began_s is None:
        return True
    try:
        sampled_s = read_pprof(report).meta.get("start_s")
    except (ReadError, OSError):
        return False
    return not sampled_s or -1.0 <= sampled_s - began_s <= START_DELAY_S + _START_S


def _after(folder: Path, known: set[str]) -> list[str]:
    """New, complete reports: a report's picture is written before it, or is not wanted."""
    return [name for name in _reports(folder) if name not in known and (folder / name).stat().st_size]


def _reports(folder: Path) -> list[str]:
    """The protobuf reports in order of time; numbers restart with each process."""
    found = [match for path in folder.glob("profile-*.pb") if (match := _REPORT.match(path.name))]
    return [match[0] for match in sorted(found, key=lambda match: (match[2], int(match[3])))]


def _picture(folder: Path, report: str) -> str | None:
    """The picture of a report: the nearest in time with the same number."""
    match = _REPORT.match(report)
    if match is None:
        return None
    stamp = _seconds(match[2])
    candidates = [
        other
        for path in folder.glob(f"flamegraph-*-{match[3]}.svg")
        if (other := _REPORT.match(path.name)) and abs(_seconds(other[2]) - stamp) < INTERVAL_S / 2
    ]
    nearest = min(candidates, key=lambda other: abs(_seconds(other[2]) - stamp), default=None)
    return None if nearest is None else nearest[0]


def _seconds(stamp: str) -> float:
    return time.mktime(time.strptime(stamp, "%Y-%m-%d-%H_%M_%S"))


async def _keep(scene: Scene, produced: str, kept: str) -> str:
    """Copy, not move: a report can be the end of one window and the beginning of the next."""
    await asyncio.to_thread(shutil.copyfile, scene.place.host / produced, scene.keep / kept)
    return kept

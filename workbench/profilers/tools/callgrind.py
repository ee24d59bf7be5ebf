"""callgrind: every instruction is counted, with simulated caches and branches.

Windows: at the start of a step counting is switched on from zero, at its end the counters are dumped with the step's
name, by ``callgrind_control``, which talks to the running program through vgdb. Outside windows counting is off, which
runs ten times faster, so start-up and pauses are cheap. Caches and branch predictors are cold at the start of each
window.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.tools.dumps import merged_dumps
from workbench.profilers.tools.tool import Parts
from workbench.profilers.tools.valgrind import Valgrind
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_DUMP_TIMEOUT_S = 120.0
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Callgrind(Valgrind):
    """The mode ``callgrind``."""

    mode: Mode = "callgrind"
    output_flag: str = "--callgrind-out-file"
    output: str = "callgrind.out"
    leaves: tuple[str, ...] = ("callgrind.out*",)  # the dumps of callgrind_control have a suffix
    main_metric: str = "Ir"
    flags: tuple[str, ...] = (
        "--cache-sim=yes",
        "--branch-sim=yes",
        "--collect-jumps=yes",
        "--collect-systime=yes",
        "--collect-bus=yes",
        "--dump-instr=yes",
        "--dump-line=yes",
        "--compress-strings=no",
    )
    window_flags: tuple[str, ...] = ("--instr-atstart=no",)

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """Switch counting on and set it to zero."""
        pid = await scene.pid()
        try:
            await _control(scene, pid, "--instr=on")
            await _control(scene, pid, "--zero")
        except BaseException:
            with contextlib.suppress(ToolError):
                await to_the_end(_control(scene, pid, "--instr=off"))
            raise
        return {}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Dump the counters, switch counting off, keep the dump."""
        pid = await scene.pid()
        folder = scene.place.host
        # a killed process may leave a dump, and the next process numbers from 1 again
        for left in _dumps(folder):
            await scene.take(folder / left, f"left-over-{left}")
        try:
            await _control(scene, pid, f"--dump={scene.name}")
            await scene.until(lambda: bool(_dumps(folder)), _DUMP_TIMEOUT_S, "callgrind's dump")
        finally:
            with contextlib.suppress(ToolError):
                await to_the_end(_control(scene, pid, "--instr=off"))
        files: dict[str, str] = {}
        # --separate-threads writes a file for each thread
        for number, dump in enumerate(sorted(_dumps(folder))):
            suffix = "" if number == 0 else f"-{number + 1}"
            kept = await scene.take(folder / dump, f"{scene.name}{suffix}.callgrind.out")
            _require_whole(scene.keep / kept)
            files[f"dump{suffix}"] = kept
        return Parts(files)

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The dump, or the dumps of its threads."""
        del logs
        return merged_dumps(window)


async def _control(scene: Scene, pid: int, option: str) -> None:
    said = await scene.tell("callgrind_control", option, str(pid), timeout_s=_DUMP_TIMEOUT_S)
    if "OK." not in said:
        words = " ".join(said.split()) or "nothing"
        raise ToolError(
            f"callgrind_control {option} of process {pid} failed: {words[-200:]}",
            where=scene.service,
            hint="It must run as the same user as the service, with ptrace allowed (SYS_PTRACE in a container)",
        )


def _dumps(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("callgrind.out.*")}


def _require_whole(path: Path) -> None:
    """A dump ends with its totals. Raises ToolError for one that was cut off."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    if b"\ntotals:" not in tail:
        raise ToolError(
            "callgrind's dump is cut off",
            where=str(path),
            hint="The disk may be full: free disk space and measure the step again",
        )

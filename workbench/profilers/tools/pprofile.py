"""pprofile: every line of a Python service, counted and timed, from the service's start to its end.

It is run (``python -m pprofile``), never imported. Its windows are therefore runs of the service of their own; between
them the service runs without it. What starting costs is in every window alike, and comes out as the part of a window's
cost that does not depend on receipts.
"""

from __future__ import annotations

import importlib.util
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from workbench.errors import SettingsError, ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.tools.dumps import merged_dumps
from workbench.profilers.tools.tool import Parts, Tool
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    import psutil

    from workbench.profiles.model import Profile

_CLUSTER = re.compile(r"-([bBdEiIOqsSuvx]+)([cm])")


@dataclass(frozen=True)
class Pprofile(Tool):
    """The mode ``pprofile``.

    It counts line by line: its counts are exact, so a cost per receipt is too. The flag "--statistic 0.001" is lighter,
    and counts waiting.
    """

    mode: Mode = "pprofile"
    program: str = "pprofile"
    output: str = "pprofile.out"
    leaves: tuple[str, ...] = ("pprofile.out*",)
    install: str = "Install pprofile: pip install pprofile"
    main_metric: str = "hits"
    run_a_window: bool = True

    def installed(self) -> bool:
        """Whether this Python has the module; a service may have another Python."""
        return importlib.util.find_spec(self.program) is not None

    @property
    def beside_the_service(self) -> bool:
        """It is a module of the service's Python."""
        return False

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """The interpreter with the module pprofile before the script or module. Raises SettingsError for what is no
        Python."""
        options, script = _python_parts(program)
        out = str(folder / self.output)
        given = self.flags if flags is None else flags
        return [program[0], *options, "-m", "pprofile", "--format", "callgrind", "--out", out, *given, *script]

    def ending(self, program: psutil.Process) -> signal.Signals:
        """pprofile writes from within the program, which SIGTERM ends at once where it is not caught: Python catches
        SIGINT then."""
        if not _catches(program.pid, signal.SIGTERM) and _catches(program.pid, signal.SIGINT):
            return signal.SIGINT
        return signal.SIGTERM

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Keep what one service's run wrote."""
        del begun
        if scene.over is None:
            raise ToolError("it is still running under pprofile", where=scene.service)
        written = scene.over.places[scene.service].host / self.output
        if not (written.exists() and written.stat().st_size):
            raise ToolError(
                f"pprofile wrote nothing: {scene.over.wrong[scene.service] or 'it was cut off'}",
                where=str(written),
                hint="It writes when the service exits on SIGTERM or SIGINT: give it longer to stop",
            )
        return Parts({"dump": await scene.take(written, f"{scene.name}.{self.output}")})

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The run's dump."""
        del logs
        return merged_dumps(window)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, as far as this system tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _python_parts(program: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and what comes after them as pprofile takes it: ``-m MODULE ...`` or ``SCRIPT
    ...``."""
    name = PurePath(program[0]).name if program else "nothing"
    if "python" not in name:
        raise _no_python(repr(name))
    options, rest = [], list(program[1:])
    if rest and (cluster := _CLUSTER.fullmatch(rest[0])):
        rest[:1] = [f"-{cluster[1]}", f"-{cluster[2]}"]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        options.append(rest.pop(0))
        if options[-1] in ("-X", "-W") and rest:
            options.append(rest.pop(0))
    if not rest or rest[0] in ("-c", "-") or rest == ["-m"]:
        raise _no_python(f"{name} without a script or module")
    if rest[0] != "-m":
        return options, rest
    module, *arguments = rest[1:]
    # an option of the module's must not be taken for one of pprofile's
    return options, ["-m", module, *(["--"] if arguments and arguments[0].startswith("-") else []), *arguments]


def _no_python(found: str) -> SettingsError:
    return SettingsError(
        f"pprofile runs Python programs, found {found}",
        where="profiler pprofile",
        hint="Give a command such as: python -m package, or take another mode",
    )

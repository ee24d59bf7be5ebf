"""pprofile: counts and times every line of a Python service, from its start to its end.

It is run as ``python -m pprofile``, never imported. So each window is a separate run of the service; between windows
the service runs without it. Every window includes the same cost of starting, which appears as the part that does not
depend on receipts.
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

    It counts every line exactly, so the cost per receipt is exact too. With the flag "--statistic 0.001" it samples
    instead: cheaper, and waiting counts too.
    """

    mode: Mode = "pprofile"
    program: str = "pprofile"
    output: str = "pprofile.out"
    leaves: tuple[str, ...] = ("pprofile.out*",)
    install: str = "Install pprofile: pip install pprofile"
    main_metric: str = "hits"
    run_a_window: bool = True

    def installed(self) -> bool:
        """Whether this Python has the module; the service's Python may differ."""
        return importlib.util.find_spec(self.program) is not None

    @property
    def beside_the_service(self) -> bool:
        """False: it is a module of the service's Python."""
        return False

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """The command with ``-m pprofile`` before the script or module. Raises SettingsError if it is not a Python
        program."""
        options, script = _python_parts(program)
        out = str(folder / self.output)
        given = self.flags if flags is None else flags
        return [program[0], *options, "-m", "pprofile", "--format", "callgrind", "--out", out, *given, *script]

    def ending(self, program: psutil.Process) -> signal.Signals:
        """SIGTERM if the program catches it, otherwise SIGINT, which Python catches: pprofile writes inside the
        program, which an uncaught SIGTERM would end at once."""
        if not _catches(program.pid, signal.SIGTERM) and _catches(program.pid, signal.SIGINT):
            return signal.SIGINT
        return signal.SIGTERM

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Keep the output of one service's run."""
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
    """Whether a process has a handler for a signal, if this system tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def _python_parts(program: Sequence[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and the rest in the form that pprofile takes: ``-m MODULE ...`` or ``SCRIPT
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
    # the module's options must not be taken for options of pprofile
    return options, ["-m", module, *(["--"] if arguments and arguments[0].startswith("-") else []), *arguments]


def _no_python(found: str) -> SettingsError:
    return SettingsError(
        f"pprofile runs Python programs, found {found}",
        where="profiler pprofile",
        hint="Give a command such as: python -m package, or take another mode",
    )

"""The interface of a profiler mode: a frozen object with everything that differs between modes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from workbench.errors import ReadError, ToolError
from workbench.profilers.modes import Mode

if TYPE_CHECKING:
    import psutil

    from workbench.profilers.windows.record import Window
    from workbench.profilers.windows.scene import Scene
    from workbench.profiles.model import Profile


@dataclass(frozen=True, slots=True)
class Parts:
    """A tool's output for a window: raw ``files`` by kind, relative to the folder of windows; ``facts`` needed to read
    them; ``notes``: warnings in sentences."""

    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A mode without a tool; other modes override what differs.

    ``program`` must be installed ("" for none; ``install`` says how). ``flags`` are the guide's, ``window_flags`` are
    added to them, but not to the user's own flags, which decide whether counting begins at the start. ``output``: the
    file it writes in its folder at the end ("" if it chooses names itself or writes none). ``leaves``: patterns of all
    files of a run. ``main_metric``: the first metric of its costs.

    ``run_a_window``: it profiles from start to end, so each window is a separate run of the services. ``attaches``: it
    can attach to a running service and detach. ``blocks_sampler``: the service is started with SIGPROF blocked, since a
    sampling profiler inside it would end the tool. ``writes_reports``: its output is written by a sampling profiler
    inside the service.
    """

    mode: Mode
    program: str = ""
    flags: tuple[str, ...] = ()
    window_flags: tuple[str, ...] = ()
    output: str = ""
    leaves: tuple[str, ...] = ()
    install: str = ""
    main_metric: str = ""
    run_a_window: bool = False
    attaches: bool = False
    blocks_sampler: bool = False
    writes_reports: bool = False

    # --- what is started --------------------------------------------------------------------------------------

    def installed(self) -> bool:
        """Whether this machine has the tool."""
        return not self.program or shutil.which(self.program) is not None

    def require(self) -> None:
        """Raises ToolError, with how to install it, if this machine does not have it."""
        if not self.installed():
            raise ToolError(f"{self.program} is not installed", where=f"mode {self.mode}", hint=self.install)

    @property
    def beside_the_service(self) -> bool:
        """Whether it is a separate program, not a module of the service's language."""
        return bool(self.program)

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """``program`` (its argv) under the tool, which writes into ``folder``.

        ``flags`` replace those of the guide (None: the guide's); flags are not merged, since a flag without its usual
        value may be intended. Raises SettingsError for a program that it cannot run.
        """
        del folder, flags
        return list(program)

    def variables(self, folder: PurePath) -> Mapping[str, str]:
        """Environment variables for a service in this mode; services that do not know them ignore them."""
        del folder
        return {}

    # --- how it runs ------------------------------------------------------------------------------------------

    def profiled(self, process: psutil.Process) -> psutil.Process:
        """The profiled program of a started command: usually the tool's own process."""
        return process

    def ending(self, program: psutil.Process) -> signal.Signals:
        """The signal that stops a program so that its profile is written."""
        del program
        return signal.SIGTERM

    def takes_orders(self, pid: int, folder: Path) -> str:
        """ "" if the tool runs the program and can cut a window, otherwise what is still missing."""
        del pid, folder
        return ""

    def clear(self, pid: int) -> None:
        """Remove files of a killed tool outside its folder."""
        del pid

    def sweep(self) -> None:
        """Remove files, outside their folders, of this user's killed tools."""

    def reason(self, log: str) -> str:
        """Why the tool itself has ended, from the log; "" if the log does not tell."""
        del log
        return ""

    def is_own(self, line: str) -> bool:
        """Whether a line of the log comes from the tool, not from its service."""
        del line
        return False

    # --- its windows ------------------------------------------------------------------------------------------

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """Begin a window; returns plain JSON for :meth:`end`. Raises ToolError."""
        del scene
        return {}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """End a window and keep its complete raw files. Raises ToolError."""
        del begun
        raise ToolError(f"mode {self.mode} has no windows", where=scene.service)

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The Profile of a window. ``logs`` caches logs that contain several windows. Raises ReadError."""
        del logs
        raise ReadError(f"mode {self.mode} has no profiles", where=str(window.folder))

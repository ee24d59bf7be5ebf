"""What a profiler mode is: one frozen object that knows all that differs from mode to mode."""

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
    """What a tool gives of a window: raw ``files`` by what they are, relative to the folder windows are kept in;
    ``facts`` that reading them needs; ``notes``: warnings in sentences."""

    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A mode in which nothing is put before the service's command; the others say where they differ.

    ``program`` must be installed ("" for none; ``install`` says how). ``flags`` are the guide's, ``window_flags`` come
    after them, and not after flags of one's own: who gives them says whether counting begins at the start. ``output``
    is the file it writes in its folder by its end ("" where it chooses names itself, or writes none), ``leaves`` are
    patterns of all that a run leaves there. ``main_metric`` is what its costs are told in first.

    ``run_a_window``: it profiles from its start to its end, so each window is a run of the services of its own.
    ``attaches``: it can come to a running service and go. ``blocks_sampler``: the service is started with SIGPROF
    blocked, since a sampling profiler inside it would end the tool. ``writes_reports``: what it gives is written by a
    sampling profiler inside the service.
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
        """Whether this machine has it."""
        return not self.program or shutil.which(self.program) is not None

    def require(self) -> None:
        """Raises ToolError, with how to install it, where this machine does not have it."""
        if not self.installed():
            raise ToolError(f"{self.program} is not installed", where=f"mode {self.mode}", hint=self.install)

    @property
    def beside_the_service(self) -> bool:
        """Whether it is a program of its own, and not a module of the service's language."""
        return bool(self.program)

    def command(self, program: Sequence[str], folder: PurePath, flags: Sequence[str] | None = None) -> list[str]:
        """``program`` (its argv) under the tool, which writes into ``folder``.

        ``flags`` replace those of the guide (None: the guide's); a flag given without its usual value cannot be told
        from one that is wanted so, hence nothing is merged. Raises SettingsError for a program it cannot run.
        """
        del folder, flags
        return list(program)

    def variables(self, folder: PurePath) -> Mapping[str, str]:
        """Variables of the environment that a service is given in this mode; services that do not know them ignore
        them."""
        del folder
        return {}

    # --- how it runs ------------------------------------------------------------------------------------------

    def profiled(self, process: psutil.Process) -> psutil.Process:
        """The profiled program of a started command: mostly it is the tool's own process."""
        return process

    def ending(self, program: psutil.Process) -> signal.Signals:
        """The signal that ends a program so that its profile is written."""
        del program
        return signal.SIGTERM

    def takes_orders(self, pid: int, folder: Path) -> str:
        """ "" when the tool has the program and can cut a window, else what is still missing."""
        del pid, folder
        return ""

    def clear(self, pid: int) -> None:
        """Remove what a killed tool has left outside its folder."""
        del pid

    def sweep(self) -> None:
        """Remove what this user's killed tools of dead processes have left outside their folders."""

    def reason(self, log: str) -> str:
        """Why the tool itself has ended, from what it and the service printed; "" where it says nothing of that."""
        del log
        return ""

    def is_own(self, line: str) -> bool:
        """Whether a line of the log is of the tool, and not of its service."""
        del line
        return False

    # --- its windows ------------------------------------------------------------------------------------------

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """Begin a window; what :meth:`end` needs, as plain JSON. Raises ToolError."""
        del scene
        return {}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """End a window: its raw files are whole and kept. Raises ToolError."""
        del begun
        raise ToolError(f"mode {self.mode} has no windows", where=scene.service)

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """What the service did in a window. ``logs`` keeps logs that several windows are parts of. Raises ReadError."""
        del logs
        raise ReadError(f"mode {self.mode} has no profiles", where=str(window.folder))

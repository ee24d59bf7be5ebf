"""What a session needs of the place where services run: a local process, or containers of docker compose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from workbench.profilers.modes import Mode
from workbench.service.addresses import Addresses

READY_TIMEOUT_S = 300.0
"""How long a service may take to answer under a profiler: start-up under Valgrind takes fifty times as long."""

STOP_TIMEOUT_S = 120.0
"""How long it may take to stop. Valgrind's tools write their file at the end; ten seconds, docker's default, lose
it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder seen from both sides: ``inside``, where the service runs, and ``host``, here. Locally they are one."""

    inside: PurePosixPath
    host: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a service ended: its exit code (None: not known), how long that took, and whether it had to be killed."""

    service: str
    exit_code: int | None
    seconds: float
    killed: bool


class Backend(Protocol):
    """Services under a profiler, in one kind of place.

    Its *programs* are all that is started together, its *services* those of them that are profiled: their windows are
    cut. Every method raises ToolError (a tool failed, a service died: with what it said) or TargetError (a service does
    not answer) naming the service and what to do.
    """

    changed: Callable[[], None]
    """Called when what :meth:`to_json` says has changed, so that a kill at any time is recoverable."""

    @property
    def notes(self) -> list[str]:
        """Warnings, in sentences; they go into the records of windows."""

    @property
    def programs(self) -> tuple[str, ...]:
        """All that is started and stopped together, in the order it is started in."""

    @property
    def services(self) -> tuple[str, ...]:
        """Those of the programs that are put under the tool, as ``indexer-service``."""

    @property
    def running(self) -> bool:
        """Whether a program was started and not stopped; it may have ended by itself."""

    @property
    def owes(self) -> bool:
        """Whether something that ran before is not yet restored."""

    def place(self, service: str) -> Place:
        """Where the tool that profiles ``service`` writes; made where it is not there."""

    def addresses(self) -> Addresses:
        """Where the services and what belongs to them answer, as far as it is known by now. Raises SettingsError where
        not even the service's address is: only its user knows it then."""

    async def host_pids(self) -> dict[str, int]:
        """Processes of this machine by what they are: ``service``, ``agent`` (one process can be both), or the
        program's name. Empty where they are not of this machine; those that have ended are left out."""

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Put the services under the tool of ``mode``, start the other programs plainly, wait until all answer.

        What ran before is remembered for :meth:`restore`, then stopped. ``flags`` replace the guide's (see
        :meth:`workbench.profilers.tools.tool.Tool.command`), ``extra`` come after them (``--instr-atstart=no``). A
        failure leaves nothing of it running. Programs that run already go on, unless one of them is profiled, which is
        an error.
        """

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, profiled_only: bool = False) -> tuple[Ended, ...]:
        """End the programs so that their tools write all they have: SIGTERM to the program itself, SIGKILL only after
        ``timeout_s``. Programs that have ended already are told with their exit code. ``profiled_only``: the others go
        on, for a :meth:`start` that follows."""

    async def restore(self) -> bool:
        """Bring back exactly what ran before :meth:`start` and wait until it answers; False where nothing ran."""

    def inherit(self, other: Backend) -> None:
        """Restore, at the end, what ran before the session of ``other``, which was stopped and not restored. What
        ``other`` does not owe, or a backend of another kind, changes nothing."""

    async def condition(self, service: str) -> str:
        """ "" for a program that runs and answers, else what is wrong with it."""

    async def pid(self, service: str) -> int:
        """The process id of the profiled program itself (not of strace before it), as it is known on its side."""

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command beside the service (in its container) and return its standard output."""

    def to_json(self) -> dict[str, Any]:
        """All that another process needs to go on: plain values, no secrets. ``kind`` names the backend, whose
        ``from_json`` reads it (see :func:`workbench.profilers.backends.revive.backend_from_json`)."""

"""The interface of a backend, where services run: local processes, or containers of docker compose."""

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
"""How long a service may take to stop. Valgrind's tools write their file at the end; docker's default of ten seconds
would lose it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder seen from both sides: ``inside``, as the service sees it, and ``host``, as we do. Locally both are the
    same."""

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

    Its *programs* are started together; its *services* are those of them that are profiled. Every method raises
    ToolError (a tool failed, or a service died: with its last output) or TargetError (a service does not answer),
    naming the service and what to do.
    """

    changed: Callable[[], None]
    """Called when what :meth:`to_json` says has changed, so that a kill at any time is recoverable."""

    @property
    def notes(self) -> list[str]:
        """Warnings, in sentences; they go into the records of windows."""

    @property
    def programs(self) -> tuple[str, ...]:
        """All that is started and stopped together, in the order of starting."""

    @property
    def services(self) -> tuple[str, ...]:
        """The names of programs that are put under the tool, such as ``indexer-service``."""

    @property
    def running(self) -> bool:
        """Whether a program was started and not stopped; it may have ended by itself."""

    @property
    def owes(self) -> bool:
        """Whether something that ran before is not yet restored."""

    def place(self, service: str) -> Place:
        """Where the tool that profiles ``service`` writes; made if missing."""

    def addresses(self) -> Addresses:
        """The known addresses of the services and related programs. Raises SettingsError if not even the service's is
        known."""

    async def host_pids(self) -> dict[str, int]:
        """Processes of this machine by role, ``service`` or ``agent`` (one process can be both), or by the program's
        name. Without ended ones; empty if they run elsewhere."""

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Start the services under the tool of ``mode`` and the other programs without it, and wait until all answer.

        What ran before is remembered for :meth:`restore`, then stopped. ``flags`` replace the guide's (see
        :meth:`workbench.profilers.tools.tool.Tool.command`), ``extra`` come after them (``--instr-atstart=no``). After
        a failure nothing of it is left running. Programs that already run continue; if one of them should be profiled,
        that is an error.
        """

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S, *, profiled_only: bool = False) -> tuple[Ended, ...]:
        """Stop the programs so that their tools write all files: SIGTERM to the program itself, SIGKILL only after
        ``timeout_s``. Programs that already ended are reported with their exit code. ``profiled_only``: the others
        continue, for a later :meth:`start`."""

    async def restore(self) -> bool:
        """Restore exactly what ran before :meth:`start` and wait until it answers; False if nothing ran."""

    def inherit(self, other: Backend) -> None:
        """Take over from ``other``, a stopped session, what it has not restored yet, so that :meth:`restore` does it.
        No effect if it owes nothing or is another kind of backend."""

    async def condition(self, service: str) -> str:
        """ "" for a program that runs and answers, otherwise what is wrong."""

    async def pid(self, service: str) -> int:
        """The process id of the profiled program itself (not of strace around it), as numbered where it runs."""

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command beside the service (in its container) and return its standard output."""

    def to_json(self) -> dict[str, Any]:
        """All that another process needs to continue: plain values without secrets. ``kind`` names the backend whose
        ``from_json`` reads it (see :func:`workbench.profilers.backends.revive.backend_from_json`)."""

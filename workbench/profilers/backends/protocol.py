"""What a session needs of the place where services run: a local process, or containers of docker compose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from workbench.profilers.modes import Mode

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

    Every method raises ToolError (a tool failed, a service died: with its last line of output) or TargetError (a
    service does not answer) naming the service and what to do.
    """

    changed: Callable[[], None]
    """Called when what :meth:`to_json` says has changed, so that a kill at any time is recoverable."""

    @property
    def services(self) -> tuple[str, ...]:
        """The services that are started and stopped together, as ``indexer-service``."""

    def place(self, service: str) -> Place:
        """Where the tool that profiles ``service`` writes; made where it is not there."""

    async def start(self, mode: Mode, flags: Sequence[str] | None = None, extra: Sequence[str] = ()) -> None:
        """Put all services under the tool of ``mode`` and wait until they answer.

        What ran before is remembered for :meth:`restore`, then stopped. ``flags`` replace the guide's (see
        :func:`workbench.profilers.modes.command`), ``extra`` come after them (``--instr-atstart=no``). A failure leaves
        nothing of it running.
        """

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> tuple[Ended, ...]:
        """End the services so that their tools write all they have: SIGTERM to the program itself, SIGKILL only after
        ``timeout_s``. Services that have ended already are told with their exit code."""

    async def restore(self) -> bool:
        """Bring back exactly what ran before :meth:`start` and wait until it answers; False where nothing ran."""

    async def condition(self, service: str) -> str:
        """ "" for a service that runs and answers, else what is wrong with it."""

    async def pid(self, service: str) -> int:
        """The process id of the profiled program itself (not of strace before it), as it is known on its side."""

    async def host_pids(self) -> dict[str, int]:
        """The process ids of the profiled programs by service; empty where they are not processes of this machine."""

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command beside the service (in its container) and return its standard output."""

    def to_json(self) -> dict[str, Any]:
        """All that another process needs to go on: plain values, no secrets. ``kind`` names the backend."""

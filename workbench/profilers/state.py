"""A session that outlives the process that started it: ``start`` in one terminal, ``window`` and ``stop`` in others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.errors import RunFolderError, ToolError
from workbench.profilers.backends.revive import backend_from_json
from workbench.profilers.modes import parse_mode
from workbench.profilers.session import Session
from workbench.runs.atomic import write_json
from workbench.runs.folder import exclusive, utc_now

FILE = "session.json"
State = Literal["starting", "running", "stopping", "stopped"]
SCHEMA = 1


@dataclass
class SessionFile:
    """The session of a folder (``data/profiling``), one at a time; its profiles are in other folders."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file of the state."""
        return self.folder / FILE

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Lock the session for one command. Raises RunFolderError if another command has it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"cannot make the folder: {error.strerror}", where=str(self.folder), hint="Give another with --folder"
            ) from None
        async with exclusive(self.folder / ".lock", "another profile command is running", wait_s=1.0):
            yield

    def exists(self) -> bool:
        """Whether there is a session, running or stopped."""
        return self.path.exists()

    def write(self, session: Session, state: State) -> None:
        """Write the session's state. Only the user may read the file: it contains command lines of services."""
        write_json(
            self.path,
            {
                "schema": SCHEMA,
                "state": state,
                "written": utc_now(),
                "mode": session.mode,
                "out": str(session.out.resolve()),
                "flags": None if session.flags is None else list(session.flags),
                "attach": session.attach,
                "started_s": session.started_s,
                "open_name": session.open_name,
                "opened": session.opened,
                "names": session.names,
                "backend": session.backend.to_json(),
            },
            hint="{remedy}; the services keep running, and the file still has their earlier state",
            mode=0o600,
        )

    def read(self) -> tuple[Session, State]:
        """The session and its state. Raises ToolError if there is none, RunFolderError if it cannot be read."""
        try:
            facts: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            if facts["schema"] != SCHEMA:
                raise ValueError(f"schema {facts['schema']}")
            session = Session(
                mode=parse_mode(facts["mode"]),
                backend=backend_from_json(facts["backend"]),
                out=Path(facts["out"]),
                flags=None if facts["flags"] is None else tuple(facts["flags"]),
                attach=facts["attach"],
                started_s=facts["started_s"],
                open_name=facts["open_name"],
                opened=facts["opened"],
                names=facts["names"],
            )
            state: State = facts["state"]
        except FileNotFoundError:
            raise ToolError(
                "no profiler session was started", where=str(self.path), hint="Start one: workbench profile start MODE"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"is not the file of a session: {error}",
                where=str(self.path),
                hint="Delete it, and stop the services by hand",
            ) from None
        return session, state

    def forget(self) -> None:
        """Remove the state: the session is over and what ran before is restored."""
        self.path.unlink(missing_ok=True)

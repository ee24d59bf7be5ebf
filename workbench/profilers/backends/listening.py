"""The process that listens on a port, so that it can be restored as it was."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psutil

from workbench.errors import SettingsError, ToolError
from workbench.profilers.backends.processes import runs, until

# they listen for a container
_FORWARDERS = ("docker-proxy", "rootlesskit", "rootlessport", "slirp4netns", "pasta", "conmon")
ENDING_S = 1.0
"""How long a port may seem to be another user's: a process that is ending is still listening, but cannot be seen."""
# set by a shell, not for the service
_PASSING = {"_", "SHLVL", "PWD", "OLDPWD", "TERM", "COLUMNS", "LINES"}


@dataclass(frozen=True, slots=True)
class Previous:
    """A process that listened on a port that a profiled one needs.

    Its ``environment`` may contain secrets: it stays in memory, and only the names of its ``variables`` are written to
    files.
    """

    pid: int
    argv: tuple[str, ...]
    folder: str
    variables: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its name for messages, without arguments, which may contain a key."""
        return f"process {self.pid}, {os.path.basename(self.argv[0])}" if self.argv else f"process {self.pid}"

    def to_json(self) -> dict[str, Any]:
        """Plain values without the environment, for :meth:`from_json`."""
        return {
            "pid": self.pid,
            "argv": list(self.argv),
            "folder": self.folder,
            "variables": list(self.variables),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Previous:
        """The inverse of :meth:`to_json`."""
        return cls(facts["pid"], tuple(facts["argv"]), facts["folder"], tuple(facts["variables"]), environment)

    def missing(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """The names of its variables that are missing in ``environment``."""
        return tuple(name for name in self.variables if name not in environment and name not in _PASSING)


def port_of(url: str | None, service: str) -> int | None:
    """The port of a URL, or the default of its scheme; None without a URL. Raises SettingsError for an invalid URL."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if port is None or not parts.hostname:
            raise ValueError
    except ValueError:
        raise SettingsError(
            f"{url!r} is not the URL of a service",
            where=f"{service} health_url",
            hint="Give one such as http://127.0.0.1:80/",
        ) from None
    return port


def listener_on(port: int, service: str) -> Previous | None:
    """The process that listens on a port of this machine; None if none does.

    Raises ToolError if it cannot be stopped and restored from here: it belongs to another user or a container, or this
    code runs in it.
    """
    deadline = time.monotonic() + ENDING_S
    while owners := _owners(port):
        for owner in sorted(pid for pid in owners if pid is not None):
            with contextlib.suppress(psutil.Error):
                return _to_restore(psutil.Process(owner), port, service)
        if time.monotonic() > deadline:
            raise ToolError(
                f"port {port} is taken by a process of another user",
                where=service,
                hint="Stop it, or give the service another port",
            )
        time.sleep(0.05)
    return None


def _owners(port: int) -> set[int | None]:
    """The processes that listen on a port; None for those of other users, and for one that is ending."""
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        sockets = _of_own_processes()
    return {socket.pid for socket in sockets if socket.status == psutil.CONN_LISTEN and socket.laddr.port == port}


def _to_restore(process: psutil.Process, port: int, service: str) -> Previous:
    """How to start it again. Raises ToolError for a container's, and for one that this code runs in."""
    if process.name() in _FORWARDERS:
        raise ToolError(
            f"port {port} belongs to a container (process {process.pid}, {process.name()})",
            where=service,
            hint="Profile the services of its compose file with --compose, or give the service another port",
        )
    if process.pid == os.getpid() or process.pid in {parent.pid for parent in psutil.Process().parents()}:
        raise ToolError(
            f"port {port} is taken by process {process.pid}, in which the workbench runs",
            where=service,
            hint="Give the service another port",
        )
    return _seen(process)


async def stop_previous(previous: Previous, service: str, timeout_s: float) -> None:
    """Stop it in order. Raises ToolError if it does not end, and leaves it running."""
    try:
        process = psutil.Process(previous.pid)
        process.terminate()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise ToolError(
            f"{previous.name}, which listens on the port, belongs to another user",
            where=service,
            hint="Stop it by hand",
        ) from None
    if not await until(lambda: not runs(process), timeout_s):
        raise ToolError(
            f"{previous.name}, which listens on the port, did not stop within {timeout_s:g} s",
            where=service,
            hint="Stop it by hand, or give the service another port",
        )


def _seen(process: psutil.Process) -> Previous:
    environment: dict[str, str] | None = None
    with contextlib.suppress(psutil.Error):
        environment = process.environ()
    return Previous(process.pid, tuple(process.cmdline()), process.cwd(), tuple(sorted(environment or ())), environment)


def _of_own_processes() -> list[Any]:
    """The sockets of this user's processes, on systems that show no others (macOS)."""
    found: list[Any] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [socket._replace(pid=process.pid) for socket in process.net_connections(kind="tcp")]
    return found

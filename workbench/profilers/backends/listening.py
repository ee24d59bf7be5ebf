"""What listens on a port now, so that it can be brought back as it was."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil

from workbench.errors import ToolError


@dataclass(frozen=True, slots=True)
class Previous:
    """A process that ran where a profiled one is to run. Its environment is not kept: it may hold secrets."""

    pid: int
    argv: tuple[str, ...]
    folder: str

    def to_json(self) -> dict[str, Any]:
        """Plain values, read back by :meth:`from_json`."""
        return {"pid": self.pid, "argv": list(self.argv), "folder": self.folder}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Previous:
        """What :meth:`to_json` wrote."""
        return cls(facts["pid"], tuple(facts["argv"]), facts["folder"])


def port_of(url: str | None) -> int | None:
    """The port a URL names; None without a URL or where it names none."""
    return None if url is None else urlsplit(url).port


def listener_on(port: int, service: str) -> Previous | None:
    """The process that listens on a port of this machine; None where nobody does.

    Raises ToolError where somebody listens whose command cannot be seen: it could not be brought back.
    """
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        sockets = _of_own_processes()
    owners = {socket.pid for socket in sockets if socket.status == psutil.CONN_LISTEN and socket.laddr.port == port}
    if not owners:
        return None
    for owner in sorted(pid for pid in owners if pid is not None):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(owner)
            return Previous(owner, tuple(process.cmdline()), process.cwd())
    raise ToolError(
        f"port {port} is taken by a process of another user",
        where=service,
        hint="Stop it, or give the service another port",
    )


async def stop_previous(previous: Previous, service: str, timeout_s: float) -> None:
    """End it in order. Raises ToolError where it does not end: it is left running then."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(previous.pid)
        process.terminate()
        deadline = time.monotonic() + timeout_s
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise ToolError(
                    f"process {previous.pid}, which has the port, did not stop within {timeout_s:g} s",
                    where=service,
                    hint="Stop it by hand",
                )
            await asyncio.sleep(0.05)


def _of_own_processes() -> list[Any]:
    """The sockets of this user's processes, where a system shows no others (macOS)."""
    found: list[Any] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [socket._replace(pid=process.pid) for socket in process.net_connections(kind="tcp")]
    return found

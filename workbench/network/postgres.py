"""A real PostgreSQL server of our own: only on the loopback address, without a socket file, with a password.

The server runs under :mod:`workbench.network.guard`, which ends it when this process ends in any way.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from workbench.child import last_line
from workbench.errors import TargetError, ToolError, WorkbenchError
from workbench.network import cluster

DATABASE = "indexer_components_1"
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
POLL_S = 0.05
MAX_CONNECTIONS = 200
"""The service uses up to 50; then come the agent's pool and observers."""


@dataclass(frozen=True)
class Server:
    """A running server: its database's URL with password, and the postmaster's process id."""

    url: str
    pid: int


@asynccontextmanager
async def server(folder: Path, port: int, *, fresh: bool = False) -> AsyncIterator[Server]:
    """Run PostgreSQL on ``port`` with its data in ``folder/postgres`` while the context is open.

    The data is kept for the next server on the folder, unless ``fresh``. Raises ToolError if the extra is not
    installed, the data has another version or cannot be made, or the server ends; TargetError if the port is taken.
    """
    programs = cluster.find_programs()
    data, log = folder / "postgres", folder / "postgres.log"
    password = await asyncio.to_thread(cluster.prepare, programs, folder, data)
    await end_left_over(data)
    log.write_bytes(b"")
    process, pid = await _launch(programs, data, log, port)
    try:
        url = f"postgresql://{cluster.USER}:{password}@{HOST}:{port}/{DATABASE}"
        await _ready(process, url, log, port, fresh)
        yield Server(url, pid)
    finally:
        await _stop(process, pid)


async def end_left_over(data: Path) -> None:
    """End a server that still uses the data because its guard and the workbench were killed together."""
    try:
        pid = int((data / "postmaster.pid").read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return
    await _end_postmaster(pid, data)


async def _launch(programs: Path, data: Path, log: Path, port: int) -> tuple[Process, int]:
    options = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": str(MAX_CONNECTIONS),
        # other kinds of shared memory would stay when it is killed
        "dynamic_shared_memory_type": "mmap",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "workbench.network.guard", str(log)),
        *cluster.unprivileged(),
        *cluster.ending_with_its_parent(),
        *(str(programs / "postgres"), "-D", str(data)),
        *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
    )
    line = await process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise ToolError("PostgreSQL cannot be started", where=str(log))
    return process, int(line)


async def _ready(process: Process, url: str, log: Path, port: int, fresh: bool) -> None:
    """Wait until the server accepts connections; make the database if missing, or again if ``fresh``."""
    import psycopg

    deadline = time.monotonic() + READY_TIMEOUT_S
    maintenance = url.rpartition("/")[0] + "/postgres"
    while True:
        if process.returncode is not None:
            raise _ended(log, port)
        try:
            connection = await psycopg.AsyncConnection.connect(maintenance, autocommit=True, connect_timeout=5)
            break
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise _taken(port, "another PostgreSQL uses the port") from None
        if time.monotonic() > deadline:
            raise ToolError(
                f"PostgreSQL accepted no connection within {READY_TIMEOUT_S:.0f} s: {last_line(log)}", where=str(log)
            )
        await asyncio.sleep(POLL_S)
    async with connection:
        if fresh:
            await connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if await found.fetchone() is None:
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _ended(log: Path, port: int) -> WorkbenchError:
    text = log.read_text("utf-8", errors="replace")
    if "Address already in use" in text:
        return _taken(port, "address already in use")
    return ToolError(f"PostgreSQL ended before it accepted connections: {cluster.complaint(text)}", where=str(log))


def _taken(port: int, why: str) -> TargetError:
    return TargetError(
        f"cannot listen: {why}",
        where=f"{HOST}:{port}",
        hint="Give another port with --postgres-port (0 takes a free one)",
    )


async def _stop(process: Process, pid: int) -> None:
    """End the server in order, by closing the guard's pipe; directly if the guard was killed."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    await _end_postmaster(pid)


async def _end_postmaster(pid: int, data: Path | None = None) -> None:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            process = psutil.Process(pid)
            if process.name() != "postgres" or (data is not None and str(data) not in process.cmdline()):
                return
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        if await _gone(process):
            return


async def _gone(process: psutil.Process) -> bool:
    for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(POLL_S)
    return False

"""One embedded PostgreSQL for the tests that only need a database, and helpers for processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from workbench.network import postgres
from workbench.settings import Settings

PORTS = ("graph_port", "aggregator_port", "service_port", "service_metrics_port", "agent_metrics_port", "postgres_port")


def free_ports(**changes: object) -> Settings:
    """Settings of a network on free ports."""
    return Settings(**{**dict.fromkeys(PORTS, 0), "standin_payers": 4, "backend_latency": "constant:0", **changes})


def network_processes(folder: Path) -> list[psutil.Process]:
    """What runs of a network in a folder: PostgreSQL by its data, the others by their working folder and name.

    ``info`` of each has its ``name`` and ``cmdline``. To ask it anew would fail where it has ended meanwhile, as the
    many short processes of initdb do.
    """
    found = []
    for process in psutil.process_iter(("cmdline", "name", "status")):
        words = process.info["cmdline"] or []
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if any(str(folder) in word for word in words):
            found.append(process)
        elif "workbench.network" in words:
            try:
                if Path(process.cwd()) == folder or folder in Path(process.cwd()).parents:
                    found.append(process)
            except psutil.Error:
                continue
    return found


def ended(process: psutil.Process) -> bool:
    """Whether a process does nothing any more; whoever has to fetch its exit code may not have done so yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait for a condition; the test fails with ``what`` where it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[str]:
    """URL of a running embedded server."""
    from workbench.network.ports import choose_ports

    (port,) = choose_ports([("postgres-port", postgres.HOST, 0)])
    with asyncio.Runner() as runner:
        context = postgres.server(server_folder, port)
        yield runner.run(context.__aenter__()).url
        runner.run(context.__aexit__(None, None, None))


@asynccontextmanager
async def new_database(server: str, name: str) -> AsyncIterator[str]:
    """URL of an empty database, dropped at the end."""
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as connection:
        await connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[call-overload]


@pytest.fixture
async def database(server: str) -> AsyncIterator[str]:
    """URL of an empty database."""
    async with new_database(server, "of_a_test") as url:
        yield url

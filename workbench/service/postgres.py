"""Connects to the services' PostgreSQL database and reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from workbench.errors import TargetError, ToolError
from workbench.service.audit import Database, Select
from workbench.settings.kinds import without_password

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 60
_PARAMETER = re.compile(r":([a-z]+)")


@dataclass(frozen=True)
class PostgresDatabase(Database):
    """The database of the real services. The methods raise ToolError without a driver."""

    url: str = field(repr=False)  # it may hold a password

    def _read(self, read: Callable[[Select], T]) -> T:
        with connected(self.url) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

            def select(query: str, parameters: dict[str, str]) -> Any:
                return connection.execute(_PARAMETER.sub(r"%(\1)s", query).encode(), parameters).fetchall()

            return read(select)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection in autocommit, closed at the end. Errors of the database become TargetError."""
    try:
        import psycopg
    except ImportError as error:
        raise ToolError(
            f"PostgreSQL cannot be read without psycopg ({' '.join(str(error).split())[:120]})",
            where="database_url",
            hint="Install it: pip install -e '.[real]' in the workbench's folder",
        ) from None
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="indexer-workbench",
            options=f"-c statement_timeout={STATEMENT_TIMEOUT_S}s",
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise unreadable(url, error) from None


def unreadable(url: str, error: Exception) -> TargetError:
    """The error of a database in one line, without the password of its URL."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    if password := urlsplit(url).password:
        reason = reason.replace(password, "***")
    hint = "Start PostgreSQL, or correct --database-url"
    if type(error).__name__ == "UndefinedTable":
        hint = "Give the database of the services; this one lacks their tables"
    return TargetError(f"the database cannot be read ({reason})", where=without_password(url), hint=hint)

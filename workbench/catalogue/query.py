"""Conditions in SQL over the rows of the catalogue. They can only read these rows: DuckDB holds them in memory, cannot
access files, extensions or variables of Python, and its configuration is locked."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from workbench.analysis.figures import AGENT
from workbench.catalogue.columns import COLUMNS, NAMES, SQL_TYPES
from workbench.catalogue.row import Row
from workbench.errors import SettingsError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WHERE = "--where"
_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
_UNKNOWN = re.compile(r'(?:Referenced column|column named) "([^"]+)"')
_EXAMPLE = "A condition is, for example, \"verdict = 'FAIL' and response_p95_ms > 20\""


def chosen(rows: Sequence[Row], where: str) -> list[Row]:
    """The rows for which the condition ``where`` is true, in their order.

    Raises SettingsError that says what is wrong with the condition, and lists the columns if one is unknown.
    """
    import duckdb

    if not where.strip():
        raise SettingsError("expected one condition, found nothing", where=WHERE, hint=_EXAMPLE)
    query = f"SELECT number FROM (SELECT * FROM runs WHERE (\n{where}\n)) ORDER BY number"  # noqa: S608 (see above)
    with _table(rows, where) as connection:
        try:
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise SettingsError(f"expected one condition, found {where!r}", where=WHERE, hint=_EXAMPLE)
            found = connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise _wrong(error, where) from None
    return [rows[number] for (number,) in found]


def check_column(name: str, known: Sequence[str] = NAMES, where: str = "column") -> str:
    """``name``, if it is a column. Raises SettingsError with the most similar one and all columns."""
    if name in known:
        return name
    raise SettingsError(f"there is no column {name!r}", where=where, hint=columns_hint(name, known))


def columns_hint(name: str, known: Sequence[str] = NAMES) -> str:
    """The most similar column, if there is one, and all columns."""
    close = difflib.get_close_matches(name.lower(), known, n=1)
    names = [column for column in known if not column.startswith(AGENT)]
    more = f", and costs of the tap-agent prefixed with {AGENT}" if len(names) < len(known) else ""
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There are {', '.join(names)}{more}"


@contextmanager
def _table(rows: Sequence[Row], where: str) -> Iterator[DuckDBPyConnection]:
    """A database with only the table ``runs``, and only those columns whose names are in ``where``, since loading
    columns takes time."""
    import duckdb

    every = "*" in where or "columns" in where.lower()
    columns = [column for column in COLUMNS if every or column.name in where.lower()]
    fields = {"number": "BIGINT"} | {column.name: SQL_TYPES[column.kind] for column in columns}
    records = [
        {"number": number, **{column.name: row[column.name] for column in columns}} for number, row in enumerate(rows)
    ]
    text = json.dumps(records, default=datetime.isoformat)
    with duckdb.connect(":memory:", config=_LOCKED) as connection:
        connection.execute(
            "CREATE TABLE runs AS SELECT unnest(from_json($1::JSON, $2), recursive := true)",
            [text, json.dumps([fields])],
        )
        connection.execute("SET lock_configuration = true")
        yield connection


def _wrong(error: Exception, where: str) -> SettingsError:
    """DuckDB's message as one line about the condition, not about the query around it."""
    said = str(error).splitlines()[0].partition("Error: ")[2] or str(error).splitlines()[0]
    if unknown := _UNKNOWN.search(said):
        return SettingsError(f"there is no column {unknown[1]!r}", where=WHERE, hint=columns_hint(unknown[1]))
    return SettingsError(f"{said.rstrip('.!')}, found {where!r}", where=WHERE, hint=_EXAMPLE)

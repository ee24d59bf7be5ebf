"""Request bodies, and errors in the manner of the service's JSON library. The texts are close, not exact."""

from __future__ import annotations

import json
from typing import Any


class BodyError(Exception):
    """The body is not what the route reads; the text names line and column."""


def graphql_request(body: bytes) -> tuple[str, Any]:
    """``query`` and ``variables`` (None where absent) of a GraphQL request. Raises BodyError."""
    value = _members(body)
    if "query" not in value:
        raise BodyError(f"missing field `query` {_end(body)}")
    query = value["query"]
    if not isinstance(query, str):
        raise BodyError(f"invalid type: {_kind(query)}, expected a string {_end(body)}")
    return query, value.get("variables")


def _members(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc):
            where = f"line {error.lineno} column {max(0, error.colno - 1)}"
            raise BodyError(f"EOF while parsing a value at {where}") from None
        raise BodyError(f"expected value at line {error.lineno} column {error.colno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise BodyError("expected value at line 1 column 1") from None
    if not isinstance(value, dict):
        raise BodyError(f"invalid type: {_kind(value)}, expected struct QueryBody {_end(body)}")
    return value


def _end(body: bytes) -> str:
    lines = body.decode(errors="replace").split("\n")
    return f"at line {len(lines)} column {len(lines[-1])}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
        case _:
            return "map"

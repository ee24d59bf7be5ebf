"""Answers with indexer-service's texts: compact JSON, CORS headers on everything, no content type where axum sends
none."""

from __future__ import annotations

import json
from typing import Any

from workbench.standin.http.messages import Answer

CORS = (
    ("vary", "origin, access-control-request-method, access-control-request-headers"),
    ("access-control-allow-origin", "*"),
)
"""Headers of every answer from a handler."""

_PREFLIGHT = (("access-control-allow-methods", "OPTIONS,POST,GET"), ("access-control-allow-headers", "*"))


def compact(value: Any) -> bytes:
    """JSON without spaces, like serde's."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_answer(value: Any, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, compact(value), "application/json")


def text_answer(text: str, status: int = 200) -> Answer:
    """A plain text answer."""
    return Answer(status, text.encode(), "text/plain; charset=utf-8")


def error(status: int, message: str) -> Answer:
    """The service's error body: ``{"message": ...}``."""
    return json_answer({"message": message}, status)


def not_found() -> Answer:
    """The answer of an unknown path."""
    return Answer(404, sized=False)


def other_method(allowed: str) -> Answer:
    """The answer of a path to an unsupported method."""
    return Answer(405, headers=(("allow", allowed),))


def preflight(allowed: str | None) -> Answer:
    """The CORS layer's answer to OPTIONS, before any other stage; it also lists the path's methods."""
    return Answer(200, headers=_PREFLIGHT if allowed is None else (*_PREFLIGHT, ("allow", allowed)))

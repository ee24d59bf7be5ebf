"""Answers as indexer-service words them: compact JSON, CORS on everything, no content type where axum sends none."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import hdrs, web

_CORS = {
    "access-control-allow-origin": "*",
    "vary": "origin, access-control-request-method, access-control-request-headers",
}
_PREFLIGHT = {"access-control-allow-methods": "OPTIONS,POST,GET", "access-control-allow-headers": "*"}
_AIOHTTP_DEFAULT_TYPE = "application/octet-stream"


def compact(value: Any) -> bytes:
    """JSON without spaces, as serde writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_answer(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=compact(value), status=status, content_type="application/json")


def text_answer(text: str, status: int = 200) -> web.Response:
    """A plain text answer."""
    return web.Response(text=text, status=status)


def error(status: int, message: str) -> web.Response:
    """The service's error body: ``{"message": ...}``."""
    return json_answer({"message": message}, status)


def empty(status: int, **headers: str) -> web.Response:
    """An answer without a body, as axum gives for unknown paths and methods."""
    return web.Response(status=status, headers=headers)


def preflight() -> web.Response:
    """The CORS layer's answer to OPTIONS, before any other stage."""
    return web.Response(status=200, headers=_PREFLIGHT)


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal handler: add the CORS headers, remove what aiohttp adds on its own and axum does not."""
    headers = response.headers
    headers.update(_CORS)
    headers.popall(hdrs.SERVER, None)
    if headers.get(hdrs.CONTENT_TYPE) == _AIOHTTP_DEFAULT_TYPE:
        del headers[hdrs.CONTENT_TYPE]

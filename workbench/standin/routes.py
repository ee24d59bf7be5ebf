"""Paths and methods: which handler answers, and the answer if there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from workbench.standin.answers import not_found, other_method, preflight
from workbench.standin.http.connection import Handler
from workbench.standin.http.messages import Answer, Request

Limit = Callable[[Request], Answer | None]
OfSegment = Callable[[Request, bytes], Awaitable[Answer | None]]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    allowed: str
    handler: OfSegment
    limit: Limit | None


class Routes:
    """The service's routes; itself the handler of every request.

    Slashes at the end of a path, and extra ones at its start, are ignored. Paths are compared as sent, without
    decoding.
    """

    def __init__(self) -> None:
        self._exact: dict[str, _Route] = {}
        self._of_segment: dict[str, _Route] = {}

    def add(self, method: str, path: str, handler: Handler, limit: Limit | None = None) -> None:
        """Add a path with one method; GET includes HEAD. ``limit`` may answer first, for any method."""

        async def without_segment(request: Request, segment: bytes) -> Answer | None:
            return await handler(request)

        self._exact[path] = _route(method, without_segment, limit)

    def add_of_segment(self, method: str, parent: str, handler: OfSegment, limit: Limit | None = None) -> None:
        """Add all paths with one segment below ``parent``; the handler gets the percent-decoded segment."""
        self._of_segment[parent] = _route(method, handler, limit)

    async def __call__(self, request: Request) -> Answer | None:
        """The answer; None if a handler has reset the connection."""
        path = request.head.path
        if path.endswith("/") or path.startswith("//"):
            path = "/" + path.strip("/")
        segment = ""
        route = self._exact.get(path)
        if route is None:
            parent, _, segment = path.rpartition("/")
            route = self._of_segment.get(parent) if segment else None
        if request.method == "OPTIONS":
            return preflight(None if route is None else route.allowed)
        if route is None:
            return not_found()
        if route.limit is not None and (refusal := route.limit(request)) is not None:
            return refusal
        if request.method != route.method and not (request.method == "HEAD" and route.method == "GET"):
            return other_method(route.allowed)
        return await route.handler(request, unquote_to_bytes(segment))


def _route(method: str, handler: OfSegment, limit: Limit | None) -> _Route:
    return _Route(method, "GET,HEAD" if method == "GET" else method, handler, limit)

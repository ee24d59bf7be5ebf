"""An answer of graph-node or the network subgraph: its bytes and its delay."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple


class Reply(NamedTuple):
    """The bytes of an answer and its delay; without bytes the connection is reset."""

    data: bytes | None
    delay_s: float = 0.0


Handler = Callable[[bytes, bytes, bytes], Reply]
"""Method, path and body in, answer out."""


def encode(body: bytes, *, status: int = 200, content_type: str = "application/json", headers: str = "") -> bytes:
    """A complete answer. ``headers``: further lines, each with its line end."""
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body

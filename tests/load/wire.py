"""Answers as bytes, and a connection driven without a network: for answers by the hundred thousand."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from workbench.load.connection import Connection
from workbench.load.outcome_cache import OutcomeCache

GOOD = json.dumps({"graphQLResponse": json.dumps({"data": {"ok": True}}), "attestation": None}).encode()
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.closed = True

    close = abort

    def set_write_buffer_limits(self, high=None, low=None) -> None:
        pass


class Owner:
    """Hears what becomes of connections."""

    def __init__(self) -> None:
        self.answers = OutcomeCache()
        self.closed_idle = self.surplus = 0
        self.over: list[Connection] = []

    def made(self, connection: Connection) -> None:
        pass

    def ended(self, connection: Connection) -> None:
        self.over.append(connection)

    def lost(self, connection: Connection) -> None:
        pass


@dataclass(frozen=True)
class Answer:
    """An answer and what it means by RFC 9112: ``until_end`` when it lasts until the service closes."""

    raw: bytes
    status: int
    body: bytes
    keeps: bool
    until_end: bool


def connected(owner: Owner) -> tuple[Connection, Transport]:
    """A connection that is made."""
    connection, transport = Connection(owner), Transport()
    connection.connection_made(transport)
    return connection, transport


def feed(connection: Connection, transport: Transport, pieces: Sequence[bytes]) -> None:
    """As a loop does: nothing more once the connection is closed."""
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)


def end(connection: Connection, transport: Transport) -> None:
    """The service has closed."""
    if not transport.closed:
        connection.eof_received()
    connection.connection_lost(None)


def split(dice: random.Random, raw: bytes, most: int = 8) -> list[bytes]:
    """Pieces of ``raw``, none empty."""
    cuts = sorted({dice.randrange(1, len(raw)) for _ in range(dice.randrange(most))}) if len(raw) > 1 else []
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def answer(dice: random.Random) -> Answer:
    """Any answer that a service may give."""
    status = dice.choice((200, 200, 200, 400, 402, 500, 503, 204, 304))
    body = dice.choice((GOOD, b"", b"no", dice.randbytes(dice.randrange(200)), GOOD * 50))
    version = dice.choice((b"1.1", b"1.1", b"1.1", b"1.0"))
    said = dice.choice((b"", b"", b"close", b"keep-alive"))
    framing = dice.choice(("length", "length", "chunked", "end"))
    if framing == "chunked" and version == b"1.0":
        framing = "end"
    headers = [b"Content-Type: application/json", b"X-%d: %s" % (dice.randrange(9), b"x" * dice.randrange(300))]
    if said:
        headers.append(b"Connection: " + said)
    if status in (204, 304):
        framing, body = "none", b""
    if framing == "length":
        headers.append(b"%s: %d" % (dice.choice((b"Content-Length", b"content-length", b"CONTENT-LENGTH")), len(body)))
    if framing == "chunked":
        headers.append(b"Transfer-Encoding: chunked")
    dice.shuffle(headers)
    head = b"HTTP/%s %d %s\r\n" % (version, status, dice.choice((b"OK", b"", b"Some Reason")))
    head += b"".join(header + b"\r\n" for header in headers) + b"\r\n"
    interim = b"".join(
        dice.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        for _ in range(dice.choice((0, 0, 0, 1, 2)))
    )
    keeps = (said != b"close" if version == b"1.1" else said == b"keep-alive") and framing != "end"
    raw = interim + head + (chunked(dice, body) if framing == "chunked" else body)
    return Answer(raw, status, body, keeps, framing == "end")


def chunked(dice: random.Random, body: bytes) -> bytes:
    """``body`` in chunks, some with extensions, and now and then trailers."""
    raw = b""
    for piece in split(dice, body) if body else []:
        raw += b"%x%s\r\n%s\r\n" % (len(piece), dice.choice((b"", b"", b";a=b")), piece)
    return raw + b"0\r\n" + dice.choice((b"", b"", b"X-Sum: 1\r\n")) + b"\r\n"


def mutated(dice: random.Random, raw: bytes) -> bytes:
    """``raw`` with a few bytes changed, left out, put in, or said twice; never empty."""
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(changed))
        kind = dice.randrange(6)
        if kind == 0:
            changed[at] = dice.randrange(256)
        elif kind == 1:
            del changed[at : at + dice.randrange(1, 9)]
        elif kind == 2:
            changed[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif kind == 3:
            changed[at:at] = changed[at : at + dice.randrange(1, 60)]
        elif kind == 4:
            del changed[at:]
        else:
            changed[at:at] = dice.choice(_PIECES)
        changed = changed or bytearray(b"x")
    return bytes(changed)


_PIECES = (b"\r\n", b"\n", b"\0", b":", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n")
_PIECES += (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")


class _Socket:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._raw)


def by_http_client(raw: bytes) -> tuple[int, bytes] | None:
    """Status and body as the standard library reads them, from a service that sends ``raw`` and closes; None where it
    finds no whole answer."""
    response = HTTPResponse(_Socket(raw), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        return response.status, response.read()
    except (HTTPException, OSError, ValueError):
        return None

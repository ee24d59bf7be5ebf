"""What the generator takes in memory under hostile answers: a service that sends them, and a client that asks it."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.hostile.measured import most_bytes
from workbench.load.client import ReceiptClient
from workbench.load.outcome import OUTCOME_NAMES

_OK = b"HTTP/1.1 200 OK\r\nServer: a\r\n"
_CHUNK = bytes(1 << 20)
_NUMBERS = itertools.count()
Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def _forever(writer: asyncio.StreamWriter, head: bytes, again: bytes) -> None:
    writer.write(head)
    while True:
        writer.write(again)
        await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    """A body without length or end."""
    await _forever(writer, _OK + b"\r\n", _CHUNK)


async def gigabyte(writer: asyncio.StreamWriter) -> None:
    """A body of 1 GiB, as announced."""
    await _forever(writer, _OK + b"Content-Length: 1073741824\r\n\r\n", _CHUNK)


async def chunked(writer: asyncio.StreamWriter) -> None:
    """Chunks without end."""
    await _forever(writer, _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + _CHUNK + b"\r\n")


async def headers(writer: asyncio.StreamWriter) -> None:
    """A head without end."""
    await _forever(writer, _OK, b"X-Header: %s\r\n" % (b"a" * 10_000))


async def interim(writer: asyncio.StreamWriter) -> None:
    """Answers that are yet to come, for ever."""
    await _forever(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def distinct(writer: asyncio.StreamWriter) -> None:
    """Refusals, each with a text of 4 KB of its own."""
    body = b'{"message": "%d %s"}' % (next(_NUMBERS), b"a" * 4000)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


async def brackets(writer: asyncio.StreamWriter) -> None:
    """60 MB of empty objects."""
    body = b"[" + b"{}," * (20 << 20) + b"{}]"
    writer.write(_OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


KINDS: dict[str, tuple[Send, int, int]] = {
    "endless": (endless, 64, 32),
    "gigabyte": (gigabyte, 64, 32),
    "chunked": (chunked, 64, 32),
    "headers": (headers, 64, 32),
    "interim": (interim, 64, 32),
    "distinct": (distinct, 20_000, 32),
    "brackets": (brackets, 2, 1),
}
"""What is sent, how many requests are sent for it, and how many at a time."""


async def ask(send: Send, count: int, in_flight: int) -> Counter[str]:
    """The outcomes of ``count`` requests."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await send(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = ReceiptClient(f"http://127.0.0.1:{port}/", b"", timeout_s=60)
    found: Counter[str] = Counter()
    numbers = iter(range(count))

    async def one_after_another() -> None:
        for _ in numbers:
            found[OUTCOME_NAMES[(await client.exchange(None)).outcome]] += 1

    try:
        await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    finally:
        await client.close()
        server.close()
    return found


def main() -> None:
    """``python -m tests.hostile.answers KIND ADDRESS_BYTES``: outcomes and memory as JSON."""
    send, count, in_flight = KINDS[sys.argv[1]]
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = mapped + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before = most_bytes()
    found = asyncio.run(ask(send, count, in_flight))
    print(json.dumps([dict(found), most_bytes() - before]))


if __name__ == "__main__":
    main()

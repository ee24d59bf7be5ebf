"""The HTTP layer over a real socket: whatever way the bytes come, each request gets its own answer, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.network.http import MAX_BODY_BYTES, Connection
from workbench.network.reply import Reply, encode


def echo(method: bytes, path: bytes, body: bytes) -> Reply:
    """Method, path and body back; the path says how long it takes, and /reset resets."""
    if path == b"/reset":
        return Reply(None)
    delay = float(path[len(b"/slow/") :]) if path.startswith(b"/slow/") else 0.0
    return Reply(encode(b" ".join((method, path, body)), content_type="text/plain"), delay)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that echoes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(echo), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        try:
            yield reader, writer
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return int(head.split(b" ")[1]), await reader.readexactly(length)


def post(path: str, body: bytes, extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: here\r\n{extra}content-length: {len(body)}\r\n\r\n".encode() + body


def chunked(path: str, *pieces: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@given(
    st.lists(st.tuples(st.sampled_from(["/a", "/b/c", "/slow/0.002"]), st.binary(max_size=40)), min_size=1, max_size=5),
    st.lists(st.integers(1, 60), max_size=12),
    st.booleans(),
)
def test_requests_in_any_pieces(asked: list[tuple[str, bytes]], cuts: list[int], in_chunks: bool) -> None:
    data = b"".join(chunked(path, body) if in_chunks and body else post(path, body) for path, body in asked)

    async def exchange() -> list[tuple[int, bytes]]:
        async with serving() as (reader, writer):
            rest = data
            for cut in cuts:
                writer.write(rest[:cut])
                rest = rest[cut:]
                await asyncio.sleep(0)
            writer.write(rest)
            return [await answer(reader) for _ in asked]

    assert asyncio.run(exchange()) == [(200, b"POST " + path.encode() + b" " + body) for path, body in asked]


@pytest.mark.parametrize(
    ("header", "status"),
    [("host: page.example", 421), ("Host: page.example:80", 421), ("origin: http://page.example", 403)],
)
async def test_what_a_page_in_a_browser_sends_reaches_no_handler(header: str, status: int) -> None:
    async with serving() as (reader, writer):
        writer.write(f"POST /a HTTP/1.1\r\n{header}\r\ncontent-length: 1\r\n\r\nx".encode())
        assert await answer(reader) == (status, b"")
        assert await reader.read() == b""


async def test_a_slow_answer_holds_the_later_ones_back() -> None:
    async with serving() as (reader, writer):
        writer.write(post("/slow/0.05", b"1") + post("/fast", b"2") + post("/slow/0.01", b"3") + post("/fast", b"4"))
        bodies = [(await answer(reader))[1].rpartition(b" ")[2] for _ in range(4)]
    assert bodies == [b"1", b"2", b"3", b"4"]


async def test_a_reset_is_no_answer() -> None:
    async with serving() as (reader, writer):
        writer.write(post("/reset", b""))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await answer(reader)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (lambda: b"nonsense\r\n\r\n", 400),
        (lambda: b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (lambda: post("/", bytes(MAX_BODY_BYTES + 1)), 413),
    ],
)
async def test_what_is_not_taken(data: Callable[[], bytes], status: int) -> None:
    async with serving() as (reader, writer):
        writer.write(data())
        assert await answer(reader) == (status, b"")
        assert await reader.read() == b""


async def test_a_client_that_wants_no_more() -> None:
    async with serving() as (reader, writer):
        writer.write(post("/last", b"", extra="connection: close\r\n"))
        assert await answer(reader) == (200, b"POST /last ")
        assert await reader.read() == b""


async def test_an_answer_that_comes_due_when_its_client_has_left() -> None:
    wrong: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: wrong.append(context))
    lost = asyncio.Event()

    class Watched(Connection):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

        def _write_late(self, data: bytes, keep_alive: bool) -> None:
            assert lost.is_set()
            super()._write_late(data, keep_alive)
            due.set()

    due = asyncio.Event()
    async with await loop.create_server(lambda: Watched(echo), "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(post("/slow/1", b"") + post("/fast", b""))
        writer.close()
        await asyncio.wait_for(due.wait(), 60)
    assert wrong == []

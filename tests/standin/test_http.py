"""HTTP as hyper has it: what it refuses and how, what it takes that others refuse. Over raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.standin.http.body import BrokenBody, Chunks
from workbench.standin.http.connection import Service
from workbench.standin.http.head import CHUNKED, MAX_HEAD_BYTES, Refused, path_of, read_head
from workbench.standin.http.messages import Answer, Request
from workbench.standin.listen import listen
from workbench.standin.server import Standin

CLOSE = b"connection: close\r\n"
BODY = b'{"query":"{ _meta { block { number } } }"}'
GET = b"GET /cost HTTP/1.1\r\n"


async def talk(standin: Standin, *parts: bytes, half_close: bool = False) -> bytes:
    """What comes back until the other side closes; each part is sent when the one before has arrived."""
    address = urlparse(standin.endpoints.service_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    if half_close:
        writer.write_eof()
    async with asyncio.timeout(20):
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(65536):
                answer += piece
    writer.close()
    return answer


def status_of(answer: bytes) -> str:
    return answer.split(b"\r\n")[0].partition(b" ")[2].decode()


def paid(standin: Standin, *lines: bytes) -> bytes:
    path = f"/subgraphs/id/{standin.settings.deployment}".encode()
    token = standin.settings.free_query_token.encode()
    return (
        b"POST " + path + b" HTTP/1.1\r\nauthorization: Bearer " + token + b"\r\n" + b"".join(lines) + CLOSE + b"\r\n"
    )


REFUSED = {
    "garbage": b"hello\r\n\r\n",
    "control characters": b"\x00\x01\x02\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"GET /\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\n\r\n",
    "version 3.9": b"GET / HTTP/3.9\r\nHost: a\r\n\r\n",
    "version 1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "no colon": GET + b"bad\r\n\r\n",
    "space before the colon": GET + b"bad : x\r\n\r\n",
    "no name": GET + b": x\r\n\r\n",
    "folded": GET + b"a: b\r\n c\r\n\r\n",
    "bare carriage return": GET + b"a: b\rc\r\n\r\n",
    "zero byte": GET + b"a: \x00\r\n\r\n",
    "length that is no number": GET + b"content-length: x\r\n\r\n",
    "signed length": GET + b"content-length: +5\r\n\r\n",
    "negative length": GET + b"content-length: -1\r\n\r\n",
    "empty length": GET + b"content-length:\r\n\r\n",
    "list of lengths": GET + b"content-length: 1, 1\r\n\r\n",
    "length of 65 bits": GET + b"content-length: 18446744073709551616\r\n\r\n",
    "two lengths": GET + b"content-length: 0\r\ncontent-length: 1\r\n\r\n",
    "coding other than chunked": GET + b"transfer-encoding: gzip\r\n\r\n",
    "chunked not last": GET + b"transfer-encoding: chunked, gzip\r\n\r\n",
    "chunked in 1.0": b"POST /cost HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    "path with a bracket": b"GET /<x> HTTP/1.1\r\n\r\n",
    "path that is not UTF-8": b"GET /\xe9 HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_malformed_is_an_empty_400(standin: Standin, kind: str) -> None:
    answer = await talk(standin, REFUSED[kind])
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert (first, body) == ("HTTP/1.1 400 Bad Request", b"")
    assert sorted(line.partition(":")[0] for line in headers) == ["connection", "content-length", "date"]
    assert {"connection: close", "content-length: 0"} < set(headers)


TAKEN = {
    "no host": GET + CLOSE + b"\r\n",
    "bare line feeds": b"GET /cost HTTP/1.1\nhost: a\nconnection: close\n\n",
    "empty lines before": b"\r\n\n\r\n" + GET + CLOSE + b"\r\n",
    "unknown method": b"F-O /cost HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "lower-case method": b"get /cost HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "bytes above 127": GET + b"a: \xff\xfe\r\n" + CLOSE + b"\r\n",
    "a length twice": GET + b"content-length: 0\r\ncontent-length: 0\r\n" + CLOSE + b"\r\n",
    "no value": GET + b"a:\r\n" + CLOSE + b"\r\n",
    "hundred headers": GET + b"".join(b"h%d: x\r\n" % n for n in range(99)) + CLOSE + b"\r\n",
    "a header of 400 KB": GET + b"a: " + b"x" * 400_000 + b"\r\n" + CLOSE + b"\r\n",
    "absolute form": b"GET http://example.org/cost HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "query and fragment": b"GET /cost?a=<b#c HTTP/1.1\r\n".replace(b"<", b"{") + CLOSE + b"\r\n",
    "slashes around": b"GET //cost// HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "upgrade": GET + b"upgrade: h2c\r\n" + CLOSE + b"\r\n",
}


@pytest.mark.parametrize("kind", TAKEN)
async def test_what_hyper_takes_reaches_the_route(standin: Standin, kind: str) -> None:
    assert status_of(await talk(standin, TAKEN[kind])) == "405 Method Not Allowed"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + b"".join(b"h%d: x\r\n" % n for n in range(101)) + b"\r\n", "431 Request Header Fields Too Large"),
        (GET + b"a: " + b"x" * MAX_HEAD_BYTES, "431 Request Header Fields Too Large"),
        (GET + b"x" * 65_536 + b": a\r\n\r\n", "431 Request Header Fields Too Large"),
        (GET + b"content-length: 18446744073709551615\r\n\r\n", "431 Request Header Fields Too Large"),
        (b"GET /" + b"a" * 65_534 + b" HTTP/1.1\r\n\r\n", "414 URI Too Long"),
        (b"GET /" + b"a" * 65_533 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n", "404 Not Found"),
    ],
    ids=["101 headers", "endless header", "long name", "absurd length", "long path", "longest path"],
)
async def test_limits(standin: Standin, request_: bytes, status: str) -> None:
    assert status_of(await talk(standin, request_)) == status


@pytest.mark.parametrize(
    ("line", "connection", "first"),
    [
        (b"GET /cost HTTP/1.0\r\n", None, b"HTTP/1.0 405 Method Not Allowed"),
        (b"GET /cost HTTP/1.1\r\nconnection: x, Close\r\n", b"close", b"HTTP/1.1 405 Method Not Allowed"),
    ],
    ids=["1.0", "close"],
)
async def test_end_of_a_connection(standin: Standin, line: bytes, connection: bytes | None, first: bytes) -> None:
    answer = await talk(standin, line + b"\r\n")
    assert answer.startswith(first + b"\r\n")
    assert (b"connection: " + (connection or b"") in answer) == (connection is not None)


async def test_old_clients_can_keep_the_connection(standin: Standin) -> None:
    keep = b"GET /cost HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
    answer = await talk(standin, keep + b"GET /status HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.0 405") == 2
    assert answer.count(b"connection: keep-alive\r\n") == 1


async def test_requests_one_after_another_and_then_garbage(standin: Standin) -> None:
    answer = await talk(standin, (GET + b"\r\n") * 3 + b"GET /status HTTP/1.1\r\n\r\n" + b"hello\r\n\r\n")
    assert (answer.count(b"HTTP/1.1 405"), answer.count(b"HTTP/1.1 400")) == (4, 1)


@pytest.mark.parametrize("path", ["/", "/info", "/status", "/subgraph/health/x", "/nowhere"])
async def test_options_tells_the_methods_of_the_path(standin: Standin, path: str) -> None:
    answer = (await talk(standin, f"OPTIONS {path} HTTP/1.1\r\n".encode() + CLOSE + b"\r\n")).decode()
    own = {"/status": "POST", "/nowhere": None}.get(path, "GET,HEAD")
    assert status_of(answer.encode()) == "200 OK"
    assert ("allow: " in answer.replace("access-control-allow", "")) == (own is not None)
    assert own is None or f"\r\nallow: {own}\r\n" in answer
    for name in ("vary: origin, access-control-request-method, access-control-request-headers", "content-length: 0"):
        assert f"\r\n{name}\r\n" in answer


async def test_head_is_get_without_the_body(standin: Standin) -> None:
    got = await talk(standin, b"GET /info HTTP/1.1\r\n" + CLOSE + b"\r\n")
    asked = await talk(standin, b"HEAD /info HTTP/1.1\r\n" + CLOSE + b"\r\n")
    undated = [line for line in got.partition(b"\r\n\r\n")[0].split(b"\r\n") if not line.startswith(b"date")]
    assert [line for line in asked.split(b"\r\n") if line and not line.startswith(b"date")] == undated
    unknown = await talk(standin, b"HEAD /nowhere HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert status_of(unknown) == "404 Not Found"
    assert b"content-length" not in unknown


CHUNKED_BODIES = {
    "one": (b"2a\r\n" + BODY + b"\r\n0\r\n\r\n", "200 OK"),
    "two": (b"0A\r\n" + BODY[:10] + b"\r\n20\r\n" + BODY[10:] + b"\r\n0\r\n\r\n", "200 OK"),
    "extension": (b"2a ;a=b\r\n" + BODY + b"\r\n0\r\n\r\n", "200 OK"),
    "trailer": (b"2a\r\n" + BODY + b"\r\n0\r\na: b\r\n\r\n", "200 OK"),
    "no size": (b"zz\r\n" + BODY + b"\r\n0\r\n\r\n", "502 Bad Gateway"),
    "bare line feed": (b"2a\n" + BODY, "502 Bad Gateway"),
    "longer than it says": (b"20\r\n" + BODY + b"\r\n0\r\n\r\n", "502 Bad Gateway"),
    "size of 72 bits": (b"f" * 18 + b"\r\n", "502 Bad Gateway"),
}


@pytest.mark.parametrize("kind", CHUNKED_BODIES)
async def test_chunked_bodies(standin: Standin, kind: str) -> None:
    sent, status = CHUNKED_BODIES[kind]
    answer = await talk(standin, paid(standin, b"content-length: 5\r\nTransfer-Encoding: Chunked\r\n"), sent)
    assert status_of(answer) == status
    assert status == "200 OK" or answer.endswith(b'{"message":"error reading a body from connection"}')


async def test_the_client_is_told_to_go_on_when_the_body_is_wanted(standin: Standin) -> None:
    wanted = paid(standin, b"expect: 100-continue\r\ncontent-length: %d\r\n" % len(BODY))
    answer = await talk(standin, wanted, BODY)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    unwanted = await talk(standin, GET + b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n")
    assert unwanted.startswith(b"HTTP/1.1 405")


async def test_a_body_that_ends_early_is_told(standin: Standin) -> None:
    answer = await talk(standin, paid(standin, b"content-length: 100\r\n") + BODY, half_close=True)
    assert answer.endswith(b'{"message":"error reading a body from connection"}')


async def test_a_request_whose_client_is_gone_is_dropped_where_it_stands() -> None:
    begun = dropped = 0

    async def never(request: Request) -> Answer | None:
        nonlocal begun, dropped
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            dropped += 1

    listener = await listen(Service(never), "127.0.0.1", 0, "service_port")
    address = urlparse(listener.url)
    async with asyncio.timeout(20):
        clients = [(await asyncio.open_connection(address.hostname, address.port))[1] for _ in range(20)]
        for client in clients:
            client.write(GET + b"\r\n")
        while begun < 20:
            await asyncio.sleep(0)
        assert dropped == 0
        for client in clients:
            client.transport.abort()
        while dropped < 20:
            await asyncio.sleep(0)
        await listener.close()


async def test_half_a_head_is_not_answered(standin: Standin) -> None:
    assert await talk(standin, b"GET /cost HT", half_close=True) == b""


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a?b=1#c", "/a"), ("/a#b?c", "/a"), ("*", "*"), ("a:80", ""), ("http://a", "/"), ("HTTP://a:1/b?c", "/b")],
)
def test_path_of_a_target(target: str, path: str) -> None:
    assert path_of(target.encode()) == path


HEAD = b"\r\nPOST /a/b HTTP/1.1\r\nHost: x\r\nConnection: close\nTransfer-Encoding: gzip, chunked\r\nA: b \t\r\n\r\n"


@given(st.integers(0, len(HEAD) - 1))
def test_no_beginning_of_a_good_head_is_refused(size: int) -> None:
    assert read_head(HEAD[:size]) is None
    found = read_head(HEAD + b"more")
    assert found is not None
    head, length = found
    assert (head.method, head.path, head.length, head.keep_alive, length) == ("POST", "/a/b", CHUNKED, False, len(HEAD))
    assert head.header("a") == "b"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_head_or_refused_or_too_few(data: bytes) -> None:
    with contextlib.suppress(Refused):
        found = read_head(data)
        assert found is None or found[1] <= len(data)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.data())
def test_chunks_arrive_whole_however_they_are_cut(contents: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(b"%x\r\n%s\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
    chunks, received, rest, at = Chunks(), b"", b"", 0
    while not chunks.done:
        step = data.draw(st.integers(1, len(sent) - at))
        piece, rest = chunks.feed(rest + sent[at : at + step])
        received, at = received + piece, at + step
    assert (received, rest, at) == (b"".join(contents), b"", len(sent))


@given(st.binary(max_size=40))
def test_any_bytes_are_chunks_or_broken(data: bytes) -> None:
    with contextlib.suppress(BrokenBody):
        piece, rest = Chunks().feed(data)
        assert len(piece) + len(rest) <= len(data)

"""The client against real sockets: what services and networks do, each with its outcome, and nothing sent twice."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from tests.load.scripted import ANSWER, Peer, good, scripted
from tests.load.test_drive import BYTES, DONE, FIRST, SENT, STATUS, outcomes
from tests.load.wire import GOOD
from workbench.child import loop_factory
from workbench.errors import SettingsError
from workbench.load.client import ReceiptClient
from workbench.load.connection import Connection
from workbench.load.engines.in_process import in_process
from workbench.load.outcome import OUTCOME_NAMES
from workbench.load.outcome_cache import OutcomeCache
from workbench.load.plan import ClosedPlan
from workbench.load.request import post, preflight
from workbench.load.samples import SampleBuffer
from workbench.load.spec import StepSpec

BODY = b'{"query": "{ a }"}'


async def step(url: str, folder, count: int = 12, concurrency: int = 3, **changes):
    """A closed step: its report, its rows and how often each outcome was seen."""
    plan = ClosedPlan(count, concurrency)
    spec = StepSpec(url=url, query="{ a }", plan=plan, buffer=folder / "rows", receipt=None, **changes)
    SampleBuffer.create(spec.buffer, count)
    report = await asyncio.wait_for(in_process(spec, None), 60)
    rows = SampleBuffer.open(spec.buffer).rows
    return report, rows, outcomes(rows)


def each(answer: bytes):
    """A script that gives ``answer`` to every request, on kept connections."""

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(answer)

    return script


def once(answer: bytes):
    """A script that gives ``answer`` to the first request of a connection, and closes."""

    async def script(peer: Peer) -> None:
        if await peer.request() is not None:
            await peer.send(answer)

    return script


def answer(*headers: bytes, body: bytes = GOOD, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"".join(line + b"\r\n" for line in (status, *headers)) + b"\r\n" + body


LENGTH = b"Content-Length: %d" % len(GOOD)
CHUNKED = answer(b"Transfer-Encoding: chunked", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD))


@pytest.mark.parametrize(
    ("script", "outcome", "status", "size"),
    [
        pytest.param(good, "ok", 200, len(GOOD), id="kept"),
        pytest.param(each(CHUNKED), "ok", 200, len(GOOD), id="chunked"),
        pytest.param(once(answer(LENGTH, b"Connection: close")), "ok", 200, len(GOOD), id="Connection: close"),
        pytest.param(once(answer(LENGTH, status=b"HTTP/1.0 200 OK")), "ok", 200, len(GOOD), id="HTTP/1.0"),
        pytest.param(
            each(answer(LENGTH, b"Connection: keep-alive", status=b"HTTP/1.0 200 OK")),
            "ok",
            200,
            len(GOOD),
            id="HTTP/1.0 kept",
        ),
        pytest.param(once(answer(b"Server: a")), "ok", 200, len(GOOD), id="until the end"),
        pytest.param(each(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + ANSWER), "ok", 200, len(GOOD), id="interim"),
        pytest.param(each(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_error", 204, 0, id="204"),
        pytest.param(each(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "http_error", 304, 0, id="304"),
        pytest.param(once(b"\x16\x03\x01\0garbage"), "http_error", 0, 0, id="garbage"),
        pytest.param(once(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000), "http_error", 0, 0, id="huge head"),
        pytest.param(once(ANSWER[:-1]), "reset", 0, 0, id="cut off"),
        pytest.param(once(CHUNKED[:-1]), "reset", 0, 0, id="chunked, cut off"),
        pytest.param(once(b""), "reset", 0, 0, id="closed"),
        pytest.param(
            each(answer(b"Content-Length: 8388608", body=bytes(8 << 20), status=b"HTTP/1.1 500 No")),
            "http_error",
            500,
            8 << 20,
            id="8 MB",
        ),
    ],
)
async def test_each_kind_of_answer_has_its_outcome(tmp_path, script, outcome, status, size):
    async with scripted(script) as url:
        report, rows, seen = await step(url, tmp_path)
    assert seen == {outcome: 12}
    assert set(rows[:, STATUS]) == {status}
    assert set(rows[:, BYTES]) == {size}
    assert (rows[:, DONE] >= rows[:, SENT]).all()
    if status:
        assert ((rows[:, FIRST] >= rows[:, SENT]) & (rows[:, DONE] >= rows[:, FIRST])).all()
    assert report.sent == 12
    assert report.surplus == 0


async def test_requests_have_the_headers_that_were_meant(tmp_path):
    seen = []

    async def script(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            seen.append(request)
            await peer.send(ANSWER)

    async with scripted(script) as url:
        client = ReceiptClient(url, BODY, timeout_s=10, headers={"Authorization": "Bearer free"})
        await client.exchange(b"abc=")
        await client.exchange(None)
        await client.close()
    port = url.split(":")[2].split("/")[0]
    head = (
        f"POST /subgraphs/id/a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer free\r\n"
    )
    tail = f"Content-Length: {len(BODY)}\r\n\r\n{BODY.decode()}"
    assert seen == [(head + "Tap-Receipt: abc=\r\n" + tail).encode(), (head + tail).encode()]


@pytest.mark.parametrize(
    ("headers", "word"),
    [({"X-A": "b\r\nX-C: d"}, "X-A"), ({"X-A": "b\n"}, "X-A"), ({"X A": "b"}, "'X A'"), ({"X-A\r\n": "b"}, "X-A")],
)
def test_a_header_cannot_break_a_request_apart(headers, word):
    with pytest.raises(SettingsError, match="headers: .*" + word):
        post("http://127.0.0.1:1/", BODY, headers)


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("http://127.0.0.1:7601/a", b"127.0.0.1:7601", b"/a"),
        ("http://[::1]:7601/a b?c=d", b"[::1]:7601", b"/a%20b?c=d"),
        ("http://example.org", b"example.org", b"/"),
        ("https://example.org:443/x", b"example.org", b"/x"),
    ],
)
def test_a_request_names_host_and_path_as_rfc_9112_wants(url, host, path):
    for request in (post(url, BODY).plain, preflight(url)):
        line, second = request.split(b"\r\n")[:2]
        assert line.split(b" ")[1:] == [path, b"HTTP/1.1"]
        assert second == b"Host: " + host


async def test_connections_are_closed_in_mid_run_and_opened_again(tmp_path):
    """Every tenth answer is the last of its connection."""
    peers, count = set(), 0

    async def script(peer: Peer) -> None:
        nonlocal count
        peers.add(peer.number)
        while await peer.request() is not None:
            count += 1
            if count % 10 == 0:
                await peer.send(answer(LENGTH, b"Connection: close"))
                return
            await peer.send(ANSWER)

    async with scripted(script) as url:
        report, _, seen = await step(url, tmp_path, count=200, concurrency=4)
    assert seen == {"ok": 200}
    assert count == 200
    assert 20 <= len(peers) <= 24
    assert report.closed_idle == 0


async def test_a_service_that_closes_a_connection_as_it_is_used_is_counted_and_nothing_sent_again(tmp_path):
    """It reads nothing of the second request of a connection: to the sender that is a connection closed as idle."""
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        if await peer.request() is not None:
            requests += 1
            await peer.send(ANSWER)
            if await peer._reader.read(1):
                peer.reset()

    async with scripted(script) as url:
        report, _, seen = await step(url, tmp_path, count=30, concurrency=3)
    assert seen == {"ok": 15, "reset": 15}
    assert requests == 15
    assert report.closed_idle == 15
    assert SampleBuffer.open(tmp_path / "rows").unsure() == 15


async def test_a_connection_closed_while_idle_is_not_used_again():
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ANSWER)
        if peer.number == 1:
            closed.set()
        else:
            await peer.request()

    async with scripted(script) as url:
        client = ReceiptClient(url, BODY, timeout_s=10)
        seen = [await client.exchange(None)]
        await closed.wait()
        while client._idle:
            await asyncio.sleep(0)
        seen.append(await client.exchange(None))
        await client.close()
    assert [OUTCOME_NAMES[one.outcome] for one in seen] == ["ok", "ok"]
    assert client.closed_idle == 0


async def test_a_connection_whose_end_was_just_heard_of_is_not_used():
    """Before the loop has told that it is lost."""
    async with scripted(good) as url:
        client = ReceiptClient(url, BODY, timeout_s=10)
        assert await client.open_connections(2) == 2
        for connection in list(client._idle):
            connection.eof_received()
        seen = await client.exchange(None)
        await client.close()
    assert OUTCOME_NAMES[seen.outcome] == "ok"
    assert client.closed_idle == 0


async def test_resets_are_resets(tmp_path):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ANSWER[:20])
        peer.reset()

    async with scripted(script) as url:
        report, _, seen = await step(url, tmp_path)
    assert seen == {"reset": 12}
    assert report.closed_idle == 0


@pytest.mark.parametrize(("sent", "outcome"), [(ANSWER, "ok"), (b"", "reset"), (ANSWER[:9], "reset")])
async def test_a_half_closed_connection_is_not_used_again(tmp_path, sent, outcome):
    """The next request may be on its way before the end is heard of; it is lost then, and never sent again."""
    reached = 0

    async def script(peer: Peer) -> None:
        nonlocal reached
        if await peer.request() is not None:
            reached += 1
            if sent:
                await peer.send(sent)
            peer.half_close()
            while await peer.request() is not None:
                pass

    async with scripted(script) as url:
        report, _, seen = await step(url, tmp_path, concurrency=1)
    lost = seen.get("reset", 0) if outcome == "ok" else 0
    assert seen == {outcome: 12} or (outcome == "ok" and lost == report.closed_idle)
    assert reached == 12 - lost


async def test_an_answer_before_the_request_is_complete_counts_and_ends_the_connection():
    """The service refuses by the head and never reads the body, of which the system cannot take all at once."""
    large = b"x" * (32 << 20)

    async def script(peer: Peer) -> None:
        await peer._reader.readuntil(b"\r\n\r\n")
        await peer.send(answer(b"Content-Length: 2", body=b"no", status=b"HTTP/1.1 413 Content Too Large"))
        await asyncio.sleep(60)

    async with scripted(script) as url:
        client = ReceiptClient(url, large, timeout_s=30)
        seen = await client.exchange(None)
        assert not client._idle
        await client.close()
    assert (seen.status, OUTCOME_NAMES[seen.outcome], seen.bytes_in) == (413, "http_error", 2)


async def test_a_large_request_is_sent_whole():
    large = b"x" * (32 << 20)
    sizes = []

    async def script(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            sizes.append(len(request.partition(b"\r\n\r\n")[2]))
            await peer.send(ANSWER)

    async with scripted(script) as url:
        client = ReceiptClient(url, large, timeout_s=30)
        seen = [await client.exchange(b"a"), await client.exchange(b"b")]
        await client.close()
    assert {OUTCOME_NAMES[one.outcome] for one in seen} == {"ok"}
    assert sizes == [len(large)] * 2


async def test_two_answers_for_one_request_are_counted(tmp_path):
    numbers = []

    async def script(peer: Peer) -> None:
        while await peer.request() is not None:
            numbers.append(peer.number)
            await peer.send(ANSWER + ANSWER)

    async with scripted(script) as url:
        report, _, seen = await step(url, tmp_path)
    assert seen == {"ok": 12}
    assert report.surplus == 12
    assert max(Counter(numbers).values()) == 1


async def test_time_limits_are_kept_without_a_timer_each(tmp_path):
    """Half of the requests are never answered."""
    count = 0

    async def script(peer: Peer) -> None:
        nonlocal count
        while await peer.request() is not None:
            count += 1
            if count % 2:
                await asyncio.sleep(60)
            await peer.send(ANSWER)

    async with scripted(script) as url:
        _, rows, seen = await step(url, tmp_path, count=40, concurrency=10, timeout_s=0.2)
    assert seen == {"ok": 20, "timeout": 20}
    late = rows[rows[:, STATUS] == 0]
    assert (late[:, DONE] - late[:, SENT] >= 200_000_000).all()


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_is_made_as_its_time_ends_is_not_waited_for(turns):
    """Whatever turn of the loop it is made in. A target that hardly keeps up makes thousands of them."""

    async def run() -> None:
        async with scripted(good) as url:
            client = ReceiptClient(url, BODY, timeout_s=10)
            await client.open_connections(0)
            for position in range(20):
                client.send(position, 0, None, lambda _: None)
            for _ in range(turns):
                await asyncio.sleep(0)
            client.cancel()
            async with asyncio.timeout(10):
                await client.close()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


def test_remembered_answers_have_a_bound():
    """Different answers of 9 KB to 1 MB, as a service may give them."""
    answers = OutcomeCache()
    for number in range(200):
        body = b'{"graphQLResponse": "{\\"data\\": %d}"%s}' % (number, b" " * (1 << 20 if number % 50 == 0 else 9000))
        assert OUTCOME_NAMES[answers.code(200, body)] == OUTCOME_NAMES[answers.code(200, body)] == "ok"
        assert OUTCOME_NAMES[answers.code(400, body)] == "http_error"
    assert sum(len(key[1]) for key in answers._codes) < 1 << 20
    for number in range(5000):
        answers.code(500, b"%d" % number)
    assert len(answers._codes) == 4096


@pytest.mark.parametrize("script", [good, once(answer(LENGTH, b"Connection: close")), once(b"")])
async def test_requests_and_connections_leave_no_cycles(script):
    """So that a step needs no garbage collection."""
    async with scripted(script) as url:
        client = ReceiptClient(url, BODY, timeout_s=10)
        await client.exchange(None)
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await client.exchange(None)
            left = sum(isinstance(thing, Connection) for thing in gc.get_objects())
        finally:
            gc.enable()
        await client.close()
    assert left <= 2

"""The null server answers every request once, in order, however it comes, and not before its time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.load.engines.child import child_process
from workbench.load.outcome import CODE_OF, Outcome, classify
from workbench.load.plan import ClosedPlan
from workbench.load.samples import DONE, OUTCOME, SampleBuffer
from workbench.load.spec import StepSpec
from workbench.nullserver.child import null_server
from workbench.nullserver.protocol import ALIVE, ANSWER, BODY, MAX_HEAD_BYTES, NullProtocol

BODIES = st.one_of(st.binary(max_size=40), st.just(b"\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"))
LENGTHS = st.sampled_from((b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH:  %d \t"))


def post(body: bytes = b"{}", length: bytes = b"Content-Length: %d", more: bytes = b"") -> bytes:
    return b"POST /subgraphs/id/Qm HTTP/1.1\r\nHost: a\r\n%b%b\r\n\r\n%b" % (more, length % len(body), body)


def said(*pieces: bytes) -> list[tuple[bytes, bool]]:
    """What one connection answers to what comes in these pieces: each answer, and whether it is the last."""
    replies: list[tuple[bytes, bool]] = []
    connection = NullProtocol(lambda transport, answer, last: replies.append((answer, last)))
    connection.connection_made(asyncio.Transport())
    for piece in pieces:
        connection.data_received(piece)
    return replies


@given(st.lists(st.builds(post, BODIES, LENGTHS), max_size=5), st.data())
def test_every_request_has_one_answer_however_it_is_split(requests, data):
    whole = b"".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[begin:end] for begin, end in pairwise([0, *cuts, len(whole)])]
    assert said(*pieces) == [(ANSWER, False)] * len(requests)


def test_an_answer_waits_for_the_last_byte_of_its_request():
    request = post(b"x" * 8_000_000)
    assert said(request[:100], request[100:-1]) == []
    assert said(request[:100], request[100:-1], request[-1:]) == [(ANSWER, False)]


@pytest.mark.parametrize("value", [b"close", b"Keep-Alive, Close"])
def test_the_answer_to_a_last_request_ends_the_connection(value):
    assert said(post(more=b"Connection: %b\r\n" % value) + post()) == [(ANSWER, True)]


def test_a_receipt_that_spells_close_ends_nothing():
    assert said(post(more=b"Tap-Receipt: Connection:close\r\n") + post()) == [(ANSWER, False)] * 2


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(length=b"Transfer-Encoding: chunked\r\nX: %d"), b"411"),
        (post(length=b"Content-Length: a%d"), b"411"),
        (b"POST / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES, b"431"),
    ],
)
def test_what_is_not_understood_is_told_so_and_closed(request_, status):
    ((answer, last),) = said(request_)
    assert answer.startswith(b"HTTP/1.1 %b " % status)
    assert last


def test_it_answers_as_an_indexer_service_that_went_well():
    head, _, body = ANSWER.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert body == BODY
    assert classify(200, body) is Outcome.OK
    ((alive, _),) = said(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert alive.endswith(ALIVE)


async def test_our_own_generator_is_answered(tmp_path):
    async with null_server() as server:
        spec = StepSpec(server.paid_url, "{ a }", ClosedPlan(500, 8), tmp_path / "step.live", None)
        rows = SampleBuffer.create(spec.buffer, 500).rows
        await child_process(spec, None)
    assert (rows[:, OUTCOME] == CODE_OF[Outcome.OK]).all()
    assert (rows[:, DONE] > 0).all()


async def test_an_answer_comes_after_its_delay_and_in_order(tmp_path):
    async with null_server(delay_ms=20) as server:
        spec = StepSpec(server.paid_url, "{ a }", ClosedPlan(40, 4), tmp_path / "step.live", None)
        rows = SampleBuffer.create(spec.buffer, 40).rows
        await child_process(spec, None)
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(post() + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = await reader.read()
        writer.close()
    sent, done = rows[:, 1], rows[:, DONE]
    assert ((done - sent) >= 20_000_000).all()
    assert answers.startswith(ANSWER)
    assert answers.endswith(ALIVE)


async def test_a_client_that_reads_late_gets_all_its_answers():
    count = 50_000  # 13 MB of answers, more than all buffers between the two
    async with null_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
        for _ in range(count // 1000):
            writer.write(post() * 1000)
        assert await reader.readexactly(len(ANSWER) * count) == ANSWER * count
        writer.close()


async def test_several_processes_share_a_port():
    async with null_server(2) as server:
        assert len(set(server.pids)) == 2
        host, port = server.url.removeprefix("http://").split(":")
        listening = [
            {
                connection.laddr.port
                for connection in psutil.Process(pid).net_connections()
                if connection.status == "LISTEN"
            }
            for pid in server.pids
        ]
        assert listening == [{int(port)}] * 2
        for _ in range(20):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(post())
            assert await reader.readexactly(len(ANSWER)) == ANSWER
            writer.close()
    assert not any(psutil.pid_exists(pid) for pid in server.pids)


def test_it_ends_when_whoever_started_it_is_killed():
    code = (
        "import asyncio, os\nfrom workbench.nullserver.child import null_server\n"
        "async def main():\n async with null_server(2) as server:\n  print(*server.pids, flush=True)\n"
        "  await asyncio.sleep(60)\nasyncio.run(main())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert not psutil.wait_procs(servers, timeout=30)[1]


def test_the_body_is_that_of_an_indexer_service():
    assert json.loads(json.loads(BODY)["graphQLResponse"])["data"]["_meta"]["block"]["number"] == 1

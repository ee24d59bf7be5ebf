"""Reaching a service, or not: TLS, IPv6, names, time limits, and what the system has no more of."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl

import pytest
import trustme
import uvloop

from tests.load.scripted import ANSWER, Peer, good, scripted
from tests.load.servers import raw_server
from tests.load.test_client import BODY, step
from workbench.errors import MeasurementError
from workbench.load.client import ReceiptClient
from workbench.load.outcome import OUTCOME_NAMES
from workbench.load.samples import SampleBuffer


async def test_a_connection_attempt_is_under_the_same_limit(tmp_path):
    """Nobody accepts, and the queue is full: the system drops what asks to be let in."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        inside = [socket.create_connection(("127.0.0.1", port)) for _ in range(1)]
        _, _, seen = await step(f"http://127.0.0.1:{port}/", tmp_path, count=6, timeout_s=0.3)
        for one in inside:
            one.close()
    assert seen == {"timeout": 6}


def tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path, monkeypatch) -> trustme.CA:
    """A certificate authority that this process trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_tls(tmp_path, authority, name):
    async with scripted(good, tls=tls(authority, name), name=name) as url:
        report, _, seen = await step(url, tmp_path, count=100)
    assert seen == {"ok": 100}
    assert report.connections == 3


async def test_a_certificate_for_another_name_is_no_connection(tmp_path, authority):
    async with scripted(good, tls=tls(authority, "example.org"), name="localhost") as url:
        _, _, seen = await step(url, tmp_path)
    assert seen == {"connect_error": 12}


async def test_a_certificate_of_nobody_is_no_connection(tmp_path):
    async with scripted(good, tls=tls(trustme.CA(), "localhost"), name="localhost") as url:
        _, _, seen = await step(url, tmp_path)
    assert seen == {"connect_error": 12}


async def test_a_service_without_tls_is_no_connection(tmp_path):
    async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        _, _, seen = await step(url.replace("http:", "https:"), tmp_path)
    assert seen == {"connect_error": 12}


needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")


@needs_ipv6
async def test_ipv6(tmp_path):
    async with scripted(good, host="::1") as url:
        assert "[::1]" in url
        _, _, seen = await step(url, tmp_path)
    assert seen == {"ok": 12}


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_a_name_with_several_addresses_is_reached_by_the_one_that_answers(tmp_path, host, monkeypatch):
    loop = asyncio.get_running_loop()
    looked_up = []

    async def both(name, port, **options):
        looked_up.append(name)
        return [(family, 1, 6, "", (address, port)) for family, address in ((10, "::1"), (2, "127.0.0.1"))]

    async with scripted(good, host=host, name="service.test") as url:
        real = loop.getaddrinfo
        monkeypatch.setattr(
            loop, "getaddrinfo", lambda name, port, **o: (both if "test" in name else real)(name, port, **o)
        )
        _, _, seen = await step(url, tmp_path)
    assert seen == {"ok": 12}
    assert looked_up == ["service.test"]


async def test_a_name_that_nobody_knows_is_no_connection(tmp_path):
    _, _, seen = await step("http://nobody.invalid:80/", tmp_path)
    assert seen == {"connect_error": 12}


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
def test_no_more_open_files_is_an_error_of_our_own(factory):
    """With a limit that is reached indeed, as a large step on a small system may."""

    async def until_none_is_left() -> None:
        async with scripted(good) as url:
            client = ReceiptClient(url, BODY, timeout_s=10)
            taken: list[socket.socket] = []
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 10, hard))
            try:
                with contextlib.suppress(OSError):  # that there are no more
                    while True:
                        taken.append(socket.socket())
                with pytest.raises(MeasurementError, match="ulimit -n: the generator has reached its limit of"):
                    await client.exchange(None)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for one in taken:
                    one.close()
            assert OUTCOME_NAMES[(await client.exchange(None)).outcome] == "ok"
            await client.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(until_none_is_left())


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.SelectorEventLoop])
def test_a_connection_that_ends_in_the_moment_it_is_made_is_no_more(factory):
    """It has been made, and its attempt does not know it yet."""

    async def ended_when_made() -> None:
        async with scripted(good) as url:
            client = ReceiptClient(url, BODY, timeout_s=10)
            await client.open_connections(0)
            made, ended = client.made, asyncio.Event()

            def made_and_cancelled(connection):
                made(connection)
                asyncio.get_running_loop().call_soon(client.cancel)

            client.made = made_and_cancelled
            client.send(0, 0, None, lambda _: ended.set())
            await ended.wait()
            async with asyncio.timeout(10):
                await client.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(ended_when_made())


async def test_no_more_open_files_in_mid_step_end_it(tmp_path, monkeypatch):
    async def script(peer: Peer) -> None:
        for _ in range(3):
            if await peer.request() is None:
                return
            await peer.send(ANSWER)
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "create_connection", none_left)
            await peer.request()
            peer.reset()
            await asyncio.sleep(60)

    async def none_left(*_: object, **__: object):
        raise OSError(errno.EMFILE, "too many open files")

    async with scripted(script) as url:
        with pytest.raises(MeasurementError, match="ulimit -n"):
            await step(url, tmp_path, count=100, concurrency=2)
    assert 3 <= SampleBuffer.open(tmp_path / "rows").measured() < 10


async def test_what_no_service_can_do_ends_the_step(tmp_path, monkeypatch):
    async def broken(*_: object, **__: object):
        raise RuntimeError("ours")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", broken)
    with pytest.raises(RuntimeError, match="ours"):
        await step("http://127.0.0.1:1/", tmp_path)

"""Requests that would leave: to where an answer points, or to another machine under this one's name."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace

import pytest
from aiohttp import web

from workbench.doctor.service import _health_and_clock
from workbench.errors import SettingsError, TargetError
from workbench.load.client import ReceiptClient
from workbench.loopback import could_be_here, elsewhere, is_loopback, is_loopback_address
from workbench.network.look import change, describe
from workbench.service.agent import read_fees
from workbench.service.fetch import get_text, post_graphql, post_json
from workbench.service.health import require_service

SECRET = "https://me:pass-word@elsewhere.example/"


@pytest.fixture
async def pointing():
    """A server that redirects to another for everything, and the requests which that one got."""
    followed: list[str] = []
    runners = []

    async def serve(handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"

    async def other(request: web.Request) -> web.Response:
        followed.append(f"{request.method} {request.path} {await request.text()}")
        return web.Response(text="Service is up and running")

    there = await serve(other)

    async def points(request: web.Request) -> web.Response:
        to = SECRET if request.path == "/secret" else f"{there}/there"
        return web.Response(status=int(request.query.get("status", 307)), headers={"Location": to})

    yield await serve(points), there, followed
    for runner in runners:
        await runner.cleanup()


async def test_no_request_of_ours_follows_a_redirect(pointing):
    url, there, followed = pointing
    requests = (
        require_service(url),
        *(get_text(f"{url}/?status={status}", "it") for status in (301, 302, 303, 307, 308)),
        post_json(url, {"a": 1}, "it"),
        post_graphql(url, "{ a }", "it"),
        read_fees(url, bytes(20), limit=None, timeout_s=5.0),
        describe(SimpleNamespace(admin_url=url)),
        change(SimpleNamespace(admin_url=url), {"backend_down": True}),
    )
    for request in requests:
        with pytest.raises(TargetError) as refused:
            await request
        assert f"redirects to '{there}/there', which was not followed" in str(refused.value)
    (check,) = await _health_and_clock(url, 5.0)
    assert check.status == "failed"
    assert f"{there}/there" in check.found
    assert followed == []


async def test_a_password_in_where_an_answer_points_is_not_shown(pointing):
    with pytest.raises(TargetError) as refused:
        await get_text(f"{pointing[0]}/secret", "it")
    assert "pass-word" not in str(refused.value)


@pytest.fixture
def led_astray(monkeypatch):
    """``localhost`` leads to another machine, as a line of /etc/hosts can have it."""

    def resolve(host, port, *arguments, **options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", int(port)))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def test_a_name_of_this_machine_that_leads_to_another_is_not_connected_to(led_astray):
    with pytest.raises(SettingsError, match=r"leads to 192\.0\.2\.1"):
        await get_text("http://localhost:7601/", "it")


async def test_receipts_are_not_sent_to_another_machine_under_this_ones_name(monkeypatch):
    loop = asyncio.get_running_loop()
    connected = []

    async def resolve(host, port, **options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    async def connect(made, address, *arguments, **options):
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "create_connection", connect)
    for host in ("localhost", "elsewhere.example"):  # the second is what --allow-remote is for
        client = ReceiptClient(f"http://{host}:7601/x", b"{}", timeout_s=5)
        await client.open_connections(1)
        await client.close()
    assert connected == ["192.0.2.1"]


def test_what_is_this_machine():
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert is_loopback_address(address)
    for address in ("192.0.2.1", "::ffff:192.0.2.1", "0.0.0.0", "localhost", "", "fe80::1%eth0"):
        assert not is_loopback_address(address)
        assert elsewhere("http://localhost:1", address)
        assert elsewhere("http://indexer.example", address) is None  # --allow-remote has been asked for it
    assert is_loopback("http://[::1]:7601")
    assert not is_loopback("http://localhost.example")


def test_by_what_names_a_server_of_this_machine_is_asked():
    for host in ("127.0.0.1:7600", "127.0.0.1", "[::1]:7600", "[::1]", "::1", "localhost:7600", "a.localhost", "", "a"):
        assert could_be_here(host)
    for host in ("page.example", "page.example:7600", "127.0.0.1.page.example:80", "localhost.page.example", "ai."):
        assert not could_be_here(host)

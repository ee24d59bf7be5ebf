"""The stand-in as a child process: ready, stopped, orphaned, failed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest

from tests.ports import free_port
from workbench.errors import EXIT_TARGET, SettingsError, TargetError, ToolError
from workbench.ports import outgoing_ports
from workbench.standin import listen
from workbench.standin.child import child
from workbench.standin.endpoints import Endpoints
from workbench.standin.http.connection import Service
from workbench.standin.server import Standin

from .conftest import Caller, eventually, quick

USER_KEY = "11" * 32


def exists(path: str) -> bool:
    return Path(path).exists()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_ready_and_stopped(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    settings = quick()
    async with child(settings, tmp_path / "logs" / "standin.log") as endpoints:
        assert (await Caller(session, settings, endpoints).pay()).status == 200
        pid = endpoints.pids["service"]
        assert pid == endpoints.pids["agent"] != os.getpid()
        assert os.getsid(pid) != os.getsid(0)  # Ctrl-C goes to the whole session
    assert gone(pid)
    assert not exists(endpoints.database)
    assert (tmp_path / "logs" / "standin.log").read_text() == ""


async def test_stop_finishes_requests_under_way(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    database = tmp_path / "db.sqlite"
    settings = quick(database=database, store="slow", store_delay_ms=1000)
    async with child(settings, tmp_path / "log") as endpoints:
        caller = Caller(session, settings, endpoints)
        requests = [asyncio.create_task(caller.pay()) for _ in range(20)]
        await asyncio.sleep(0.5)
    assert [(await request).status for request in requests] == [200] * 20
    assert caller.stored() == 20


PARENT = """
import asyncio, sys
from pathlib import Path
from workbench.settings import Settings
from workbench.ports import outgoing_ports
from workbench.standin import listen
from workbench.standin.child import child

async def main():
    async with child(Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2])) as endpoints:
        print(endpoints.to_json(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, quick().model_dump_json(), str(tmp_path / "log"), stdout=PIPE
    )
    assert parent.stdout is not None
    endpoints = Endpoints.from_json((await parent.stdout.readline()).decode())
    assert not gone(endpoints.pids["service"])
    parent.kill()
    await parent.communicate()
    await eventually(lambda: gone(endpoints.pids["service"]))
    assert not exists(endpoints.database)


async def test_a_taken_port_is_named(standin: Standin, tmp_path: Path) -> None:
    port = int(standin.endpoints.service_url.rsplit(":", 1)[1])
    with pytest.raises(TargetError) as direct:
        async with Standin(quick(service_port=port)):
            pass
    assert direct.value.exit_code == EXIT_TARGET
    for part in (f"127.0.0.1:{port}", "address already in use", "--service-port"):
        assert part in str(direct.value)
    with pytest.raises(ToolError) as by_child:
        async with child(quick(service_port=port), tmp_path / "log"):
            pass
    assert str(direct.value) in str(by_child.value)
    assert str(tmp_path / "log") in str(by_child.value)


async def test_a_free_port_is_none_that_a_connection_gets(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be stopped, and start again on the same ports."""
    given = standin.endpoints
    urls = (given.service_url, given.service_metrics_url, given.agent_metrics_url, given.graph_url)
    ports = [urlsplit(url).port or 0 for url in urls]
    assert not {*ports} & {*outgoing_ports()}
    free = free_port()
    monkeypatch.setattr(listen, "free_ports", lambda: iter([ports[0], free]))  # the first is taken
    handler = listen.metrics_handler(lambda: b"", "text/plain")
    other = await listen.listen(Service(handler), "127.0.0.1", 0, "service_port")
    assert other.url == f"http://127.0.0.1:{free}"
    await other.close()


async def test_the_log_is_quoted_when_the_child_dies(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"the stand-in ended: role agent: the agent reads the receipts"):
        async with child(quick(role="agent"), tmp_path / "log"):
            pass


async def test_keys_of_the_user_are_not_handed_on(tmp_path: Path) -> None:
    settings = quick(signer_keys=[USER_KEY], payers=["0x" + "22" * 20])
    async with child(settings, tmp_path / "log") as endpoints:
        process = psutil.Process(endpoints.pids["service"])
        assert USER_KEY not in " ".join([*process.cmdline(), *process.environ().values()])


def test_it_starts_from_a_loop_in_another_thread(tmp_path: Path) -> None:
    """As in a notebook's kernel, whose loop is not always the main thread's."""

    async def once() -> int:
        async with child(quick(), tmp_path / "log") as endpoints, aiohttp.ClientSession() as session:
            return (await Caller(session, quick(), endpoints).pay()).status

    async def main() -> int:
        return await asyncio.to_thread(asyncio.run, once())

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_serve_announces_one_line_and_stops_on_signals(signal_number: int) -> None:
    code = "import sys; from workbench.settings import Settings; from workbench.standin.server import serve;" \
        "serve(Settings.model_validate_json(sys.argv[1]))"  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", code, quick().model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert set(json.loads(process.stdout.readline())["pids"]) == {"service", "agent"}
    process.send_signal(signal_number)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize(
    ("role", "missing"),
    [("service", {"agent_metrics_url"}), ("agent", {"service_url", "service_metrics_url", "graph_url"})],
)
def test_a_role_as_a_plain_command_says_first_where_it_answers(role: str, missing: set[str], tmp_path: Path) -> None:
    options = [f"--{name}-port=0" for name in ("service", "service-metrics", "agent-metrics", "graph")]
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "standin", "--role", role, "--database", tmp_path / "db", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    addresses = {"service_url", "service_metrics_url", "agent_metrics_url", "graph_url"}
    assert set(said) == {*addresses, "database", "pids"}
    assert {name for name, value in said.items() if value is None} == missing
    for name in addresses - missing:
        host, port = said[name].split("/")[2].split(":")
        socket.create_connection((host, int(port)), timeout=10).close()
    assert (said["pids"], said["database"]) == ({role: process.pid}, str(tmp_path / "db"))
    process.terminate()
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_other_hosts_only_when_allowed(host: str) -> None:
    with pytest.raises(SettingsError, match="reachable from other machines"):
        Standin(quick(host=host))
    Standin(quick(host=host, allow_remote=True))


async def test_ipv6_loopback(session: aiohttp.ClientSession) -> None:
    async with Standin(quick(host="::1")) as standin:
        assert standin.endpoints.service_url.startswith("http://[::1]:")
        assert (await Caller(session, standin.settings, standin.endpoints).pay()).status == 200


def test_endpoints_are_one_line_there_and_back() -> None:
    endpoints = Endpoints("a", "b", "c", "d", "e\nf", {"service": 1, "agent": 2})
    assert "\n" not in endpoints.to_json()
    assert Endpoints.from_json(endpoints.to_json()) == endpoints
    for line in ("", "{}", "[]", "ready"):
        with pytest.raises(ToolError):
            Endpoints.from_json(line)

"""The whole network while a block is open: it answers, says where, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.network.conftest import ended, free_ports, network_processes, new_database, wait_until
from workbench.errors import RunFolderError, SettingsError, TargetError
from workbench.network.look import change, denied, describe, look, require_answering
from workbench.network.run import Network, network
from workbench.receipts.address import checksum
from workbench.service.network import escrow_balance, find_allocation
from workbench.standin.accounts import payer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network for the tests that leave its processes alone."""
    with asyncio.Runner() as runner:
        context = network(free_ports(), tmp_path_factory.mktemp("network"))
        yield runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


async def test_all_of_it_answers_and_is_as_the_files_say(tmp_path: Path) -> None:
    settings = free_ports()
    async with network(settings, tmp_path) as running:
        await require_answering(running)
        assert {part.name: part.wrong for part in await look(running)} == {
            "postgres": "",
            "graph": "",
            "aggregator": "",
        }

        service, agent = (tomllib.loads(path.read_text()) for path in (running.service_config, running.agent_config))
        for path in (running.service_config, running.agent_config):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert service["database"]["postgres_url"] == running.database_url == running.addresses.database_url
        assert service["subgraphs"]["network"]["query_url"] == running.graph_url == running.addresses.graph_url
        assert service["graph_node"] == {"query_url": running.query_url, "status_url": running.status_url}
        assert f"http://{service['service']['host_and_port']}" == running.addresses.service_url
        for config, url in (
            (service, running.addresses.service_metrics_url),
            (agent, running.addresses.agent_metrics_url),
        ):
            assert f"http://127.0.0.1:{config['metrics']['port']}/metrics" == url
        endpoints = agent["tap"]["sender_aggregator_endpoints"]
        assert set(endpoints.values()) == {running.aggregator_url}
        assert {checksum(known.address) for known in running.payers} < set(endpoints)
        assert len(running.payers) == 4

        indexer = bytes.fromhex(settings.indexer[2:])
        assert await find_allocation(running.graph_url, indexer) == running.allocation
        collector = bytes.fromhex(settings.collector[2:])
        assert await escrow_balance(running.graph_url, collector, indexer, payer(3).address) == 10 * 10**18
        assert await denied(running) == set()
        pids = [psutil.Process(pid) for pid in running.pids.values()]
        assert set(running.pids) == {"postgres", "graph", "aggregator"}
    assert all(ended(process) for process in pids)
    assert network_processes(tmp_path) == []


async def test_it_is_written_and_read_back_and_hides_the_password(running: Network) -> None:
    password = running.database_url.split(":")[2].split("@")[0]
    assert password not in repr(running)
    assert Network.from_json(running.to_json()) == running
    service, agent = running.commands("bin/service", "bin/agent")
    assert (service, agent) == (
        f"bin/service --config {running.service_config}",
        f"bin/agent --config {running.agent_config}",
    )
    assert password not in service + agent


async def test_parts_given_from_outside_are_used(server: str, tmp_path: Path) -> None:
    async with new_database(server, "given") as url:
        settings = free_ports(postgres=url, aggregator="http://127.0.0.1:9")
        async with network(settings, tmp_path) as running:
            assert set(running.pids) == {"graph"}
            assert running.database_url == url
            wrong = {part.name: part.wrong for part in await look(running)}
            assert (wrong["postgres"], wrong["aggregator"]) == ("", "connection refused")
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute("SELECT * FROM tap_horizon_receipts")
    assert not (tmp_path / "postgres").exists()


async def test_a_part_that_is_killed_is_named(tmp_path: Path) -> None:
    async with network(free_ports(), tmp_path) as running:
        # in the opposite order of asking: the first that does not answer is named
        for part in ("aggregator", "graph", "postgres"):
            process = psutil.Process(running.pids[part])
            process.kill()
            wait_until(lambda process=process: ended(process), "it ends")  # type: ignore[misc]
            said = rf"the network's {part} does not answer: .* Its log and data are in {tmp_path}"
            with pytest.raises(TargetError, match=said):
                await require_answering(running)
    assert network_processes(tmp_path) == []


async def test_balances_are_changed_while_it_runs(running: Network) -> None:
    first = checksum(payer(0).address)
    await change(running, {"payers": {first: {"balance_grt": "2.5"}}, "backend_latency": "constant:7"})
    facts = await describe(running)
    assert (facts["payers"][first]["balance_grt"], facts["backend_latency"]) == ("2.5", "constant:7")
    with pytest.raises(TargetError, match="reset_share: expected a share from 0 to 1, found 3"):
        await change(running, {"reset_share": 3})


async def test_one_network_a_folder(running: Network) -> None:
    with pytest.raises(RunFolderError, match=rf"a network runs in this folder \(process {os.getpid()}\)"):
        async with network(free_ports(), running.folder):
            pass


@pytest.mark.parametrize("option", ["service", "service-metrics", "agent-metrics", "graph", "aggregator"])
async def test_a_taken_port_is_named_and_nothing_stays(tmp_path: Path, option: str, database: str) -> None:
    # the aggregator is started last: what runs by then is all the network has of its own
    given = {} if option == "aggregator" else {"postgres": database}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = free_ports(**given, **{f"{option.replace('-', '_')}_port": port})
        with pytest.raises(TargetError, match=rf":{port}: cannot listen: .*--{option}-port \(0 takes a free one\)"):
            async with network(settings, tmp_path):
                pass
    assert network_processes(tmp_path) == []


async def test_settings_that_the_programs_would_refuse(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="chain_id: the programs know the chains"):
        async with network(free_ports(chain_id=7), tmp_path / "a"):
            pass
    with pytest.raises(SettingsError, match="host: the service would be reachable from other machines"):
        async with network(free_ports(host="0.0.0.0"), tmp_path / "a"):
            pass
    with pytest.raises(SettingsError, match="migrations"):
        async with network(free_ports(migrations=tmp_path), tmp_path / "b"):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot make the folder"):
        async with network(free_ports(), tmp_path / "file" / "folder"):
            pass


OWNER = """
import asyncio, sys
from pathlib import Path
from workbench.network.run import network
from workbench.settings import Settings
async def main():
    async with network(Settings.model_validate_json(sys.argv[1]), Path(sys.argv[2])) as running:
        print(*running.pids.values(), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_however_its_owner_ends_no_process_stays(tmp_path: Path, number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, free_ports().model_dump_json(), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    parts = [psutil.Process(int(word)) for word in owner.stdout.readline().split()]
    assert len(parts) == 3
    owner.send_signal(number)
    owner.wait()
    wait_until(lambda: all(ended(part) for part in parts), "the parts end")
    wait_until(lambda: network_processes(tmp_path) == [], "nothing of it stays")

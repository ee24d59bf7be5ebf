"""Local processes under a tool: what ran before, what cannot be had, what ends how."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

import workbench
from tests.ports import free_port
from tests.profilers.services import answers, c_service, environment, needs, work
from tests.standin.conftest import eventually
from workbench.errors import RunFolderError, SettingsError, TargetError, ToolError, WorkbenchError
from workbench.profilers.backends import local
from workbench.profilers.backends.listening import listener_on
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.backends.processes import birth
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.to_the_end import to_the_end

SECRET = "0x" + "5e" * 32


def listener(port: int) -> psutil.Process | None:
    """Who listens on a port."""
    for found in psutil.net_connections("tcp"):
        if found.laddr.port == port and found.status == psutil.CONN_LISTEN and found.pid:
            return psutil.Process(found.pid)
    return None


def has_port(program: Path, port: int) -> bool:
    """Whether it is the program itself, under no tool, that listens."""
    try:
        found = listener(port)
        return found is not None and found.cmdline()[:1] == [str(program)]
    except psutil.Error:
        return False  # it ends just now


@asynccontextmanager
async def running(
    program: Path, port: int, *arguments: str, **variables: str
) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The C service as somebody else started it; whatever listens on its port at the end is ended."""
    process = subprocess.Popen([program, str(port), *arguments], env=environment(**variables))
    try:
        await eventually(lambda: answers(f"http://127.0.0.1:{port}/"))
        yield process
    finally:
        process.kill()
        process.wait()
        if (left := listener(port)) is not None:
            left.kill()


@needs("strace", "gcc")
async def test_what_ran_before_comes_back_with_its_environment_and_no_file_has_it(
    program: Path, tmp_path: Path
) -> None:
    port = free_port()
    service = c_service(program, port, environment={"OWN_KEY": SECRET})
    async with running(program, port, SIGNER_KEY=SECRET) as before:
        backend = LocalBackend(service, tmp_path)
        async with profiling_session("strace", backend, tmp_path) as session:
            assert before.wait(10) == 0
            assert SECRET in psutil.Process(await backend.pid("service")).environ()["OWN_KEY"]
            async with session.window("step"):
                await work(service, 1)
            assert SECRET not in json.dumps(backend.to_json())
            assert SECRET not in repr(backend._previous)
        assert session.restored
        after = listener(port)
        assert after is not None
        assert after.pid != before.pid
        assert after.environ()["SIGNER_KEY"] == SECRET
        assert after.cmdline() == [str(program), str(port)]
    for path in tmp_path.rglob("*"):
        # strace -v would show it; the guide's flags do not
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


def test_a_key_on_the_command_line_is_refused_and_in_no_message() -> None:
    """Every user of the machine would see it, and tools write command lines into their files."""
    with pytest.raises(SettingsError, match="private key") as refused:
        LocalService("x", ("/does/not/exist", "--key", SECRET))
    assert SECRET not in str(refused.value)


@needs("gcc")
async def test_what_does_not_stop_is_left_running_and_named(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "PLAIN_STOP_S", 0.3)
    port = free_port()
    async with running(program, port, "stubborn", "--key", SECRET) as before:
        backend = LocalBackend(c_service(program, port), tmp_path)
        with pytest.raises(
            ToolError, match=rf"process {before.pid}, service, which listens on the port, did not stop"
        ) as told:
            await backend.start("none")
        assert SECRET not in str(told.value)
        assert before.poll() is None
        assert not backend.owes
        assert not backend.running


async def test_a_port_of_this_process_is_not_fought_for(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        backend = LocalBackend(LocalService("x", ("true",), f"http://127.0.0.1:{port}/"), tmp_path)
        with pytest.raises(
            ToolError, match=rf"port {port} is taken by process {os.getpid()}, in which the workbench runs"
        ):
            await backend.start("none")


@pytest.mark.parametrize("ended", [True, False])
def test_a_port_of_a_process_that_is_ending_is_free_soon(ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile its socket is still listed, without its process or with one that is gone."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (listed,) = (one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port)
    gone = subprocess.Popen(["true"])
    gone.wait()
    looks = iter([[listed._replace(pid=None)], [listed._replace(pid=gone.pid)]])
    last: list[object] = [] if ended else [listed._replace(pid=None)]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: next(looks, last))
    if ended:
        assert listener_on(port, "x") is None
    else:
        with pytest.raises(ToolError, match=f"port {port} is taken by a process of another user"):
            listener_on(port, "x")


@needs("gcc")
async def test_a_failed_start_brings_back_what_ran_before(program: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with running(program, port):
        for argv, said in (
            (("/does/not/exist",), "there is no program /does/not/exist"),
            ((sys.executable, "-c", "raise SystemExit('bad configuration')"), "with code 1: bad configuration"),
        ):
            backend = LocalBackend(LocalService("x", argv, url), tmp_path)
            with pytest.raises(WorkbenchError, match=said):
                await backend.start("none")
            assert await answers(url)
            assert not backend.owes
        # and so does one that is cancelled
        backend = LocalBackend(LocalService("x", (sys.executable, "-c", "import time; time.sleep(600)"), url), tmp_path)
        task = asyncio.create_task(backend.start("none"))
        await eventually(lambda: backend.running)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await answers(url)


@needs("gcc")
async def test_what_cannot_be_brought_back_is_said_and_can_be_tried_again(program: Path, tmp_path: Path) -> None:
    port = free_port()
    own = tmp_path / "own"
    own.write_bytes(program.read_bytes())
    own.chmod(0o755)
    async with running(own, port, "", SIGNER_KEY=SECRET):
        backend = LocalBackend(c_service(program, port), tmp_path)
        await backend.start("none")
        own.rename(tmp_path / "moved")
        await backend.stop()
        with pytest.raises(TargetError, match=r"process \d+, own\) cannot be started: No such file"):
            await backend.restore()
        assert backend.owes
        (tmp_path / "moved").rename(own)
        assert await backend.restore()
        assert not backend.owes
        assert await backend.restore() is False


@needs("gcc")
async def test_another_service_on_the_port_is_not_taken_for_what_ran_before(program: Path, tmp_path: Path) -> None:
    port = free_port()
    async with running(program, port):
        backend = LocalBackend(c_service(program, port), tmp_path)
        await backend.start("none")
        await backend.stop()
        async with running(program, port, "", "--key", SECRET) as other:
            with pytest.raises(TargetError, match=rf"process {other.pid}, service, has its port") as told:
                await backend.restore()
            assert SECRET not in str(told.value)
        await eventually(lambda: listener(port) is None)
        assert await backend.restore()


@needs("strace", "gcc")
async def test_a_service_that_does_not_stop_is_killed_and_that_is_said(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port(), "stubborn")
    backend = LocalBackend(service, tmp_path)
    async with profiling_session("strace", backend, tmp_path, stop_timeout_s=0.3) as session:
        await work(service, 1)
    (ended,) = session.ended
    assert ended.killed
    assert (tmp_path / "service" / "strace" / "strace.log").stat().st_size


@needs("valgrind", "gcc")
async def test_a_tool_that_had_to_be_killed_left_nothing_and_that_is_an_error(program: Path, tmp_path: Path) -> None:
    backend = LocalBackend(c_service(program, free_port(), "stubborn"), tmp_path)
    session = Session("callgrind", backend, tmp_path)
    await session.start()
    pipes = f"vgdb-pipe-*-{await backend.pid('service')}-by-*"
    assert list(Path(tempfile.gettempdir()).glob(pipes))
    with pytest.raises(ToolError, match=r"callgrind\.out: valgrind wrote nothing: it had to be killed after \d+ s"):
        await session.stop(0.3)
    await session.restore()
    assert not list(Path(tempfile.gettempdir()).glob(pipes))


@needs("gcc")
async def test_a_number_that_went_to_another_process_is_not_the_service(program: Path, tmp_path: Path) -> None:
    backend = LocalBackend(c_service(program, free_port()), tmp_path, lifeline=False)
    await backend.start("none")
    facts = backend.to_json()
    facts["programs"][0]["running"]["born"] -= 100
    stale = LocalBackend.from_json(facts)
    assert await stale.condition("service") == "has ended: it wrote nothing"
    await stale.stop()
    assert await backend.condition("service") == ""
    found = LocalBackend.from_json(json.loads(json.dumps(backend.to_json())))
    assert await found.condition("service") == ""
    await found.stop()
    assert "has ended" in await backend.condition("service")
    with pytest.raises(psutil.NoSuchProcess):
        birth(2**22 + 5)


async def test_children_of_a_service_end_with_it(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).wait()"
    backend = LocalBackend(LocalService("x", (sys.executable, "-c", script)), tmp_path)
    await backend.start("none")
    process = psutil.Process(await backend.pid("x"))
    await eventually(lambda: len(process.children()) == 1)
    (child,) = process.children()
    await backend.stop()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    backend = LocalBackend(LocalService("x", ("true",)), tmp_path)
    with pytest.raises(ToolError, match=r"sh did not answer within 0\.2 s"):
        await backend.execute("x", "sh", "-c", "sleep 600; true", timeout_s=0.2)
    task = asyncio.create_task(backend.execute("x", "sh", "-c", "sleep 600; true"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ToolError, match="sh failed: no such thing"):
        await backend.execute("x", "sh", "-c", "echo no such thing >&2; exit 3")
    with pytest.raises(ToolError, match="nowhere is not installed"):
        await backend.execute("x", "nowhere")


async def test_logs_and_outputs_of_an_earlier_session_are_kept(tmp_path: Path) -> None:
    for number in range(3):
        backend = LocalBackend(
            LocalService("x", (sys.executable, "-uc", f"print({number}); import time; time.sleep(600)")), tmp_path
        )
        await backend.start("none")
        await eventually(lambda: backend.output("x") == f"{number}\n")  # noqa: B023  awaited here
        await backend.stop()
    logs = [path.read_text() for path in (tmp_path / "x" / "none").glob("service*.log")]
    assert sorted(text[0] for text in logs) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/"])
def test_a_service_is_a_folder_of_out_and_nowhere_else(name: str) -> None:
    with pytest.raises(ToolError, match="cannot be the name of a service"):
        LocalService(name, ("true",))


async def test_wrong_arguments_of_profiling(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for error, said, arguments in (
        (SettingsError, "there is no profiler mode", {"mode": "perf"}),
        (ToolError, "massif cannot be attached", {"mode": "massif", "attach": True}),
        (SettingsError, "are settings of the stand-in", {"mode": "none", "service": ["true"], "rate": 3}),
        (SettingsError, "a compose file and a service", {"mode": "none", "service": ["true"], "compose": "x.yml"}),
        (RunFolderError, "cannot make the folder", {"mode": "none", "out": tmp_path / "file" / "out"}),
        (SettingsError, "is not the URL", {"mode": "none", "service": ["true"], "health_url": "here", "out": tmp_path}),
    ):
        with pytest.raises(error, match=said):
            async with workbench.profiling(**arguments):  # type: ignore[arg-type]
                pass


async def test_work_goes_on_to_its_end_when_the_caller_is_cancelled() -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), []

    async def job(fails: bool) -> str:
        begun.set()
        await go.wait()
        done.append(fails)
        if fails:
            raise ToolError("failed")
        return "result"

    for fails in (False, True):
        begun.clear(), go.clear()
        task = asyncio.create_task(to_the_end(job(fails)))
        await begun.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == [False, True]
    assert await to_the_end(job(False)) == "result"
    with pytest.raises(ToolError):
        await to_the_end(job(True))


HOLDER = """
import asyncio, sys
from pathlib import Path
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.session import Session, profiling_session

async def main():
    mode, out, port, *argv = sys.argv[1:]
    service = LocalService("service", tuple(argv), f"http://127.0.0.1:{port}/")
    async with profiling_session(mode, LocalBackend(service, Path(out)), Path(out)) as session:
        async with session.window("open"):
            print("ready", flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


def holder(mode: str, out: Path, port: int, *argv: object) -> subprocess.Popen[str]:
    """A program that has a session with an open window, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, mode, str(out), str(port), *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


@needs("valgrind", "gcc")
async def test_kill_9_of_a_program_with_a_session_ends_the_service_in_order(program: Path, tmp_path: Path) -> None:
    """Also a service that knows nothing of it; and what ran before is back, with its environment."""
    port = free_port()
    async with running(program, port, SIGNER_KEY=SECRET) as before:
        process = holder("callgrind", tmp_path, port, program, port)
        assert before.wait(10) == 0
        process.send_signal(signal.SIGKILL)
        process.communicate()
        output = tmp_path / "service" / "callgrind" / "callgrind.out"
        await eventually(lambda: output.exists() and b"\ntotals:" in output.read_bytes(), 60)
        await eventually(lambda: has_port(program, port), 60)
        after = listener(port)
        assert after is not None
        assert after.environ()["SIGNER_KEY"] == SECRET


@needs("valgrind", "gcc")
async def test_ctrl_c_in_a_window_keeps_it_and_stops_in_order(program: Path, tmp_path: Path) -> None:
    port = free_port()
    process = holder("callgrind", tmp_path, port, program, port)
    await work(f"http://127.0.0.1:{port}/", 3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert errors.strip().splitlines()[-1] == "KeyboardInterrupt"
    folder = tmp_path / "service" / "callgrind"
    assert {"callgrind.out", "open.callgrind.out", "open.window.json"} <= set(os.listdir(folder))
    assert listener(port) is None

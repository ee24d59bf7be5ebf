"""What goes wrong under a profiler: what is said, what is left, how one goes on. docs/faults.md names these tests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import workbench
from tests.ports import free_port
from tests.profilers.services import SYSCALLS, answers, c_service, needs, work
from tests.profilers.test_local import has_port, holder, listener, running
from tests.profilers.test_shell import PROFILE, folder, profile, start_c, syscalls
from tests.standin.conftest import eventually
from tests.sweep.test_sweep import wait_for_progress
from workbench.errors import EXIT_TOOL, ToolError, WorkbenchError
from workbench.profilers.backends.local import LocalBackend
from workbench.profilers.backends.processes import runs
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.windows import scene
from workbench.profilers.windows.read import window_profile
from workbench.profilers.windows.record import windows_in
from workbench.profiles.read import read_callgrind, read_strace
from workbench.profiles.views.syscalls import calls_of

pytestmark = pytest.mark.slow

__all__ = ["folder"]
ROOT = Path(__file__).parents[2]


def work_calls(path: Path) -> int:
    functions = read_callgrind(path).functions
    return int(functions.loc[functions["function"] == "work", "calls"].sum())


# --- killed tool, killed service -------------------------------------------------------------------------------------


@needs("valgrind", "gcc")
@pytest.mark.parametrize("mode", ["callgrind", "massif"])
async def test_valgrind_killed_in_a_window(program: Path, tmp_path: Path, mode: str) -> None:
    port = free_port()
    async with running(program, port):
        service = c_service(program, port)
        backend = LocalBackend(service, tmp_path)
        session = Session(mode, backend, tmp_path)  # type: ignore[arg-type]
        await session.start()
        async with session.window("before"):
            await work(service, 2)
        await session.begin("cut")
        psutil.Process(await backend.pid("service")).kill()
        await eventually(lambda: listener(port) is None)
        with pytest.raises(ToolError, match=r"service: has ended: .*Its log is in .*service\.log"):
            await session.end()
        with pytest.raises(ToolError, match=rf"{mode}\.out: valgrind wrote nothing"):
            await session.stop()
        await session.restore()
        # the window before is whole, and what ran before the session is back
        assert [window.name for window in windows_in(tmp_path)] == ["before"]
        assert window_profile(windows_in(tmp_path)[0]).total() >= 0
        assert session.restored
        assert has_port(program, port)
    # going on: the same folder, the same name
    backend = LocalBackend(c_service(program, port), tmp_path)
    async with profiling_session(mode, backend, tmp_path) as session, session.window("cut"):  # type: ignore[arg-type]
        await work(service, 1)
    assert [window.name for window in windows_in(tmp_path)] == ["before", "cut"]


class Mute(LocalBackend):
    """Its profiled program is stopped, so that it cannot answer, when it is first talked to once ``armed``."""

    armed = False

    async def execute(self, service: str, *command: str, timeout_s: float = 60.0) -> str:
        if self.armed:
            psutil.Process(await self.pid(service)).suspend()
            self.armed = False
        return await super().execute(service, *command, timeout_s=timeout_s)


@needs("valgrind", "gcc")
@pytest.mark.parametrize(("mode", "moment"), [("callgrind", "begins"), ("callgrind", "ends"), ("massif", "ends")])
async def test_valgrind_killed_as_a_window_begins_or_ends(
    program: Path, tmp_path: Path, mode: str, moment: str
) -> None:
    """Who waits for its answer is told that it has ended; the time limit of the answer is two minutes."""
    backend = Mute(c_service(program, free_port()), tmp_path)
    session = Session(mode, backend, tmp_path)  # type: ignore[arg-type]
    await session.start()
    valgrind, mine = psutil.Process(await backend.pid("service")), psutil.Process()
    if moment == "ends":
        await session.begin("cut")
    backend.armed = True
    asked = asyncio.create_task(session.begin("cut") if moment == "begins" else session.end())
    await eventually(lambda: any("vgdb" in child.name() for child in mine.children(recursive=True)))
    valgrind.kill()
    async with asyncio.timeout(60):
        with pytest.raises(ToolError, match=r"service: has ended"):
            await asked
    assert not any("vgdb" in child.name() for child in mine.children(recursive=True))
    with pytest.raises(ToolError, match="valgrind wrote nothing"):
        await session.stop()
    await session.restore()


@needs("strace", "gcc")
async def test_strace_killed_in_a_window(folder: Path, program: Path) -> None:
    """The service goes on without it; stop ends both and the log is kept."""
    url = start_c(folder, program, free_port())
    profile("window", "before", "--seconds", 0, "--folder", folder)
    profile("window", "cut", "--folder", folder)
    await work(url, 2)
    running = json.loads((folder / "session.json").read_text())["backend"]["programs"][0]["running"]
    (log,) = folder.rglob("strace.log")
    await eventually(lambda: log.read_text().count("getppid") == 2 * SYSCALLS)
    psutil.Process(running["pid"]).kill()
    await eventually(lambda: not psutil.pid_exists(running["pid"]))
    assert await answers(url)
    said = profile("status", "--folder", folder, code=EXIT_TOOL).stdout
    assert re.search(r"service: strace has ended, and process \d+ goes on without it", said)
    said = profile("window", "--end", "--folder", folder, code=EXIT_TOOL).stderr
    assert "goes on without it" in said
    said = profile("start", "strace", "--folder", folder, code=EXIT_TOOL).stderr
    assert "was not stopped properly" in said
    assert "goes on without it" in profile("stop", "--folder", folder).stderr
    assert not await answers(url)
    assert syscalls(folder) == {"before": 0}
    # what it had written until then can be read
    assert int((calls_of(read_strace(log))["syscall"] == "getppid").sum()) == 2 * SYSCALLS


@needs("strace", "gcc")
async def test_strace_killed_while_attached(program: Path, tmp_path: Path) -> None:
    """The service does not notice; the window is kept and says so, and the next one is whole."""
    service = c_service(program, free_port())
    backend = LocalBackend(service, tmp_path)
    async with profiling_session("strace", backend, tmp_path, attach=True) as session:
        pid = await backend.pid("service")
        async with session.window("cut") as found:
            await work(service, 2)
            tracer = int(re.findall(r"TracerPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text())[0])
            (log,) = tmp_path.rglob("cut.strace.log")
            await eventually(lambda: log.read_text().count("getppid") == 2 * SYSCALLS)
            psutil.Process(tracer).kill()
            await eventually(lambda: f"TracerPid:\t{tracer}" not in Path(f"/proc/{pid}/status").read_text())
        (window,) = found.windows
        assert window.notes == ("strace ended before the window did: its log lacks the rest",)
        async with session.window("after") as found:
            await work(service, 3)
        assert await backend.pid("service") == pid
    assert found.windows[0].notes == ()
    counts = [int((calls_of(window_profile(one))["syscall"] == "getppid").sum()) for one in windows_in(tmp_path)]
    assert counts == [2 * SYSCALLS, 3 * SYSCALLS]


@needs("strace", "gcc")
async def test_the_service_killed_in_a_window(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    backend = LocalBackend(service, tmp_path)

    async def killed() -> None:
        async with profiling_session("strace", backend, tmp_path) as session, session.window("cut"):
            await work(service, 2)
            process = psutil.Process(await backend.pid("service"))
            tool = process.parent()
            process.kill()
            await eventually(lambda: tool is not None and not runs(tool))

    with pytest.raises(ToolError, match="service: has ended"):
        await killed()
    log = tmp_path / "service" / "strace" / "strace.log"
    assert log.read_text().rstrip().endswith("+++ killed by SIGKILL +++")
    assert int((calls_of(read_strace(log))["syscall"] == "getppid").sum()) == 2 * SYSCALLS


@needs("valgrind", "gcc")
async def test_a_service_that_ended_by_itself_left_its_whole_output(folder: Path, program: Path) -> None:
    port = free_port()
    url = start_c(folder, program, port, "callgrind", "--flags=--cache-sim=no")
    await work(url, 3)
    running = json.loads((folder / "session.json").read_text())["backend"]["programs"][0]["running"]
    psutil.Process(running["pid"]).terminate()
    await eventually(lambda: not psutil.pid_exists(running["pid"]))
    assert "has ended" in profile("status", "--folder", folder, code=EXIT_TOOL).stdout
    assert "Note: service has ended" in profile("stop", "--folder", folder).stderr
    (output,) = folder.rglob("callgrind.out")
    assert work_calls(output) == 3


# --- killed workbench ------------------------------------------------------------------------------------------------


@needs("valgrind", "gcc")
async def test_workbench_killed_in_a_window(program: Path, tmp_path: Path) -> None:
    """The service ends in order, its tool writes, and what ran before is back."""
    port = free_port()
    async with running(program, port):
        process = holder("callgrind", tmp_path, port, program, port)
        await work(f"http://127.0.0.1:{port}/", 3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        await eventually(lambda: has_port(program, port), 60)
        # the window was open: what it had counted is in the whole life's file
        assert work_calls(tmp_path / "service" / "callgrind" / "callgrind.out") == 3
        assert windows_in(tmp_path) == []


STANDIN = """
import asyncio, workbench

async def main():
    async with workbench.profiling("strace", out="profiles") as session:
        print(session.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@needs("strace")
async def test_workbench_killed_over_the_standin() -> None:
    process = subprocess.Popen([sys.executable, "-c", STANDIN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert await answers(f"{url}/")
    process.kill()
    process.communicate()
    log = Path("profiles") / "standin" / "strace" / "strace.log"
    await eventually(lambda: log.read_text().rstrip().endswith("+++ exited with 0 +++"), 60)
    assert not await answers(f"{url}/")


@needs("strace", "gcc")
async def test_the_command_killed_while_it_starts_a_service(folder: Path, program: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with running(program, port):
        # the service never answers, so the start waits
        script = "import time; print('starting', flush=True); time.sleep(600)"
        arguments = ["start", "strace", "--folder", folder, "--health-url", url, "--", sys.executable, "-c", script]
        command = subprocess.Popen([*PROFILE, *map(str, arguments)])
        await eventually(lambda: any("starting" in path.read_text() for path in folder.rglob("service.log")), 60)
        command.kill()
        command.wait()
        said = profile("status", "--folder", folder, code=EXIT_TOOL).stdout
        assert said.startswith("starting: mode strace")
        assert "not reachable" in said
        assert "not stopped properly" in profile("start", "strace", "--folder", folder, code=EXIT_TOOL).stderr
        profile("stop", "--folder", folder)
        assert "what ran before answers again" in profile("restore", "--folder", folder).stdout
        assert has_port(program, port)


@needs("strace", "gcc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
async def test_the_command_killed_while_it_stops_a_service(folder: Path, program: Path, sent: int) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    profile("start", "strace", "--folder", folder, "--health-url", url, "--", program, port, "stubborn")
    command = subprocess.Popen([*PROFILE, "stop", "--folder", str(folder)], stderr=subprocess.PIPE)
    await eventually(lambda: json.loads((folder / "session.json").read_text())["state"] == "stopping", 60)
    command.send_signal(sent)
    command.communicate()
    assert profile("status", "--folder", folder).stdout.startswith("stopping: mode strace")
    assert "the session is stopping" in profile("restore", "--folder", folder, code=EXIT_TOOL).stderr
    said = profile("stop", "--folder", folder, "--stop-timeout-s", "0.2", code=EXIT_TOOL).stdout
    assert "was killed: its output may be incomplete" in said
    profile("restore", "--folder", folder)


# The step in the middle takes four seconds: progress is told once a second, and must be seen before the step is over.
SWEEP = """
import asyncio, sys, workbench
asyncio.run(workbench.sweep(
    receipts="10,40,10", rate=10.0, runs_dir="runs", run_dir=sys.argv[1], profiler="callgrind",
    paired=False, warm_up_receipts=0, pinpoint=False, idle_s=1.0,
))
"""


@needs("valgrind")
async def test_a_profiled_sweep_killed_in_mid_step_is_resumed() -> None:
    run_folder = Path("runs/killed").absolute()
    process = subprocess.Popen([sys.executable, "-c", SWEEP, str(run_folder)], stderr=subprocess.PIPE)
    try:
        await asyncio.to_thread(wait_for_progress, run_folder, 2, process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    finally:
        process.kill()
        process.communicate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == [], "a process of a killed run went on"
    profiles = run_folder / "profiles"
    assert [window.name for window in windows_in(profiles)] == ["step-001"]
    assert b"\ntotals:" in (profiles / "standin" / "callgrind" / "callgrind.out").read_bytes()
    run = await workbench.sweep(resume=run_folder)
    assert run.manifest["state"] == "finished"
    windows = windows_in(profiles)
    assert [window.name for window in windows] == ["step-001", "step-002", "step-003", "idle"]
    first, _, last, _ = (window_profile(window).total("Ir") for window in windows)
    assert last == pytest.approx(first, rel=0.5)  # of a step of as many receipts, and not of two
    # the whole life's file of the killed session is not overwritten
    assert len(list((profiles / "standin" / "callgrind").glob("callgrind*.out"))) == 2


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return filler


@needs("gcc")
@pytest.mark.parametrize("mode", ["callgrind", "massif", "strace", "attach"])
async def test_a_disk_that_fills_in_a_window(
    program: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The window is refused and nothing of it is taken for whole; with room again the session goes on."""
    monkeypatch.setattr(scene, "LEAST_FREE_BYTES", 1024 * 1024)
    monkeypatch.setattr("workbench.profilers.tools.strace._LATER_TIMEOUT_S", 3.0)
    service = c_service(program, free_port())
    backend = LocalBackend(service, small_disk)
    attach = mode == "attach"
    tool = "strace" if attach else mode
    async with profiling_session(tool, backend, small_disk, attach=attach) as session:  # type: ignore[arg-type]
        async with session.window("before"):
            await work(service, 2)
        await session.begin("cut")
        filler = fill(small_disk)
        await work(service, 2)
        with pytest.raises(WorkbenchError) as told:
            await session.end()
        filler.unlink()
        assert re.search(r"[Dd]isk|space", str(told.value)), told.value
        assert [window.name for window in windows_in(small_disk)] == ["before"]
        filler = fill(small_disk)
        with pytest.raises(ToolError, match="are free, but a window needs up to"):
            await session.begin("refused")
        filler.unlink()
        async with session.window("after") as found:
            await work(service, 3)
        assert found.profiles[0].total() >= 0
    assert [window.name for window in windows_in(small_disk)] == ["before", "after"]
    assert not session.ended[0].killed


async def test_a_disk_too_full_for_a_window_is_said_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "LEAST_FREE_BYTES", 2**60)
    with pytest.raises(ToolError, match=r"only [\d,]+ KiB are free, but a window needs up to [\d,]+"):
        scene.require_room(tmp_path)


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_test_that_the_table_names_exists() -> None:
    text = (ROOT / "docs" / "faults.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 20
    assert named - defined == set()
    assert [path for path in files if not (ROOT / path).is_file()] == []


def test_every_fault_has_a_test() -> None:
    tables = [
        part for part in (ROOT / "docs" / "faults.md").read_text("utf-8").split("\n\n") if part.startswith("| fault")
    ]
    rows = [row for table in tables for row in table.splitlines()[2:]]
    assert len(rows) > 100
    assert [row for row in rows if not re.search(r"`(test_\w+|tests/[\w/]+\.py)`", row)] == []


def test_every_fault_here_is_in_the_table() -> None:
    text = (ROOT / "docs" / "faults.md").read_text("utf-8")
    here = re.findall(r"^async def (test_\w+)", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert [name for name in here if f"`{name}`" not in text] == []
    assert os.path.basename(__file__) == "test_faults.py"

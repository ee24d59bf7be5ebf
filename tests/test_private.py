"""Files outside a run folder: no link is followed, nothing is cut off, and what the dead leave is swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from workbench import private
from workbench.errors import RunFolderError
from workbench.profilers.tools.chosen import tool_of
from workbench.runs.alone import alone_on_this_machine
from workbench.runs.folder import RunFolder, exclusive

HOLDS = "from workbench.private import temporary_folder as f\nwith f('notebook') as p: print(p, flush=True); input()"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, as everybody has it."""
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


async def held() -> None:
    async with alone_on_this_machine():
        pass


async def test_the_lock_of_the_machine_is_where_only_this_user_writes(shared):
    await held()
    (made,) = shared.iterdir()
    assert made.stat().st_mode & 0o777 == 0o700
    (lock,) = made.iterdir()
    assert lock.stat().st_mode & 0o777 == 0o600
    assert lock.read_text() == f"{os.getpid():<19}\n"


async def test_the_lock_is_in_the_runtime_folder_of_the_user_where_there_is_one(shared, tmp_path, monkeypatch):
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    await held()
    assert [path.name for path in runtime.iterdir()] == [f"indexer-workbench-{os.getuid()}.lock"]
    for unfit in (tmp_path, tmp_path / "absent", Path("relative")):  # others can enter it, or it is none
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(unfit))
        assert private.lock_folder() == private.folder()


@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling", "pipe", "folder"])
async def test_what_lies_in_wait_for_the_lock_is_not_touched(shared, kind):
    victim = shared / "victim"
    victim.write_text("of value")
    path = private.folder() / f"indexer-workbench-{os.getuid()}.lock"
    if kind == "symbolic":
        path.symlink_to(victim)
    elif kind == "hard":
        path.hardlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(shared / "new")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(RunFolderError) as refused:
        await held()
    assert str(path) in str(refused.value)
    assert victim.read_text() == "of value"
    assert not (shared / "new").exists()


@pytest.mark.parametrize("kind", ["link", "open", "file"])
async def test_a_folder_that_somebody_else_could_have_made_is_refused(shared, kind):
    path = shared / f"indexer-workbench-{os.getuid()}"
    if kind == "link":
        (shared / "elsewhere").mkdir(0o700)
        path.symlink_to(shared / "elsewhere")
    elif kind == "open":
        path.mkdir()
        path.chmod(0o755)
    else:
        path.write_text("")
    with pytest.raises(RunFolderError, match="TMPDIR"):
        await held()
    assert not list((shared / "elsewhere").glob("*"))


async def test_a_lock_of_a_run_folder_follows_no_link_and_cuts_nothing_off(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("of value")
    (tmp_path / ".lock").symlink_to(victim)
    with pytest.raises(RunFolderError, match="link"):
        async with exclusive(tmp_path / ".lock", "taken", wait_s=0):
            pass
    assert victim.read_text() == "of value"


async def test_who_has_a_lock_is_named(tmp_path):
    (tmp_path / "lock").write_text("a line of an older version, which was longer than the number")
    async with exclusive(tmp_path / "lock", "taken", wait_s=0):
        with pytest.raises(RunFolderError, match=rf"taken \(process {os.getpid()}\)"):
            async with exclusive(tmp_path / "lock", "taken", wait_s=0):
                pass


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not(shared):
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        dead, living = (Path(process.stdout.readline().strip()) for process in processes if process.stdout)
        (dead / "left").write_text("x")
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        with private.temporary_folder("standin") as mine:
            assert {path.name for path in private.folder().iterdir()} == {living.name, mine.name}
            assert mine.stat().st_mode & 0o777 == 0o700
        processes[1].communicate("\n")
        assert list(private.folder().iterdir()) == []
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_half_written_files_of_a_killed_run_are_swept_when_it_is_gone_on_with(tmp_path):
    run, dead = RunFolder.at(tmp_path / "run"), dead_process()
    left = [run.path / f".notebook.{dead}.running.ipynb", run.path / "samples" / f".step-001.parquet.{dead}.tmp"]
    kept = [run.path / f".notebook.{os.getpid()}.running.ipynb", run.path / "notebook.ipynb", run.path / ".hidden.tmp"]
    for path in (*left, *kept):
        path.write_text("x")
    async with run.locked():
        assert not any(path.exists() for path in left)
        assert all(path.exists() for path in kept)


def test_pipes_of_a_killed_valgrind_are_swept_at_the_next_start(shared):
    dead = [shared / f"vgdb-pipe-{kind}-{dead_process()}-by-me-on-host" for kind in ("to-vgdb-from", "shared-mem-vgdb")]
    living = shared / f"vgdb-pipe-to-vgdb-from-{os.getpid()}-by-me-on-host"
    for path in (*dead, living):
        os.mkfifo(path)
    tool_of("callgrind").sweep()
    assert not any(path.exists() for path in dead)
    assert living.exists()

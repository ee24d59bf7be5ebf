"""Windows of two services at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.profilers.services import LEAK_BYTES, SYSCALLS, c_service, needs, work
from tests.profilers.test_windows import calls, cost, under
from workbench.errors import ToolError
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.modes import Mode
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.windows.read import edges, window_profile
from workbench.profilers.windows.record import Window, windows_in
from workbench.profiles.views.heap import allocation_sites


@needs("strace", "gcc")
async def test_a_window_of_two_services_is_a_window_each(program: Path, tmp_path: Path) -> None:
    one = replace(c_service(program, free_port()), name="one")
    other = replace(c_service(program, free_port()), name="other")
    pair = LocalBackend([one, other], tmp_path)
    session = Session("strace", pair, tmp_path, attach=True)
    await session.start()
    async with session.window("both") as found:
        await work(one, 2)
        await work(other, 3)
    counts = {
        window.service: calls(profile, "getppid") for window, profile in zip(found.windows, found.profiles, strict=True)
    }
    assert counts == {"one": 2 * SYSCALLS, "other": 3 * SYSCALLS}
    # one of them dies in a window: the other's part is kept
    await session.begin("half")
    await work(other, 4)
    psutil.Process(await pair.pid("one")).kill()
    await session.end()
    await work(other, 1)
    # and a window that cannot be begun for one is open for none
    with pytest.raises(ToolError, match="one: has ended"):
        await session.begin("none")
    assert session.open_name is None
    pid = await pair.pid("other")
    assert "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text()
    await pair.stop()
    await pair.start("none")
    # strace cannot write for the second: the first one's is taken back
    blocker = tmp_path / "other" / "none" / "late.strace.log"
    blocker.mkdir()
    with pytest.raises(ToolError, match="cannot attach"):
        await session.begin("late")
    blocker.rmdir()
    assert "TracerPid:\t0\n" in Path(f"/proc/{await pair.pid('one')}/status").read_text()
    assert [window.name for window in windows_in(tmp_path)].count("late") == 0
    async with session.window("late"):
        pass
    await session.stop()
    await session.restore()


@needs("valgrind", "gcc")
@pytest.mark.parametrize("mode", ["callgrind", "massif"])
async def test_two_services_under_valgrind_have_a_window_each(program: Path, tmp_path: Path, mode: Mode) -> None:
    pair = [replace(c_service(program, free_port()), name=name) for name in ("one", "other")]
    backend = LocalBackend(pair, tmp_path)
    async with profiling_session(mode, backend, tmp_path) as session, session.window("both") as found:
        await work(pair[0], 2)
        await work(pair[1], 3)
    counts = {}
    for window in found.windows:
        if mode == "callgrind":
            counts[window.service] = cost(window_profile(window), "work", "calls")
        else:
            sites = allocation_sites(edges(window)[1])
            counts[window.service] = int(sites.loc[sites["function"] == "leak", "bytes"].sum()) // LEAK_BYTES
    assert counts == {"one": 2, "other": 3}


@needs("valgrind", "strace", "gcc")
async def test_two_sessions_in_one_loop_share_nothing(program: Path, tmp_path: Path) -> None:
    one, other = c_service(program, free_port()), c_service(program, free_port())

    async def profile(mode: Mode, service: LocalService, times: int) -> Window:
        async with under(mode, service, tmp_path / mode) as session, session.window("step") as found:
            await work(service, times)
        return found.windows[0]

    first, second = await asyncio.gather(profile("callgrind", one, 6), profile("strace", other, 9))
    assert cost(window_profile(first), "work", "calls") == 6
    assert calls(window_profile(second), "getppid") == 9 * SYSCALLS

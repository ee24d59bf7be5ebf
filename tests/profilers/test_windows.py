"""Windows of each mode: in each is all of its step and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import pytest

import workbench
from tests.ports import free_port
from tests.profilers.services import (
    LEAK_BYTES,
    PYTHON_SERVICE,
    SYSCALLS,
    c_service,
    needs,
    python_service,
    work,
)
from workbench.errors import ReadError, ToolError
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.modes import Mode
from workbench.profilers.session import Cut, Session, profiling_session
from workbench.profilers.tools.strace_log import mark_of, offset_of
from workbench.profilers.windows.read import edges, window_profile, window_profiles
from workbench.profilers.windows.record import Window, read_window, windows_in
from workbench.profiles.model import Profile
from workbench.profiles.read import read_callgrind, read_massif, read_strace
from workbench.profiles.views.heap import allocation_sites
from workbench.profiles.views.syscalls import calls_of

REQUESTS = (10, 10, 25)


@asynccontextmanager
async def under(mode: Mode, service: LocalService, out: Path, **options: object) -> AsyncIterator[Session]:
    backend = LocalBackend(service, out)
    async with profiling_session(mode, backend, out, **options) as session:  # type: ignore[arg-type]
        yield session


async def cut(session: Session, service: LocalService, requests: tuple[int, ...] = REQUESTS) -> list[Window]:
    """A window for each number of requests, and some work between them that is in none."""
    windows = []
    for number, times in enumerate(requests):
        await work(service, 2)
        async with session.window(f"step-{number:03d}") as found:
            await work(service, times)
        windows += found.windows
    return windows


def cost(profile: Profile, function: str, column: str) -> int:
    functions = profile.functions
    return int(functions.loc[functions["function"] == function, column].sum())


# --- callgrind -----------------------------------------------------------------------------------------------------


@needs("valgrind", "gcc")
async def test_callgrind_windows_hold_their_step_and_add_up_to_the_whole(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("callgrind", service, tmp_path / "windows") as session:
        windows = await cut(session, service)
    whole_service = c_service(program, free_port())
    async with under("callgrind", whole_service, tmp_path / "whole", flags=[]) as session:
        await work(whole_service, sum(REQUESTS))
    whole = read_callgrind(tmp_path / "whole" / "service" / "callgrind" / "callgrind.out")
    profiles = window_profiles(windows)
    assert [cost(profile, "work", "calls") for profile in profiles] == list(REQUESTS)
    # the work of a request is the same number of instructions each time
    spent = [cost(profile, "work", "self_Ir") for profile in profiles]
    assert len({total // times for total, times in zip(spent, REQUESTS, strict=True)}) == 1
    assert sum(spent) == cost(whole, "work", "self_Ir")
    first, second, _ = (profile.total("Ir") for profile in profiles)
    assert second == pytest.approx(first, rel=0.03)
    # the guide's flags: caches, branches, system calls
    assert {"Ir", "D1mr", "Bcm", "sysCount"} <= {metric.name for metric in profiles[0].metrics}
    # what start-up cost is in none of them
    assert cost(profiles[0], "main", "total_Ir") < cost(whole, "main", "total_Ir")
    assert "bind" not in set(profiles[0].functions["function"])


@needs("valgrind", "gcc")
async def test_callgrind_flags_of_ones_own_replace_the_guides(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("callgrind", service, tmp_path, flags=["--instr-atstart=no"]) as session:
        (window,) = await cut(session, service, (5,))
    profile = window_profile(window)
    assert [metric.name for metric in profile.metrics] == ["Ir"]
    assert cost(profile, "work", "calls") == 5


@needs("valgrind", "gcc")
async def test_a_dump_that_a_killed_process_left_is_not_taken_for_the_windows(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    folder = tmp_path / "service" / "callgrind"
    folder.mkdir(parents=True)
    (folder / "callgrind.out.1").write_text("cut off")
    async with under("callgrind", service, tmp_path) as session:
        (window,) = await cut(session, service, (3,))
    assert cost(window_profile(window), "work", "calls") == 3
    assert (folder / "left-over-callgrind.out.1").read_text() == "cut off"


# --- massif --------------------------------------------------------------------------------------------------------


@needs("valgrind", "gcc")
async def test_massif_edges_tell_what_a_step_kept(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("massif", service, tmp_path) as session:
        windows = await cut(session, service)
    for window, times in zip(windows, REQUESTS, strict=True):
        begin, end = edges(window)
        before, after = (
            int(sites.loc[sites["function"] == "leak", "bytes"].sum())
            for sites in (allocation_sites(begin), allocation_sites(end))
        )
        assert after - before == times * LEAK_BYTES
        assert window_profile(window).total() == end.total()
    series = read_massif(windows[-1].path("series"))
    assert len(series.tables["snapshots"]) > len(read_massif(windows[0].path("series")).tables["snapshots"])
    assert (tmp_path / "service" / "massif" / "massif.out").stat().st_size


# --- strace --------------------------------------------------------------------------------------------------------


def calls(profile: Profile, syscall: str) -> int:
    return int((calls_of(profile)["syscall"] == syscall).sum())


@needs("strace", "gcc")
@pytest.mark.parametrize("flags", [None, ["-f", "-ttt", "-T"], ["-tt", "-T"]], ids=["guide", "epoch", "no-tasks"])
async def test_strace_windows_are_disjoint_parts_of_the_log(
    program: Path, tmp_path: Path, flags: list[str] | None
) -> None:
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path, flags=flags) as session:
        windows = await cut(session, service)
    assert all(window.files == {} for window in windows)
    profiles = window_profiles(windows)
    assert [calls(profile, "getppid") for profile in profiles] == [times * SYSCALLS for times in REQUESTS]
    bounds = [edge for window in windows for edge in (window.started_ns, window.ended_ns)]
    assert bounds == sorted(bounds)
    # a call is in one window or in none: together with what lies between they are the log
    facts = windows[0].facts
    log = Path(facts["log"])
    day = datetime.datetime.fromtimestamp(facts["log_started_s"] + facts["utc_offset_s"], datetime.UTC).date()
    whole = calls_of(read_strace(log, date=day, utc_offset_s=facts["utc_offset_s"]))
    begun = whole["start_ns"].to_numpy()
    inside = np.zeros(len(whole), dtype=int)
    for window in windows:
        inside += (begun >= window.started_ns) & (begun < window.ended_ns)
    assert set(inside) == {0, 1}
    assert sum(len(calls_of(profile)) for profile in profiles) == inside.sum()
    assert int((whole["syscall"] == "getppid").sum()) == (sum(REQUESTS) + 2 * len(REQUESTS)) * SYSCALLS


@needs("strace", "gcc")
async def test_strace_comes_and_goes_with_each_window(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path, attach=True) as session:
        pid = await session.backend.pid("service")
        windows = await cut(session, service)
        # the same process all the time, and nobody traces it now
        assert await session.backend.pid("service") == pid
        assert "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text()
    assert [calls(profile, "getppid") for profile in window_profiles(windows)] == [
        times * SYSCALLS for times in REQUESTS
    ]
    assert len({window.path("log") for window in windows}) == len(windows)
    assert session.ended[0].exit_code == 0


@needs("strace", "gcc")
async def test_a_strace_window_is_read_without_the_rest_of_the_log(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path) as session:
        windows = await cut(session, service)
    expected = [times * SYSCALLS for times in REQUESTS]
    assert [calls(window_profile(window), "getppid") for window in windows] == expected
    for whole, window in zip(window_profiles(windows), windows, strict=True):
        part = window_profile(window)
        assert part.total("calls") == whole.total("calls")
        assert calls_of(part)["start_ns"].tolist() == calls_of(whole)["start_ns"].tolist()
    log = Path(windows[-1].facts["log"])
    begin, end = windows[-1].facts["log_part"]
    data = log.read_bytes()
    kept = data[: windows[-1].facts["log_mark"]["bytes"]]
    # what is before and after it is nothing that strace wrote
    log.write_bytes(kept + b"\n" * (begin - len(kept)) + data[begin:end] + b"1 00:00:00 <<<\xff" * 1000)
    assert calls(window_profile(windows[-1]), "getppid") == expected[-1]


@needs("strace", "gcc")
async def test_strace_windows_can_be_read_after_later_sessions_wrote_their_logs(program: Path, tmp_path: Path) -> None:
    found = []
    for name, times in (("first", 2), ("second", 4)):
        service = c_service(program, free_port())
        async with under("strace", service, tmp_path) as session, session.window(name) as one:
            await work(service, times)
        found += one.windows
    # from their records, as another process does; and the whole folder may have been moved
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    shutil.copytree(tmp_path, moved)
    shutil.rmtree(tmp_path / "service")
    windows = windows_in(moved)
    assert [window.name for window in windows] == ["first", "second"]
    assert [calls(profile, "getppid") for profile in window_profiles(windows)] == [2 * SYSCALLS, 4 * SYSCALLS]
    for log in moved.rglob("strace*.log"):
        log.unlink()
    with pytest.raises(ReadError, match="the log of this window is missing"):
        window_profile(windows[0])


@needs("strace", "gcc")
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Pacific/Kiritimati", "America/Adak"])
async def test_the_zone_of_the_service_counts_and_not_the_shells(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    service = c_service(program, free_port(), environment={"TZ": zone})
    monkeypatch.setenv("TZ", "UTC")
    async with under("strace", service, tmp_path) as session:
        (window,) = await cut(session, service, (4,))
    assert window.facts["utc_offset_s"] % 86400 != 0
    assert calls(window_profile(window), "getppid") == 4 * SYSCALLS


def test_the_day_of_a_log_that_begins_just_after_midnight() -> None:
    """strace was started before midnight and wrote after it; the window is after it as well."""
    log = "1 00:00:00.500000 getppid()              = 0 <0.000010>\n1 00:00:02.000000 getppid() = 0 <0.000010>\n"
    midnight = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp()
    Path("strace.log").write_text(log)
    facts = {"utc_offset_s": 0, "log": str(Path("strace.log").absolute()), "log_mark": mark_of(Path("strace.log"))}
    window = Window(
        "service", "strace", "step", int((midnight + 0.4) * 1e9), int((midnight + 1) * 1e9), Path.cwd(), {},
        {**facts, "log_started_s": midnight - 0.2},
    )  # fmt: skip
    assert calls(window_profile(window), "getppid") == 1


@pytest.mark.parametrize(
    ("stamp", "utc", "expected", "offset"),
    [
        ("12:00:00", "12:00:00", 0, 0),
        ("17:45:00", "12:00:00", 0, 20700),
        ("00:10:00", "23:10:00", 3600, 3600),
        ("23:10:00", "00:10:00", -3600, -3600),
        ("02:00:00", "12:00:00", 50400, 50400),  # 14 h ahead and not 10 h behind
        ("02:00:00", "12:00:00", -36000, -36000),
    ],
)
def test_offsets_of_clocks(stamp: str, utc: str, expected: int, offset: int) -> None:
    def seconds(text: str) -> int:
        hours, minutes, rest = (int(part) for part in text.split(":"))
        return hours * 3600 + minutes * 60 + rest

    for lag in (0.0, 0.3, 5.0):
        assert offset_of(seconds(stamp) + lag, 86400.0 * 20000 + seconds(utc), expected) == offset


@needs("strace", "gcc")
async def test_strace_without_times_says_what_is_needed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.profilers.tools.strace._LATER_TIMEOUT_S", 0.5)
    service = c_service(program, free_port())
    with pytest.raises(ToolError, match=r"your own flags need -tt or -ttt"):
        async with under("strace", service, tmp_path, flags=["-f"]) as session:
            await cut(session, service, (1,))


# --- pprofile ------------------------------------------------------------------------------------------------------


async def test_pprofile_windows_are_runs_of_their_own(tmp_path: Path) -> None:
    service = python_service(tmp_path, free_port())
    async with under("pprofile", service, tmp_path / "out") as session:
        pids = {await session.backend.pid("script")}
        windows = []
        for number, times in enumerate((3, 3, 8)):
            async with session.window(f"step-{number}") as found:
                await work(service, times)
            windows += found.windows
            pids.add(await session.backend.pid("script"))
        # between windows it runs without pprofile
        assert "-m" not in await _argv(session)
    assert len(pids) == 4
    profiles = window_profiles(windows)
    loop = PYTHON_SERVICE.splitlines().index("    for number in range(200):") + 1
    lines = [profile.lines[profile.lines["file"].str.endswith("/service.py")] for profile in profiles]
    hits = [int(table.loc[table["line"] == loop, "self_hits"].sum()) for table in lines]
    # the loop's line: 200 times a request, and once when it ends
    assert hits == [3 * 201, 3 * 201, 8 * 201]
    assert profiles[1].total() == pytest.approx(profiles[0].total(), rel=0.03)


async def _argv(session: Session) -> list[str]:
    return list(psutil.Process(await session.backend.pid("script")).cmdline())


# --- names, nesting, failures ----------------------------------------------------------------------------------------


@needs("strace", "gcc")
async def test_names_of_windows_and_their_order(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path / "out") as session:
        for name in ("", "../x", "a/b", ".hidden", "-x", "a b", "é", "a\n", "x" * 65, "\0"):
            with pytest.raises(ToolError, match="cannot be the name of a window"):
                await session.begin(name)
        with pytest.raises(ToolError, match="no window is open"):
            await session.end()
        async with session.window("x" * 64):
            with pytest.raises(ToolError, match="is open"):
                await session.begin("inner")
        async with session.window("a.b_c-1"):
            pass
        with pytest.raises(ToolError, match=r"there is already a window a\.b_c-1"):
            await session.begin("a.b_c-1")
    assert [window.name for window in windows_in(tmp_path / "out")] == ["x" * 64, "a.b_c-1"]
    assert sorted(os.listdir(tmp_path)) == ["out"]
    # another session in the same folder overwrites nothing either, unless it says so
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path / "out") as session:
        with pytest.raises(ToolError, match=r"there is already a window a\.b_c-1"):
            await session.begin("a.b_c-1")
    service = c_service(program, free_port())
    async with under("strace", service, tmp_path / "out", replaces=True) as session, session.window("a.b_c-1"):
        await work(service, 1)
    (window,) = (window for window in windows_in(tmp_path / "out") if window.name == "a.b_c-1")
    assert calls(window_profile(window), "getppid") == SYSCALLS


@needs("valgrind", "gcc")
async def test_a_window_whose_body_fails_is_kept(program: Path, tmp_path: Path) -> None:
    service = c_service(program, free_port())
    async with under("callgrind", service, tmp_path) as session:
        cuts: list[Cut] = []

        async def failing(name: str, wait: asyncio.Event) -> None:
            async with session.window(name) as found:
                cuts.append(found)
                await work(service, 4)
                begun.set()
                await wait.wait()
                raise ZeroDivisionError

        begun, at_once, never = asyncio.Event(), asyncio.Event(), asyncio.Event()
        at_once.set()
        with pytest.raises(ZeroDivisionError):
            await failing("failed", at_once)
        begun.clear()
        task = asyncio.create_task(failing("cancelled", never))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [cost(found.profiles[0], "work", "calls") for found in cuts] == [4, 4]
        async with session.window("after") as after:
            await work(service, 1)
        assert cost(after.profiles[0], "work", "calls") == 1


@needs("valgrind", "gcc")
async def test_a_command_without_a_health_check_takes_windows_at_once(program: Path, tmp_path: Path) -> None:
    """Ready means that the tool can be asked: it is not yet when its process has begun."""
    port = free_port()
    service = LocalService("service", (str(program), str(port)))
    async with under("callgrind", service, tmp_path) as session, session.window("early") as found:
        pass
    assert found.profiles[0].format == "callgrind"


@needs("valgrind", "gcc")
async def test_cancelled_at_any_time_a_window_can_be_begun_again(program: Path, tmp_path: Path) -> None:
    """Valgrind waits for the rest of a talk that is broken off: it must not be."""
    service = c_service(program, free_port())
    async with under("callgrind", service, tmp_path) as session:
        for delay_s in (0.01, 0.05, 0.1, 0.2):
            task = asyncio.create_task(session.begin("cancelled"))
            await asyncio.sleep(delay_s)  # whatever it is doing then
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
                await session.end()
                break
            assert session.open_name is None
        async with session.window("after") as found:
            await work(service, 3)
        assert cost(found.profiles[0], "work", "calls") == 3


async def test_a_record_is_read_back_and_damage_is_named(tmp_path: Path) -> None:
    window = Window("service", "massif", "step", 1, 2, tmp_path, {"begin": "a"}, {"x": 1}, ("A note",))
    assert read_window(window.write()) == window
    with pytest.raises(ReadError, match="no file 'end'"):
        window.path("end")
    (tmp_path / "step.window.json").write_text('{"mode": "perf"')
    with pytest.raises(ReadError, match=r"step\.window\.json: is not the record of a window"):
        windows_in(tmp_path)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
async def test_strace_does_not_write_down_the_stand_ins_token(tmp_path: Path) -> None:
    """It writes what is read, byte by byte where a line is read so; the token is not among that, and works."""
    token = "a-token-of-the-test"
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        workbench.profiling("strace", out=tmp_path, free_query_token=token) as session,  # type: ignore[call-arg]
        aiohttp.ClientSession(headers=headers) as client,
    ):
        url = f"{session.url}/subgraphs/id/QmV4R5g7Go94bVFmKTVFG7vaMTb1ztUUWb45mNrsc7Yyqs"
        async with client.post(url, json={"query": "{ a }"}) as answer:
            assert answer.status == 200
    log = (tmp_path / "standin" / "strace" / "strace.log").read_text(errors="replace")
    read = "".join(re.findall(r'read\(0, "((?:[^"\\]|\\.)*)"', log)).replace('\\"', '"')
    assert "service_port" in read  # settings are read so
    assert "free_query_token" not in read

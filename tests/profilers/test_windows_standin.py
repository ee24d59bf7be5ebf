"""Windows of the stand-in under each profiler."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import aiohttp
import pytest

import workbench
from tests.profilers.services import needs
from tests.profilers.test_windows import calls
from workbench.errors import SettingsError
from workbench.profilers.backends.local import LocalService
from workbench.profilers.sampler.protobuf import taken_ns
from workbench.profilers.session import Session
from workbench.profilers.windows.read import edges, window_profiles
from workbench.profilers.windows.record import windows_in
from workbench.profiles.read import read_pprof
from workbench.settings import Settings

DEPLOYMENT = Settings().deployment


async def ask(session: Session, times: int) -> None:
    """Free queries, one after another: the same work each."""
    headers = {"Authorization": f"Bearer {Settings().free_query_token}"}
    async with aiohttp.ClientSession(headers=headers) as client:
        for _ in range(times):
            async with client.post(
                f"{session.url}/subgraphs/id/{DEPLOYMENT}", json={"query": "{ _meta { block { number } } }"}
            ) as response:
                assert response.status == 200, await response.text()


@needs("valgrind")
async def test_equal_windows_of_the_standin_cost_alike_under_callgrind() -> None:
    async with workbench.profiling("callgrind", out="profiles", backend_latency="constant:0") as session:
        await ask(session, 20)  # what is made at first use is not a query's cost
        async with session.window("warm-up"):
            await ask(session, 10)
        totals = []
        for number in range(2):
            async with session.window(f"step-{number}") as found:
                await ask(session, 30)
            totals.append(found.profiles[0].total("Ir"))
    assert totals[1] == pytest.approx(totals[0], rel=0.03)
    assert session.ended[0].exit_code == 0
    assert not session.ended[0].killed
    folder = Path("profiles") / "standin" / "callgrind"
    assert {"callgrind.out", "service.log", "step-0.callgrind.out", "step-0.window.json"} <= set(os.listdir(folder))
    # the whole life's file is complete too
    assert b"\ntotals:" in (folder / "callgrind.out").read_bytes()


@needs("strace")
@pytest.mark.parametrize("attach", [False, True], ids=["whole-life", "attached"])
async def test_each_query_of_the_standin_has_its_system_calls(attach: bool) -> None:
    async with workbench.profiling("strace", out="profiles", attach=attach, backend_latency="constant:0") as session:
        await ask(session, 5)
        windows = []
        for number in range(3):
            async with session.window(f"step-{number}") as found:
                await ask(session, 20)
            windows += found.windows
    # an answer is one write
    assert [calls(profile, "write") for profile in window_profiles(windows)] == [20, 20, 20]


@needs("strace")
async def test_a_load_goes_to_the_service_of_the_session() -> None:
    async with workbench.profiling("strace", out="profiles") as session, session.window("load") as found:
        result = await workbench.load(num_receipts=20, runs_dir="runs", **session.addresses)
    assert result.summary["accepted"] == 20
    assert calls(found.profiles[0], "write") >= 20


async def test_where_a_command_answers_that_says_nothing_only_its_user_knows(tmp_path: Path) -> None:
    service = [sys.executable, "-c", "import time; time.sleep(600)"]
    async with workbench.profiling("none", service=service, out=tmp_path) as session:
        with pytest.raises(SettingsError, match="the service's address is not known"):
            _ = session.addresses


@needs("valgrind")
async def test_massif_windows_of_the_standin_show_its_own_allocations() -> None:
    async with workbench.profiling("valgrind", out="profiles", backend_latency="constant:0") as session:
        async with session.window("only") as found:
            await ask(session, 5)
        assert session.mode == "massif"
    begin, end = edges(found.windows[0])
    # PYTHONMALLOC=malloc: objects one by one, and no arenas
    assert len(end.functions) > 50
    assert end.total() == pytest.approx(begin.total(), rel=0.2)


async def test_flamegraph_windows_of_the_standin_are_differences_of_its_reports() -> None:
    async with workbench.profiling("flamegraph", out="profiles", backend_latency="constant:0") as session:
        windows = []
        for number in range(3):
            async with session.window(f"step-{number}") as found:
                await ask(session, 200)
            windows += found.windows
    profiles = window_profiles(windows)
    whole = read_pprof(windows[-1].path("end"))
    # the reports at the edges are the sampler's own, asked for: nothing had to be waited for, and nothing is added
    assert [window.notes for window in windows] == [(), (), ()]
    assert 0 < sum(profile.total("samples") for profile in profiles) <= whole.total("samples")
    for window, profile in zip(windows, profiles, strict=True):
        before, after = (read_pprof(window.path(edge)).total("samples") for edge in ("begin", "end"))
        assert profile.total("samples") == after - before


def writing(name: str, script: str) -> LocalService:
    """A service that says when it is ready, and writes reports of a sampler into the folder that it is given."""
    return LocalService(
        name,
        (sys.executable, "-c", script),
        ready=lambda output: "ready" in output,
        arguments={"flamegraph": ("{folder}",)},
    )


BEHIND = """
import signal, sys, time
from pathlib import Path
from workbench.profilers.sampler.files import ReportFiles
from workbench.profilers.sampler.report import Function, Report, Stack
files, asked = ReportFiles(Path(sys.argv[1]), "behind"), []
def write(taken_ns):
    function = Function("work", "service.py", 1)
    files.write(Report((function,), (Stack("main", "", (0,), len(asked)),), 150, 1, 1, taken_ns))
signal.signal(signal.SIGUSR2, lambda *_: asked.append(time.time_ns()))
print("ready", flush=True)
done = 0
while True:
    if len(asked) > done:
        done = len(asked)
        write(asked[-1] - 60 * 10**9)  # the periodic one, which was under way when it was asked
        time.sleep(0.5)
        write(time.time_ns())
    time.sleep(0.02)
"""


async def test_a_periodic_report_under_way_is_not_taken_for_the_one_that_was_asked_for(tmp_path: Path) -> None:
    async with workbench.profiling("flamegraph", service=writing("behind", BEHIND), out=tmp_path) as session:
        moments_ns = [time.time_ns()]
        async with session.window("only") as found:
            moments_ns.append(time.time_ns())
            found.notes.append("said by whoever cut it")
            found.facts["session"] = 3
    (window,) = windows_in(tmp_path)
    assert (window.notes, window.facts["session"]) == (("said by whoever cut it",), 3)
    begin, end = (taken_ns(window.path(edge).read_bytes()) for edge in ("begin", "end"))
    assert begin is not None
    assert end is not None
    assert moments_ns[0] <= begin <= moments_ns[1] <= end


PERIODIC = """
import sys, time
from pathlib import Path
from workbench.profilers.sampler.files import ReportFiles
from workbench.profilers.sampler.report import Function, Report, Stack
files = {name: ReportFiles(Path(sys.argv[1]), name) for name in ("work", "stranger")}
began = {"work": time.time_ns(), "stranger": time.time_ns() - 3600 * 10**9}
print("ready", flush=True)
for number in range(1, 10**6):
    for name in ("stranger", "work"):
        now, stack = time.time_ns(), Stack("main", "", (0,), number)
        report = Report((Function(name, "service.py", 1),), (stack,), 150, began[name], now - began[name], now)
        files[name].write(report)
    time.sleep(0.3)
"""


async def test_reports_of_another_service_in_the_folder_are_not_taken(tmp_path: Path) -> None:
    """As upstream's folder is fixed in its code, all services of a machine write there; and it cannot be asked."""
    async with workbench.profiling("flamegraph", service=writing("periodic", PERIODIC), out=tmp_path) as session:
        for name in ("one", "two"):
            async with session.window(name) as found:
                pass
            assert "The sampler reports every 120 s" in found.windows[0].notes[0]
            assert set(found.profiles[0].functions["function"]) == {"work"}


async def test_pprofile_runs_the_standin_on_the_ports_it_had() -> None:
    async with workbench.profiling("pprofile", out="profiles", backend_latency="constant:0") as session:
        url = session.url
        async with session.window("only") as found:
            await ask(session, 3)
        await ask(session, 1)
        assert session.url == url
    assert found.profiles[0].functions["file"].str.contains("workbench/standin/").any()

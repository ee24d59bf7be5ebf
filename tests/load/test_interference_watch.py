"""Interference with a generator is seen while it happens: real disturbances, and made-up clocks and accounts."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.load.servers import GOOD, http_server, step
from workbench.load.chunks import LiveRows
from workbench.load.cpu_account import cpu_account, parse_pid_stat, parse_stat, throttled_ms, tree
from workbench.load.engines.child import child_process
from workbench.load.engines.in_process import in_process
from workbench.load.interference import HOLD_UPS_MS
from workbench.load.interference_watch import WallClock, watching_interference
from workbench.load.plan import ClosedPlan, OpenPlan
from workbench.load.spec import StepReport, StepSpec
from workbench.load.summary import StepSummary, summarise

NS = 1_000_000_000
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def summary_of(spec: StepSpec, report: StepReport) -> StepSummary:
    return summarise(LiveRows(spec.buffer), spec.plan, report)


# the event loop


async def test_a_blocked_loop_is_seen_by_its_length():
    with watching_interference() as seen:
        asyncio.get_running_loop().call_later(0.015, time.sleep, 0.05)
        await asyncio.sleep(0.1)
    found = seen.found
    assert found is not None
    assert (
        found.loop_delay_max_ms >= 39
    )  # the timer was due at most 10 ms after the loop was blocked, and 1 ms of ticks
    held = dict(zip(HOLD_UPS_MS, found.loop_held_s, strict=True))
    assert held[5] >= held[20] >= 0.039
    assert held[1000] == 0


async def test_a_loop_that_is_blocked_when_the_step_ends_was_blocked_in_it():
    with watching_interference() as seen:
        await asyncio.sleep(0)
        time.sleep(0.05)
    assert seen.found is not None
    assert seen.found.loop_delay_max_ms >= 39


async def test_a_closed_loop_has_no_lag_and_is_invalid_all_the_same(tmp_path):
    """The generator's loop stands still for 30 ms after each 50 answers; the service is not slow."""
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls % 50 == 0:
            asyncio.get_running_loop().call_later(0.001, time.sleep, 0.03)
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, ClosedPlan(500, 2), tmp_path)
        summary = summary_of(spec, await in_process(spec, None))
    assert summary.accepted == 500
    assert "of the time the event loop was held up by more than 5.0 ms" in summary.invalid


# garbage


@pytest.mark.slow
async def test_a_collection_is_counted_with_its_length():
    kept, hooks = [[] for _ in range(200_000)], len(gc.callbacks)
    with watching_interference() as seen:
        gc.collect()
        gc.collect()
    assert seen.found is not None
    assert seen.found.gc_pauses == 2
    assert seen.found.gc_pause_max_ms > 0
    assert len(gc.callbacks) == hooks
    assert kept


# the clocks


class SteppedWall:
    """A wall clock that is set by ``step_ns`` once ``set`` is called."""

    def __init__(self) -> None:
        self.step_ns = 0
        self.slow_readings = 0

    def __call__(self) -> int:
        if self.slow_readings:
            self.slow_readings -= 1
            time.sleep(0.005)
        return time.monotonic_ns() + 1_700_000_000 * NS + self.step_ns


@pytest.mark.parametrize("step_ms", [-1500, -3, 3, 3_600_000])
async def test_a_wall_clock_that_is_set_while_the_step_runs_is_seen(step_ms):
    wall = SteppedWall()
    with watching_interference(wall_ns=wall) as seen:
        await asyncio.sleep(0.02)
        wall.step_ns = step_ms * 1_000_000
        await asyncio.sleep(0.02)
    assert seen.found is not None
    assert seen.found.clock_step_ms == pytest.approx(step_ms, abs=0.2)


async def test_a_clock_that_is_set_and_set_back_is_seen_too():
    wall = SteppedWall()
    with watching_interference(wall_ns=wall) as seen:
        wall.step_ns = 20_000_000
        await asyncio.sleep(0.03)
        wall.step_ns = 0
        await asyncio.sleep(0.03)
    assert seen.found is not None
    assert abs(seen.found.clock_step_ms) == pytest.approx(20, abs=0.2)


def test_a_pause_between_the_two_readings_is_no_step():
    wall = SteppedWall()
    clock = WallClock(wall)
    wall.slow_readings = 2
    clock.look()
    assert clock.largest_step_ns == 0


async def test_a_steady_clock_has_no_step():
    with watching_interference() as seen:
        await asyncio.sleep(0.05)
    assert seen.found is not None
    assert seen.found.clock_step_ms == 0


# other load


@contextmanager
def busy_neighbour() -> Iterator[int]:
    """A process that uses a core and is nobody's child here."""
    code = "import os, sys\nprint(os.getpid(), flush=True)\nwhile os.getppid() >= 0: pass"
    command = f"{sys.executable} -c '{code}' & "
    shell = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    shell.wait()
    try:
        yield pid
    finally:
        os.kill(pid, 9)
        shell.stdout.close()


def used_s(pid: int) -> float:
    return parse_pid_stat(Path(f"/proc/{pid}/stat").read_text())[1] / os.sysconf("SC_CLK_TCK")


@linux
async def test_a_busy_neighbour_is_other_load_unless_it_is_the_service():
    with busy_neighbour() as pid:
        with watching_interference() as seen, watching_interference((pid,)) as knowing:
            before = used_s(pid)
            while used_s(pid) - before < 0.3:
                await asyncio.sleep(0.01)
        other, served = seen.found, knowing.found
    assert other is not None
    assert served is not None
    assert other.other_cores is not None
    assert other.other_cores * other.seconds >= 0.25
    assert other.services_cpu_s == 0
    assert served.services_cpu_s is not None
    assert served.services_cpu_s >= 0.28
    assert served.other_cores is not None
    assert served.other_cores * served.seconds <= other.other_cores * other.seconds - 0.2


@linux
async def test_what_the_generator_started_is_its_own():
    with watching_interference() as seen:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"
        )
        await child.wait()
    assert seen.found is not None
    assert seen.found.own_cpu_s is not None
    assert seen.found.own_cpu_s >= 0.1


async def test_a_generator_in_a_process_of_its_own_reports_its_interference(tmp_path):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=GOOD)

    async with http_server(handler) as url:
        spec = step(url, OpenPlan(100, 500), tmp_path, services=(os.getpid(),))
        report = await child_process(spec, None)
    assert report.interference is not None
    assert report.interference.seconds >= 0.19
    assert len(report.interference.loop_held_s) == len(HOLD_UPS_MS)
    if sys.platform == "linux":
        assert report.interference.services_cpu_s is not None
        assert report.interference.services_cpu_s > 0


# the kernel's files

STAT = "cpu  100 20 30 5000 7 3 2 40 0 0\ncpu0 50 10 15 2500 4 1 1 20 0 0\ncpu1 50 10 15 2500 3 2 1 20 0 0\nintr 1\n"


def test_the_account_of_the_machine():
    assert parse_stat(STAT, 100) == (1.5, 1.95, 0.4, 2)


@pytest.mark.parametrize(
    "text", ["", "cpu  0 0 0 0 0 0 0 0 0 0\n", "cpu 1 2\n", "cpu0 1 2 3 4 5 6 7 8\n", "cpu a b c d e f g h"]
)
def test_an_account_that_is_none_is_not_known(text):
    assert parse_stat(text, 100) is None


def test_a_process_may_call_itself_anything():
    assert parse_pid_stat("7 (a) b (c) R) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 30 40 20 0") == (3, 100)


def test_a_tree_holds_what_its_roots_started():
    processes = {1: (0, 5), 2: (1, 5), 3: (2, 5), 4: (1, 5)}
    assert tree(processes, (2, 9)) == {2, 3}
    assert tree(processes, (1,)) == {1, 2, 3, 4}


async def test_a_fabricated_account_is_read_before_and_after(tmp_path):
    def write(stat: str, own: int, service: int) -> None:
        (tmp_path / "stat").write_text(stat)
        for pid, ticks in ((os.getpid(), own), (77, service)):
            (tmp_path / str(pid)).mkdir(exist_ok=True)
            (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0")

    write(STAT, 10, 100)
    with watching_interference((77,), proc=tmp_path) as seen:
        write(STAT.replace("cpu  100 20 30 5000 7 3 2 40", "cpu  300 20 30 5000 7 3 2 140"), 30, 150)
    found = seen.found
    assert found is not None
    seconds = 100 / os.sysconf("SC_CLK_TCK")
    assert (found.busy_cpu_s, found.own_cpu_s, found.services_cpu_s) == pytest.approx(
        (2 * seconds, 0.2 * seconds, 0.5 * seconds)
    )
    assert (found.stolen_cpu_s, found.wanted_cpu_s, found.cores) == pytest.approx((seconds, 3 * seconds, 2))
    assert found.steal_share == pytest.approx(1 / 3)
    assert found.other_cores == pytest.approx(1.3 * seconds / found.seconds)


async def test_without_the_kernels_files_it_is_not_known(tmp_path):
    assert cpu_account(tmp_path, os.getpid(), ()) is None
    with watching_interference(proc=tmp_path) as seen:
        await asyncio.sleep(0)
    assert seen.found is not None
    assert (seen.found.other_cores, seen.found.steal_share, seen.found.throttled_ms) == (None, None, None)


def test_the_limit_of_a_container_is_read_from_its_group(tmp_path):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "groups" / "box").mkdir(parents=True)
    assert throttled_ms(tmp_path / "proc", tmp_path / "groups") is None
    (tmp_path / "proc" / "self" / "cgroup").write_text("1:cpu:/old\n0::/box\n")
    (tmp_path / "groups" / "box" / "cpu.stat").write_text("usage_usec 9\nnr_throttled 2\nthrottled_usec 2500\n")
    assert throttled_ms(tmp_path / "proc", tmp_path / "groups") == 2.5

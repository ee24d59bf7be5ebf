"""Asking a service in another process for a report."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.profilers.sampled import WORK, by_thread, service, share, snapshots
from tests.profilers.test_sampler import LOOPS, ON_LOOP
from workbench.errors import ToolError
from workbench.profilers.sampler.ask import request_snapshot, wait_for_snapshot

SERVING = (
    ON_LOOP
    + """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    sampler = setup_profiling(sys.argv[2], delay=60)
    print("ready", flush=True)
    while not os.path.exists(sys.argv[3]):
        await asyncio.sleep(0.01)
    for _ in range(20):
        spin(0.02)
        await asyncio.sleep(0)
    await asyncio.sleep(600)

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
"""
)
SLEEPING = """
if sys.argv[1] == "caught": signal.signal(signal.SIGUSR2, lambda *_: None)
if sys.argv[1] == "ends": signal.signal(signal.SIGUSR2, lambda *_: os._exit(0))
print("ready", flush=True)
while True: time.sleep(1)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_a_window_is_two_requests(loop: str, tmp_path: Path) -> None:
    """The first, within the delay, begins sampling. Each answer is complete and new."""
    folder, go = tmp_path / "out", tmp_path / "go"
    with service(SERVING, loop, folder, go) as child:
        first = request_snapshot(child.pid, folder)
        assert (first.pb.name[-5:], first.svg.name[-6:]) == ("-0.pb", "-0.svg")
        go.touch()
        deadline = time.monotonic() + 60
        while share(by_thread(request_snapshot(child.pid, folder).pb), "spin") < 0.5:
            assert time.monotonic() < deadline
        last = request_snapshot(child.pid, folder)
        assert last == snapshots(folder)[-1]
        assert last.svg.stat().st_size > 0
        assert child.poll() is None


def test_requests_at_once_are_all_answered(tmp_path: Path) -> None:
    with service(SERVING, "asyncio", tmp_path / "out", tmp_path / "go") as child:
        asked = time.time_ns()
        for _ in range(3):
            os.kill(child.pid, signal.SIGUSR2)
        assert wait_for_snapshot(tmp_path / "out", asked, pid=child.pid).pb.exists()


def test_a_process_without_a_sampler_is_not_hurt(tmp_path: Path) -> None:
    with service(SLEEPING, "plain") as child:
        with pytest.raises(ToolError, match=rf"process {child.pid}: has no sampler.*setup_profiling"):
            request_snapshot(child.pid, tmp_path)
        assert child.poll() is None


def test_no_answer_is_said_after_the_timeout(tmp_path: Path) -> None:
    with (
        service(SLEEPING, "caught") as child,
        pytest.raises(ToolError, match=rf"{re.escape(str(tmp_path))}: no profile came within 0.2 s"),
    ):
        request_snapshot(child.pid, tmp_path, timeout=0.2)


def test_a_process_that_ends_instead_is_said_at_once(tmp_path: Path) -> None:
    with (
        service(SLEEPING, "ends") as child,
        pytest.raises(ToolError, match="ended before it wrote the requested profile"),
    ):
        request_snapshot(child.pid, tmp_path, timeout=60)


def test_a_process_that_is_gone(tmp_path: Path) -> None:
    with service(SLEEPING, "plain") as child:
        pass
    with pytest.raises(ToolError, match="this process does not exist"):
        request_snapshot(child.pid, tmp_path)


def test_older_reports_and_other_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "profile-2025-11-26-00_15_12-0.pb").write_bytes(b"damaged")
    (tmp_path / "profile-mine.pb").write_bytes(b"")
    assert "setup_profiling" in WORK
    with pytest.raises(ToolError, match="no profile came"):
        wait_for_snapshot(tmp_path, 0, timeout=0.05)

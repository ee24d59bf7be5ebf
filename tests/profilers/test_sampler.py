"""The sampler at work in a process: what it finds, what it leaves out, when it writes, and what it never does."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.profilers.sampled import by_thread, drawn, labelled, run, service, share, snapshots
from workbench.errors import SettingsError
from workbench.profilers.sampler import setup_profiling
from workbench.profilers.sampler.clocks import ProcessClock
from workbench.profilers.sampler.collector import Collector
from workbench.profilers.sampler.files import ReportFiles
from workbench.profilers.sampler.report import Function, Report, Stack
from workbench.profilers.sampler.stacks import CUT, MOST_FRAMES, MOST_TASKS, OTHER_TASKS, UNSEEN
from workbench.profiles.read import read_folded, read_pprof
from workbench.profiles.transforms.windows import subtract

needs_thread_clocks = pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="the system has no CPU clock for each thread"
)


@pytest.fixture(autouse=True)
def free_signals() -> Iterator[None]:
    """A stopped sampler leaves its signals ignored; children of later tests are not to inherit that."""
    yield
    for number in (signal.SIGPROF, signal.SIGUSR2):
        assert signal.getsignal(number) in (signal.SIG_IGN, signal.SIG_DFL)
        signal.signal(number, signal.SIG_DFL)


LOOPS = ("asyncio", "uvloop")
ON_LOOP = """
def loop_factory(name):
    if name == "uvloop":
        import uvloop
        return uvloop.new_event_loop
"""

# an unsaturated server: the loop rests between requests of half a millisecond; by chance lengths, as what is in step
# with the system's ticks is found too often or too seldom
SERVER = (
    ON_LOOP
    + """
used = {"three": 0.0, "one": 0.0}
def three(): used["three"] += spin(chance.uniform(1.5e-4, 4.5e-4))
def one(): used["one"] += spin(chance.uniform(5e-5, 1.5e-4))

async def serve(reader, writer):
    while await reader.read(1):
        three(); one()
        writer.write(b"x")
    writer.close()

async def main():
    sampler = setup_profiling(sys.argv[2], delay=0)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await asyncio.to_thread(sampler.snapshot)
    before = time.thread_time()
    while used["three"] < 1.8:
        writer.write(b"y")
        await reader.read(1)
        await asyncio.sleep(chance.uniform(2e-4, 2.2e-3))
    taken = time.thread_time() - before
    await asyncio.to_thread(sampler.snapshot)
    print(used["three"] / taken, used["one"] / taken, taken)
    writer.close()

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
"""
)


@needs_thread_clocks
@pytest.mark.parametrize("loop", LOOPS)
def test_hot_functions_have_the_share_that_they_have(loop: str, tmp_path: Path) -> None:
    """A thread that samples by the clock finds next to nothing here: it gets to run when the loop rests."""
    three, one, taken = map(float, run(SERVER, loop, tmp_path).stdout.split())
    first, second, last = snapshots(tmp_path)
    assert by_thread(first.pb).total() < 50
    found = by_thread(second.pb)
    # clumps: the system looks at its CPU timer every few milliseconds, so that 300 samples are some 150 looks
    assert share(found, "three") == pytest.approx(three, abs=0.15)
    assert share(found, "one") == pytest.approx(one, abs=0.12)
    assert found.total() / 150 == pytest.approx(taken, rel=0.1)
    assert by_thread(last.pb).total() >= found.total()
    window = subtract(read_pprof(second.pb), read_pprof(first.pb))
    assert window.total("samples") == found.total() - by_thread(first.pb).total()
    for each in (second, last):
        assert drawn(each.svg) == by_thread(each.pb)


THREADS = """
import hashlib
def python(): spin(1.0)
def released():
    before = time.thread_time()
    while time.thread_time() < before + 1.0:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", 20000)
def rest(): time.sleep(600)

sampler = setup_profiling(sys.argv[1], delay=0)
sampler.snapshot()
threading.Thread(target=rest, name="resting", daemon=True).start()
workers = [threading.Thread(target=work, name=work.__name__) for work in (python, released)]
for worker in workers: worker.start()
for worker in workers: worker.join()
sampler.snapshot()
"""


@needs_thread_clocks
def test_all_threads_are_seen_while_the_main_thread_waits(tmp_path: Path) -> None:
    run(THREADS, tmp_path)
    found = by_thread(snapshots(tmp_path)[1].pb)
    threads = {name: sum(n for path, n in found.items() if path[0] == name) for name in ("python", "released")}
    assert threads == {"python": pytest.approx(150, abs=15), "released": pytest.approx(150, abs=15)}
    for name in threads:
        working = sum(n for path, n in found.items() if path[0] == name and f"__main__.{name}" in path)
        assert working > 0.8 * threads[name]
    assert not any(path[0] == "resting" for path in found)
    assert not any(path[0].startswith("sampler") for path in found)


# turns of chance lengths: two tasks of 2 ms each would be in step with a system that looks at its timer every 4 ms
TASKS = """
used = {"payer 7": 0.0, "unnamed": 0.0}
async def unnamed(): await work("unnamed")
async def work(name):
    for _ in range(400):
        used[name] += spin(chance.uniform(0.0005, 0.0035))
        await asyncio.sleep(0)
async def patient(): await deep()
async def deep(): await asyncio.Event().wait()

async def main():
    sampler = setup_profiling(sys.argv[1], delay=0)
    await asyncio.to_thread(sampler.snapshot)
    waiting = [asyncio.create_task(patient(), name="one who waits") for _ in range(3)]
    await asyncio.gather(asyncio.create_task(work("payer 7"), name="payer 7"), asyncio.create_task(unnamed()))
    print(used["payer 7"], used["unnamed"])
    print(sampler.waiting_tasks(), end="")
    for task in waiting: task.cancel()

asyncio.run(main())
"""


@needs_thread_clocks
def test_tasks_are_labels_and_those_that_wait_cost_nothing(tmp_path: Path) -> None:
    used, folded = run(TASKS, tmp_path).stdout.split("\n", 1)
    payer, unnamed = map(float, used.split())
    _, last = snapshots(tmp_path)
    tasks: dict[str, int] = {}
    for path, labels, count in labelled(read_pprof(last.pb)):
        assert not any("patient" in name for name in path)
        tasks[labels.get("task", "")] = tasks.get(labels.get("task", ""), 0) + count
    found = tasks["payer 7"] + tasks["unnamed"]  # asyncio calls that one Task-5
    assert found / 150 == pytest.approx(payer + unnamed, rel=0.15)
    assert tasks["payer 7"] / found == pytest.approx(payer / (payer + unnamed), abs=0.2)
    assert not any(re.fullmatch(r"Task-\d+", name) for name in tasks)
    waiting = read_folded(folded.encode())
    names = waiting.frames["raw_function"].tolist()
    assert "one who waits;__main__.patient;__main__.deep;asyncio.locks.Event.wait 3" in folded.splitlines()
    assert {"one who waits", "__main__.patient", "__main__.deep"} <= set(names)


IDLE = """
sampler = setup_profiling(sys.argv[1], delay=0)
sampler.snapshot()
time.sleep(1)
"""


@needs_thread_clocks
def test_an_idle_process_has_no_samples(tmp_path: Path) -> None:
    run(IDLE, tmp_path)
    for each in snapshots(tmp_path):
        assert each.svg.read_bytes() == b""
        assert read_pprof(each.pb).total() == 0


def test_reports_come_by_themselves_and_hold_everything_since_the_start(tmp_path: Path) -> None:
    run("setup_profiling(sys.argv[1], 150, 0.3, delay=0)\nfor _ in range(30): spin(0.05)", tmp_path)
    reports = snapshots(tmp_path)
    assert len(reports) >= 4
    profiles = [read_pprof(each.pb) for each in reports]
    assert len({profile.meta["time_ns"] for profile in profiles}) == 1
    durations = [profile.meta["duration_ns"] for profile in profiles]
    assert durations == sorted(durations)
    totals = [profile.total() for profile in profiles]
    assert totals == sorted(totals)
    assert totals[-1] == pytest.approx(1.5e9, rel=0.1)
    names = [each.pb.name for each in reports]
    assert all(re.fullmatch(r"profile-\d{4}-\d\d-\d\d-\d\d_\d\d_\d\d-\d+\.pb", name) for name in names)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError"])
def test_a_clean_exit_has_a_last_report(end: str, tmp_path: Path) -> None:
    source = f"sampler = setup_profiling(sys.argv[1], delay=0); sampler.snapshot(); spin(0.5)\n{end}"
    code = {"": 0, "sys.exit(3)": 3}.get(end, 1)
    run(source, tmp_path, code=code)
    assert share(by_thread(snapshots(tmp_path)[-1].pb), "spin") > 0.5


def test_nothing_is_written_before_sampling_has_begun(tmp_path: Path) -> None:
    run("setup_profiling(sys.argv[1]); spin(0.2)", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    source = """
sampler = setup_profiling(sys.argv[1], delay=0)
sampler.snapshot()
if os.fork() == 0:
    spin(0.3)
    assert sampler.snapshot() is None
    sys.exit(0)
assert os.wait()[1] == 0
"""
    run(source, tmp_path)
    assert len(snapshots(tmp_path)) == 2


def test_what_cannot_be_written_is_one_warning_and_the_service_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.write_text("in the way")
    sampler = setup_profiling(folder, name="a service", delay=0)
    try:
        assert sampler.snapshot() is None
        assert sampler.snapshot() is None
        (warning,) = caplog.messages
        assert "a service" in warning
        assert str(folder) in warning
        folder.unlink()
        written = sampler.snapshot()
        assert written is not None
        assert written.pb.name.endswith("-0.pb")
    finally:
        sampler.stop()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The limit for the size of a file fails a write in its middle, as a full disk does."""
    source = """
import logging, resource
logging.basicConfig()
sampler = setup_profiling(sys.argv[1], delay=0)
sampler.snapshot()
spin(0.3)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
assert sampler.snapshot() is None
assert len(os.listdir(sys.argv[1])) == 2, os.listdir(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert sampler.snapshot() is not None
"""
    done = run(source, tmp_path)
    assert done.stderr.count("no report could be written") == 1
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.slow
def test_two_samplers_share_nothing_and_the_second_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = setup_profiling(tmp_path / "one", delay=0)
    second = setup_profiling(tmp_path / "two", delay=0)
    try:
        assert [("SIGPROF" in text, "SIGUSR2" in text) for text in caplog.messages] == [(True, False), (False, True)]
        assert first.snapshot() is not None
        assert second.snapshot() is not None
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass
        second.stop()
        assert second.snapshot() is None
        assert first.snapshot() is not None
    finally:
        first.stop()
        second.stop()
    for folder in ("one", "two"):
        found = by_thread(snapshots(tmp_path / folder)[-1].pb)
        assert found.total() == pytest.approx(75, abs=30)
        name = test_two_samplers_share_nothing_and_the_second_says_what_it_lacks.__name__
        assert share(found, name) > 0.8


def test_set_up_outside_of_the_main_thread_a_thread_samples(tmp_path: Path) -> None:
    source = """
done = threading.Thread(target=lambda: setup_profiling(sys.argv[1], delay=0).snapshot())
done.start(); done.join()
spin(1.0)
"""
    run(source, tmp_path)
    found = by_thread(snapshots(tmp_path)[-1].pb)
    assert share(found, "spin") > 0.8
    assert found.total() == pytest.approx(150, abs=30)


def test_a_sampler_can_follow_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        sampler = setup_profiling(tmp_path / name, delay=0)
        assert sampler.snapshot() is not None
        sampler.stop()
        sampler.stop()
        assert len(snapshots(tmp_path / name)) == 2
    assert caplog.messages == []


BLOCKED = """
async def main():
    sampler = setup_profiling(sys.argv[1], delay=0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.to_thread(sampler.snapshot)
    await asyncio.sleep(0.05)
    print("ready", flush=True)
    spin(3)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stop.wait(), 20)

asyncio.run(main())
"""


def test_a_loop_that_is_blocked_for_seconds_still_gets_its_signals(tmp_path: Path) -> None:
    """Each sample leaves a byte in asyncio's self-pipe; in a full one, after 278, that of SIGTERM would be lost."""
    with service(BLOCKED, tmp_path) as child:
        assert child.wait(60) == 0
        assert child.stderr is not None
        assert child.stderr.read() == ""
    found = by_thread(snapshots(tmp_path)[-1].pb)
    assert found.total() == pytest.approx(450, rel=0.1)
    assert share(found, "spin") > 0.8


def test_deep_stacks_lose_their_root_and_say_so(tmp_path: Path) -> None:
    run(
        "def deep(n): spin(0.3) if not n else deep(n - 1)\n"
        "sampler = setup_profiling(sys.argv[1], delay=0); sampler.snapshot(); deep(200)",
        tmp_path,
    )
    found = by_thread(snapshots(tmp_path)[-1].pb)
    longest = max(found, key=len)
    assert len(longest) == MOST_FRAMES + 2  # the thread, and what says that there was more
    assert longest[1] == CUT.name


def test_names_of_tasks_without_end_are_one_label(tmp_path: Path) -> None:
    source = """
async def work(): spin(0.008)
async def main():
    sampler = setup_profiling(sys.argv[1], delay=0)
    await asyncio.to_thread(sampler.snapshot)
    for number in range(int(sys.argv[2])):
        await asyncio.create_task(work(), name=f"request {number}")
asyncio.run(main())
"""
    run(source, tmp_path, MOST_TASKS * 2)
    tasks = {labels.get("task", "") for _, labels, _ in labelled(read_pprof(snapshots(tmp_path)[-1].pb))}
    assert OTHER_TASKS in tasks
    assert len(tasks) <= MOST_TASKS + 2


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"frequency": 0}, "frequency"),
        ({"frequency": 2000}, "frequency"),
        ({"interval": 0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"delay": -1}, "delay"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(given: dict[str, float], where: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{where}: .*found"):
        setup_profiling(tmp_path, **given)  # type: ignore[arg-type]


class Told:
    """A clock that is told what it says."""

    exact = True

    def __init__(self) -> None:
        self.next: dict[int, int] = {}

    def spent(self, threads: object, working: object) -> dict[int, int]:
        return self.next


def test_time_stays_owed_until_the_thread_is_found_at_work() -> None:
    """What a worker did between two ticks belongs to its work, not to the queue where it is found waiting."""
    clock, go, end = Told(), threading.Event(), threading.Event()
    collector = Collector(1000, clock, set)

    def worker() -> None:
        go.wait()
        while not end.is_set():
            pass

    thread = threading.Thread(target=worker, name="worker")
    thread.start()
    ident = thread.ident
    assert ident is not None
    try:
        clock.next = {ident: 2500}
        collector.look()
        assert collector._counts == {}
        go.set()
        while go.wait() and not any(stack.functions for stack in collector.taken()[1]):
            clock.next = {ident: 700}
            collector.look()
    finally:
        go.set()
        end.set()
        thread.join()
    functions, stacks = collector.taken()
    named = {functions[stack.functions[0]].name: stack.count for stack in stacks}
    assert sum(named.values()) >= 2
    assert UNSEEN.name in named  # asked for while it waited


def test_a_report_lets_go_of_the_interpreter_lock_in_between(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A thread that works holds it for 5 ms at a time, which the service would wait for after each system call."""
    pauses: list[float] = []
    monkeypatch.setattr("workbench.profilers.sampler.breathing.time.sleep", pauses.append)
    stacks = tuple(Stack("t", "", (number,), 1) for number in range(1000))
    functions = tuple(Function(f"f{number}", "", 0) for number in range(1000))
    ReportFiles(tmp_path, "any").write(Report(functions, stacks, 150, 1, 1, 1))
    assert len(pauses) > 3 * 1000 / 50  # stacks of the .pb and of the tree, boxes of the picture
    assert set(pauses) == {0}


def test_without_clocks_of_threads_those_at_work_share() -> None:
    clock = ProcessClock()
    before = time.process_time_ns()
    while time.process_time_ns() < before + 50_000_000:
        pass
    assert clock.spent([1, 2, 3], []) == {}
    shares = clock.spent([1, 2, 3], [1, 3])
    assert shares.keys() == {1, 3}
    assert 2 * shares[1] >= 50_000_000
    assert shares[1] == shares[3]

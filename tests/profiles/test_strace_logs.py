"""Logs of strace itself, of all styles: their calls are those that strace counts."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.profiles.samples import needs_samples, sample
from tests.profiles.test_strace import DEMO, calls_of
from tests.profiles.tracing import compiled
from workbench.profiles.model import Profile
from workbench.profiles.read import read_profile

SERVICE = ("-f", "-tt", "-T", "-e", "trace=all", "-s", "256")


# Does the same system calls each time: two named threads, a child that waits, an interrupted sleep, errors.
PROGRAM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void on_alarm(int n) { (void)n; }
static void *work(void *name) {
    prctl(PR_SET_NAME, name);
    for (int i = 0; i < 5; i++) { struct timespec t = {0, 1000000}; nanosleep(&t, 0); }
    open("/not/there", O_RDONLY);
    return 0;
}
int main(void) {
    char *names[] = {"worker-a", "worker-b"};
    for (int i = 0; i < 2; i++) { pthread_t t; pthread_create(&t, 0, work, names[i]); pthread_join(t, 0); }
    signal(SIGALRM, on_alarm);
    struct itimerval timer = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &timer, 0);
    struct timespec t = {0, 500000000};
    nanosleep(&t, 0);
    int status, pipes[2];
    pipe(pipes);
    pid_t child = fork();
    if (!child) { char byte; read(pipes[0], &byte, 1); write(pipes[1], "a = b) = 3\n", 11); _exit(3); }
    write(pipes[1], "x", 1);
    waitpid(child, &status, 0);
    return 0;
}
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("traced"), PROGRAM)


def traced(program: Path, *flags: str) -> bytes:
    log = program.with_name("log")
    subprocess.run(["strace", "-o", str(log), *flags, str(program)], check=True, capture_output=True)
    return log.read_bytes()


@pytest.fixture(scope="session")
def wanted(program: Path) -> Counter[tuple[str, str]]:
    """What a log with the service's flags says the program does."""
    return shape(read_profile(traced(program, *SERVICE), format="strace"))


def counts(profile: Profile) -> Counter[tuple[str, str]]:
    """How often each call ended in each way; continuations count as strace -c counts them."""
    calls = calls_of(profile)
    returned = calls[calls["returned"]]
    names = returned["syscall"].astype("str").mask(returned["restarted"], "restart_syscall")
    return Counter(zip(names, returned["error"].astype("str"), strict=True))


def shape(profile: Profile) -> Counter[tuple[str, str]]:
    """What the program did, without what differs from run to run: waits between threads, and where things lie."""
    return Counter(
        {
            key: count
            for key, count in counts(profile).items()
            if key[0] not in {"futex", "restart_syscall", "clock_nanosleep", "wait4"}
        }
    )


def test_calls_and_errors_are_those_strace_counts_itself(program: Path) -> None:
    data = traced(program, *SERVICE, "-C", "-w")
    profile = read_profile(data, format="strace")
    table = profile.tables.get("summary")
    if table is None:
        pytest.fail("strace -C wrote no table")
    ours = counts(profile)
    calls: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for (name, error), count in ours.items():
        calls[name] += count
        failed[name] += count if error else 0
    assert calls == Counter(dict(zip(table["syscall"], table["calls"], strict=True)))
    assert +failed == +Counter(dict(zip(table["syscall"], table["errors"], strict=True)))
    assert not [note for note in profile.notes if "in the table" in note.what]


def test_calls_and_errors_of_another_run_under_c(program: Path, wanted: Counter[tuple[str, str]]) -> None:
    table = read_profile(traced(program, "-f", "-c", "-w"), format="strace").tables["summary"]
    ours: Counter[str] = Counter()
    for (name, _), count in wanted.items():
        ours[name] += count
    theirs = dict(zip(table["syscall"], table["calls"], strict=True))
    assert ours == Counter({name: theirs.get(name, 0) for name in ours})


STYLES = [
    ("-f", "-t"),
    ("-f", "-ttt", "-T"),
    ("-f", "-r"),
    ("-f", "-r", "-tt", "-T"),
    ("-f", "--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns"),
    ("-f", "--absolute-timestamps=format:unix,precision:s"),
    ("-f", "--absolute-timestamps=format:time,precision:ms", "--syscall-times=ms"),
    ("-f", "--relative-timestamps=s"),
    ("-f", "-tt", "-T", "-i", "-n"),
    ("-f", "-tt", "-T", "-yy"),
    ("-f", "-tt", "-T", "--decode-pids=comm", "-n", "-i", "-r"),
    ("-f", "-tt", "-T", "-x", "-s", "12", "-a", "90"),
    ("-f", "-tt", "-T", "-k"),
    ("-f", "-e", "read=all", "-e", "write=all"),
    ("-f",),
]


@pytest.mark.parametrize("flags", STYLES, ids=" ".join)
def test_each_style_gives_the_same_calls(
    program: Path, wanted: Counter[tuple[str, str]], flags: tuple[str, ...]
) -> None:
    profile = read_profile(traced(program, *flags), format="strace")
    assert shape(profile) == wanted
    threads = profile.tables["threads"]
    assert sorted(threads["name"]) == ["program", "program", "worker-a", "worker-b"]
    assert sorted(threads["kind"]) == ["process", "root", "thread", "thread"]
    assert threads.loc[threads["kind"] == "process", "exit"].item() == "exited with 3"
    has_stamps = any(flag in ("-t", "-tt", "-ttt", "-r") or "timestamps" in flag for flag in flags)
    assert (profile.meta["clock"] != "none") == has_stamps
    odd = [note.what for note in profile.notes if not note.what.startswith(("the log has no time", "stack frames"))]
    assert odd == []


def test_a_terminal_log_gives_the_same_calls(program: Path, wanted: Counter[tuple[str, str]]) -> None:
    run = subprocess.run(["strace", "-f", "-tt", "-T", str(program)], check=True, capture_output=True)
    profile = read_profile(run.stderr, format="strace")
    assert shape(profile) == wanted
    assert sorted(profile.tables["threads"]["name"]) == ["program", "program", "worker-a", "worker-b"]


def test_one_file_a_process_has_its_pid_from_its_name(program: Path, wanted: Counter[tuple[str, str]]) -> None:
    log = program.with_name("each")
    subprocess.run(["strace", "-ff", "-tt", "-T", "-o", str(log), str(program)], check=True, capture_output=True)
    parts = {int(part.suffix[1:]): read_profile(part, format="strace") for part in log.parent.glob("each.*")}
    assert len(parts) == 4
    total: Counter[tuple[str, str]] = Counter()
    for pid, profile in parts.items():
        assert set(calls_of(profile)["pid"]) == {pid}
        total.update(shape(profile))
    assert total == wanted


def test_the_time_adds_up_to_what_stands_in_the_log() -> None:
    profile = read_profile(DEMO, format="strace")
    written = [float(text) for text in re.findall(r"<(\d+\.\d+)>$", DEMO.read_text(), re.MULTILINE)]
    assert profile.total("time") == round(sum(written) * 1e9)
    assert profile.total("calls") == len(calls_of(profile))
    lines = DEMO.read_text().splitlines()
    assert len(calls_of(profile)) == sum(" resumed>" not in line and ("(" in line.split("+++")[0]) for line in lines)
    assert profile.notes == ()


@needs_samples
def test_a_public_log_without_times_joins_every_call() -> None:
    path = sample("strace/arastoob__multithread_strace1.log")
    profile = read_profile(path, format="strace")
    calls = calls_of(profile)
    text = path.read_text()
    assert len(calls) == text.count("\n") - text.count(" resumed>") - text.count("+++ ") - text.count(
        "\n909190 --- "
    ) - len(re.findall(r"^9091(?!90)\d+ --- |^9092\d+ --- ", text, re.MULTILINE))
    assert not calls["open"].any()
    assert profile.metric_names == ("calls",)
    assert all("without -t" in note.what or "without -T" in note.what for note in profile.notes)


@needs_samples
def test_stacks_stand_root_first_above_their_call() -> None:
    profile = read_profile(sample("strace/generated__k.log"), format="strace")
    calls, nodes = calls_of(profile), profile.nodes
    names = profile.frames["function"]
    row = calls[calls["line"] == 1].iloc[0]
    path, node = [], int(row["node_id"])
    while node >= 0:
        path.append(names[nodes["frame_id"][node]])
        node = int(nodes["parent_id"][node])
    assert path[0] == "openat"
    assert path[-2:] == ["pid 29779", "(working)"]
    assert path[1] == "_dl_catch_error"
    assert len(path) == 3 + next(
        n
        for n, line in enumerate(sample("strace/generated__k.log").read_text().splitlines()[1:])
        if not line.startswith(" > ")
    )


@needs_samples
def test_a_table_of_c_reconciles_with_its_total() -> None:
    profile = read_profile(sample("strace/generated__summary-c.txt"), format="strace")
    assert (profile.total("calls"), profile.total("errors")) == (307, 3)
    assert profile.total("time") == 2_241_000
    assert profile.notes == ()

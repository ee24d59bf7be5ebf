"""A service with a sampling profiler of its own (ITIMER_PROF, as pprof-rs uses) under Valgrind's tools."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.profilers.services import needs, work
from tests.standin.conftest import eventually
from workbench.errors import ToolError
from workbench.profilers.backends import program
from workbench.profilers.backends.executable import sampler_folder
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.backends.masked import blocked
from workbench.profilers.modes import Mode
from workbench.profilers.session import profiling_session
from workbench.profilers.windows.read import window_profile
from workbench.profilers.windows.record import Window

# its handler takes most of the time, as unwinding a stack does under Valgrind: when counting is switched on or off,
# callgrind forgets the handlers it is in, and fails when one of them returns
SOURCE = """
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* where upstream's sampler writes */
const char *reports = "/opt/profiling/indexer-service";
static volatile sig_atomic_t over, samples;
static volatile unsigned sink;

static void stop(int number) { over = 1; }

__attribute__((noinline)) unsigned depth(unsigned n) { return n ? depth(n - 1) * 3 + sink : n; }

static void sample(int number, siginfo_t *info, void *context) {
    samples++;
    for (int i = 0; i < 2000; i++) sink += depth(40);
}

__attribute__((noinline)) void work(void) { for (unsigned i = 0; i < 20000; i++) sink += i * sink; }

static void *busy(void *nothing) {
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ending, 0);
    while (!over) { work(); usleep(200); }
    return 0;
}

int main(int argc, char **argv) {
    struct sigaction ending = {.sa_handler = stop};
    sigaction(SIGTERM, &ending, 0);
    struct sigaction sampling = {.sa_sigaction = sample, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGPROF, &sampling, 0);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_PROF, &every, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16)) return 3;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, busy, 0);
    while (!over) {
        int client = accept(server, 0, 0);
        if (client < 0) continue;
        char request[4096];
        if (read(client, request, sizeof request) > 0) work();
        static const char answer[] = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok";
        if (write(client, answer, sizeof answer - 1) < 0) over = over;
        close(client);
    }
    printf("%s %d samples\\n", reports, (int)samples);
    return 0;
}
"""


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled once."""
    folder = tmp_path_factory.mktemp("sampled")
    source, target = folder / "sampled.c", folder / "sampled"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-g", "-O1", "-pthread", str(source), "-o", str(target)], check=True)
    return target


async def cut(
    binary: Path, out: Path, mode: Mode, windows: int, requests: int = 3
) -> tuple[list[Window], LocalBackend]:
    """Windows of the program, with work in each."""
    url = f"http://127.0.0.1:{(port := free_port())}/"
    backend = LocalBackend(LocalService("sampled", (str(binary), str(port)), url), out)
    found: list[Window] = []
    async with profiling_session(mode, backend, out) as session:
        for number in range(windows):
            async with session.window(f"step-{number}") as parts:
                await work(url, requests)
            found += parts.windows
    return found, backend


@needs("valgrind", "gcc")
async def test_callgrind_dies_of_a_sampler_that_is_not_stopped(
    sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the reason is its own, not the last line of its log."""
    monkeypatch.setattr(program, "blocked", lambda *numbers: contextlib.nullcontext())
    with pytest.raises(ToolError, match=r"Callgrind: .*post_signal\): Assertion .* failed") as told:
        await cut(sampled, tmp_path, "callgrind", 200, requests=0)
    assert "Thanks" not in str(told.value)
    (log,) = tmp_path.rglob("service.log")
    assert log.read_text().rstrip().endswith("Thanks.")


@needs("valgrind", "gcc")
@pytest.mark.parametrize("mode", ["callgrind", "massif"])
async def test_it_lives_with_the_timers_signal_blocked_and_a_note_says_so(
    sampled: Path, tmp_path: Path, mode: Mode
) -> None:
    windows, backend = await cut(sampled, tmp_path, mode, 10)
    assert len(windows) == 10
    said = "SIGPROF is blocked, since it can crash Valgrind"
    assert all(any(note.startswith(said) for note in window.notes) for window in windows)
    assert [note for note in backend.notes if note.startswith(said)] == backend.notes
    assert all(window_profile(window).total() > 0 for window in windows)
    # its sampler was there and took nothing
    (log,) = tmp_path.rglob("service.log")
    assert "/opt/profiling/indexer-service 0 samples" in log.read_text()


@needs("gcc")
async def test_it_samples_where_no_tool_would_die_of_it(sampled: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/"
    backend = LocalBackend(LocalService("sampled", (str(sampled), str(port)), url), tmp_path)
    await backend.start("none")
    await work(url, 20)
    process = psutil.Process(await backend.pid("sampled"))
    await eventually(lambda: sum(process.cpu_times()[:2]) > 0.2, 60)
    await backend.stop()
    (log,) = tmp_path.rglob("service.log")
    assert not log.read_text().endswith(" 0 samples\n")
    assert backend.notes == []


def test_a_signal_is_blocked_for_what_is_started_and_not_for_this_process() -> None:
    script = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with blocked(signal.SIGPROF):
        output = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout
    assert b"SIGPROF" in output
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_sampler_is_known_by_its_folder_in_the_program(tmp_path: Path) -> None:
    for text, folder in (
        (b"\x7fELF..../opt/profiling/tap-agentTap-agent service", "/opt/profiling/tap-agent"),
        (b"\x7fELF....Indexer Service/opt/profiling/indexer-service", "/opt/profiling/indexer-service"),
        (b"\x7fELF....", None),
        (b"", None),
    ):
        (tmp_path / "program").write_bytes(text)
        found = sampler_folder(tmp_path / "program")
        assert found == (None if folder is None else Path(folder))
    assert sampler_folder(tmp_path / "absent") is None

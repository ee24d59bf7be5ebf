"""``workbench profile`` from the shell: every command a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.profilers.services import SYSCALLS, answers, environment, needs, work
from tests.profilers.test_local import listener
from tests.standin.conftest import eventually
from workbench.cli import main
from workbench.errors import EXIT_INTERRUPTED, EXIT_TOOL, EXIT_USAGE
from workbench.profilers.windows.read import window_profile
from workbench.profilers.windows.record import windows_in
from workbench.profiles.views.syscalls import calls_of

PROFILE = (sys.executable, "-m", "workbench.cli", "profile")


def profile(*arguments: object, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command, which has to end with that exit code; without a traceback."""
    done = subprocess.run(
        [*PROFILE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(**variables),
        check=False,
    )
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def refused(arguments: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and error of a command in this process, which has to be one line and to leave no session."""
    own, *command = arguments.split(" -- ")
    words = [word for text in command for word in ("--", *text.split())]
    code = main(["profile", *own.split(), "--folder", str(folder), *words])
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert not (folder / "session.json").exists()
    return code, errors


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a session, which is stopped at the end whatever the test has left."""
    folder = tmp_path / "profiling"
    yield folder
    if (folder / "session.json").exists():
        subprocess.run([*PROFILE, "stop", "--folder", str(folder), "--stop-timeout-s", "1"], capture_output=True)


def start_c(folder: Path, program: Path, port: int, mode: str = "strace", *options: str) -> str:
    """Start the C service under a tool; its URL."""
    url = f"http://127.0.0.1:{port}/"
    profile("start", mode, "--folder", folder, "--health-url", url, *options, "--", program, port)
    return url


def syscalls(folder: Path) -> dict[str, int]:
    """The calls of getppid in each window below a folder."""
    return {
        window.name: int((calls_of(window_profile(window))["syscall"] == "getppid").sum())
        for window in windows_in(folder)
    }


@needs("strace", "gcc")
async def test_each_command_is_a_process_of_its_own(folder: Path, program: Path) -> None:
    url = start_c(folder, program, free_port())
    assert stat.S_IMODE((folder / "session.json").stat().st_mode) == 0o600
    assert await answers(url)
    profile("window", "first", "--folder", folder)
    await work(url, 4)
    said = profile("status", "--folder", folder).stdout
    for part in ("running: mode strace", "service: runs and answers", "window first is open", "windows: none yet"):
        assert part in said
    profile("window", "second", "--folder", folder, code=EXIT_TOOL)
    profile("window", "--end", "--folder", folder)
    await work(url, 1)
    profile("window", "timed", "--seconds", 0, "--folder", folder)
    code = f"import urllib.request as r; [r.urlopen('{url}work').read() for _ in range(5)]; raise SystemExit(7)"
    profile("window", "around", "--folder", folder, "--", sys.executable, "-c", code, code=7)
    assert "windows: first, timed, around" in profile("status", "--folder", folder).stdout
    said = profile("stop", "--folder", folder).stdout
    assert "service stopped after" in said
    (out,) = folder.glob("*-strace")
    assert str(out / "service" / "strace" / "strace.log") in said.splitlines()
    assert not await answers(url)
    assert syscalls(out) == {"first": 4 * SYSCALLS, "timed": 0, "around": 5 * SYSCALLS}
    assert "nothing ran before, and nothing runs now" in profile("restore", "--folder", folder).stdout
    assert not (folder / "session.json").exists()


@needs("strace")
async def test_the_standin_that_ran_before_is_brought_back(folder: Path) -> None:
    names = ("SERVICE_PORT", "SERVICE_METRICS_PORT", "AGENT_METRICS_PORT", "GRAPH_PORT")
    variables = {f"WORKBENCH_{name}": str(free_port()) for name in names}
    url = f"http://127.0.0.1:{variables['WORKBENCH_SERVICE_PORT']}/"
    before = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "standin"],
        env=environment(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    after: psutil.Process | None = None
    try:
        await eventually(lambda: answers(url), 60)
        argv = psutil.Process(before.pid).cmdline()
        assert "the stand-in answers under strace" in profile("start", "strace", "--folder", folder, **variables).stdout
        assert before.wait(30) == 0
        assert await answers(url)
        # a session that was stopped and not restored leaves what ran before to the next one
        profile("stop", "--folder", folder, **variables)
        profile("start", "strace", "--folder", folder, "--attach", **variables)
        profile("stop", "--folder", folder, **variables)
        assert not await answers(url)
        said = profile("restore", "--folder", folder, **variables)
        assert said.stdout == "what ran before answers again\n"
        assert said.stderr == ""
        assert await answers(url)
        after = listener(int(variables["WORKBENCH_SERVICE_PORT"]))
        assert after is not None
        assert after.cmdline() == argv
        assert after.pid != before.pid
        assert os.getsid(after.pid) == after.pid  # it is on its own
    finally:
        for process in (before, after):
            if process is not None:
                process.terminate()
                process.wait()
        before.communicate()


@needs("strace", "gcc")
async def test_variables_that_what_ran_before_had_are_named_and_not_stored(folder: Path, program: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    before = subprocess.Popen([program, str(port)], env=environment(DATABASE_URL="postgres://me:s3cret@db"))
    try:
        await eventually(lambda: answers(url))
        start_c(folder, program, port)
        before.wait(30)
        text = (folder / "session.json").read_text()
        assert "DATABASE_URL" in text
        assert "s3cret" not in text
        profile("stop", "--folder", folder)
        said = profile("restore", "--folder", folder).stderr
        assert "was started without DATABASE_URL" in said
        assert await answers(url)
    finally:
        before.kill()
        before.wait()
        await end_listener(port)


async def end_listener(port: int) -> None:
    """End what was brought back."""
    if (left := listener(port)) is not None:
        left.terminate()
    await eventually(lambda: _free(port))


async def _free(port: int) -> bool:
    return not await answers(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("action", ["status", "stop", "restore", "window x", "window --end"])
def test_without_a_session_every_command_says_how_to_start_one(
    action: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = refused(action, folder, capsys)
    assert code == EXIT_TOOL
    assert "no profiler session was started. Start one: workbench profile start MODE" in errors


@needs("strace", "gcc")
async def test_commands_out_of_order(folder: Path, program: Path) -> None:
    port = free_port()
    url = start_c(folder, program, port)
    process = json.loads((folder / "session.json").read_text())["backend"]["programs"][0]["running"]["pid"]
    other = free_port()
    said = profile(
        "start", "callgrind", "--folder", folder, "--health-url", f"http://127.0.0.1:{other}/", "--", program, other,
        code=EXIT_TOOL,
    ).stderr  # fmt: skip
    assert "a session under strace is running already" in said
    assert "Stop it first" in profile("restore", "--folder", folder, code=EXIT_TOOL).stderr
    # the first one is as it was
    assert json.loads((folder / "session.json").read_text())["backend"]["programs"][0]["running"]["pid"] == process
    assert await answers(url)
    profile("stop", "--folder", folder)
    assert "stopped already" in profile("stop", "--folder", folder, code=EXIT_TOOL).stderr
    assert "the session is stopped" in profile("window", "late", "--folder", folder, code=EXIT_TOOL).stderr
    assert profile("status", "--folder", folder).stdout.startswith("stopped: mode strace")
    # another one overwrites nothing of the first
    start_c(folder, program, free_port(), "strace")
    profile("stop", "--folder", folder)
    assert len(list(folder.rglob("strace.log"))) == 2


@needs("strace", "gcc")
async def test_out_and_attach(folder: Path, program: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    url = start_c(folder, program, free_port(), "strace", "--attach", "--out", str(out))
    for number in range(2):
        profile("window", f"step-{number}", "--folder", folder)
        await work(url, 3)
        profile("window", "--end", "--folder", folder)
    profile("stop", "--folder", folder)
    assert syscalls(out) == {"step-0": 3 * SYSCALLS, "step-1": 3 * SYSCALLS}
    # the same folder again: its windows stay
    start_c(folder, program, free_port(), "strace", "--out", str(out))
    said = profile("window", "step-0", "--folder", folder, code=EXIT_TOOL).stderr
    assert "there is already a window step-0" in said
    profile("stop", "--folder", folder)
    assert syscalls(out) == {"step-0": 3 * SYSCALLS, "step-1": 3 * SYSCALLS}


@needs("valgrind", "gcc")
async def test_a_service_that_dies_at_once_is_quoted_and_the_port_is_as_before(folder: Path, program: Path) -> None:
    port = free_port()
    before = subprocess.Popen([program, str(port)])
    url = f"http://127.0.0.1:{port}/"
    try:
        await eventually(lambda: answers(url))
        script = "import sys; sys.exit('no configuration at /opt/config.toml')"
        said = profile(
            "start", "callgrind", "--folder", folder, "--health-url", url, "--", sys.executable, "-c", script,
            code=EXIT_TOOL,
        ).stderr  # fmt: skip
        assert "ended before it answered" in said
        assert "service.log" in said
        # what ran before is back, and there is no session
        assert await answers(url)
        assert not (folder / "session.json").exists()
        (log,) = folder.rglob("service.log")
        assert "no configuration at /opt/config.toml" in log.read_text()
    finally:
        before.kill()
        before.wait()
        await end_listener(port)


@needs("strace", "gcc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
async def test_a_window_around_a_command_that_is_interrupted(folder: Path, program: Path, sent: int) -> None:
    url = start_c(folder, program, free_port())
    script = "import sys, time; print('begun', flush=True); time.sleep(600)"
    command = subprocess.Popen(
        [*PROFILE, "window", "cut", "--folder", str(folder), "--", sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "begun\n"
    family = psutil.Process(command.pid).children(recursive=True)
    await work(url, 3)
    command.send_signal(sent)
    if sent == signal.SIGINT:
        _, said = command.communicate(timeout=60)
        assert command.returncode == EXIT_INTERRUPTED
        assert said == "workbench: interrupted\n"
        assert not any(process.is_running() for process in family)
    else:
        for process in family:
            process.kill()  # nobody but the shell could
        command.communicate(timeout=60)
        assert "window cut is open" in profile("status", "--folder", folder).stdout
        profile("window", "--end", "--folder", folder)
    profile("window", "after", "--seconds", 0, "--folder", folder)
    profile("stop", "--folder", folder)
    assert syscalls(folder) == {"cut": 3 * SYSCALLS, "after": 0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("start", "required: MODE"),
        ("start perf", "there is no profiler mode 'perf'"),
        ("start callgrind --attach", "callgrind cannot be attached"),
        ("start strace --end", "unrecognized arguments: --end"),
        ("start strace --seconds 0", "unrecognized arguments: --seconds"),
        ("start strace --health-url http://127.0.0.1:80/", "--health-url belongs to a command"),
        ("start strace --compose x.yml -- prog", "exclude each other"),
        ("start strace --health-url nonsense -- prog", "is not the URL of a service"),
        ("start strace --health-url http://127.0.0.1:99999/ -- prog", "is not the URL of a service"),
        ("start strace -- /does/not/exist", "/does/not/exist"),
        ("window --end x", "takes nothing else"),
        ("window x --seconds -1", "must be a time in seconds"),
        ("window x --seconds nan", "must be a time in seconds"),
        ("window x --seconds 1 -- true", "exclude each other"),
        ("stop --stop-timeout-s inf", "must be a time in seconds"),
        ("stop x", "unrecognized arguments: x"),
        ("status --out y", "unrecognized arguments: --out"),
        ("restore -- true", "unrecognized arguments: -- true"),
        ("begin", "there is no action 'begin'"),
        ("stop --stop-timeout 3", "Did you mean --stop-timeout-s?"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = refused(arguments, folder, capsys)
    assert code in (EXIT_USAGE, EXIT_TOOL)
    assert said in errors


def test_a_standin_without_a_port_of_its_own(folder: Path) -> None:
    said = profile("start", "strace", "--folder", folder, code=EXIT_USAGE, WORKBENCH_SERVICE_PORT="0").stderr
    assert "Set WORKBENCH_SERVICE_PORT" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "mode": "strace"}'])
def test_a_damaged_session_is_named(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    (folder / "session.json").write_text(text)
    for action in ("status", "stop", "restore"):
        assert main(["profile", action, "--folder", str(folder)]) == EXIT_USAGE
        assert f"{folder / 'session.json'}: is not the file of a session" in capsys.readouterr().err
    (folder / "session.json").unlink()  # nothing was started


@needs("strace", "gcc")
async def test_only_one_command_at_a_time(folder: Path, program: Path) -> None:
    start_c(folder, program, free_port())
    holder = subprocess.Popen([*PROFILE, "window", "long", "--seconds", "600", "--folder", str(folder)])
    try:
        await eventually(lambda: "long" in str(json.loads((folder / "session.json").read_text())["open_name"]))
        said = profile("stop", "--folder", folder, code=EXIT_USAGE).stderr
        assert f"another profile command is running (process {holder.pid})" in said
    finally:
        holder.send_signal(signal.SIGINT)
        await asyncio.to_thread(holder.wait, 60)
    profile("stop", "--folder", folder)
    assert "long" in syscalls(folder)

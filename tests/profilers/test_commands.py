"""The two programs by their commands, service and agent: the stand-in's two roles, or scripts that do less."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import workbench
from tests.ports import free_port
from tests.profilers.services import environment, needs
from tests.standin.conftest import eventually
from workbench.errors import SettingsError, TargetError, ToolError
from workbench.profilers.backends import program
from workbench.profilers.backends.executable import require_program
from workbench.profilers.backends.guardian import MARK, Guardian
from workbench.profilers.backends.local import LocalBackend, LocalService
from workbench.profilers.backends.revive import backend_from_json
from workbench.profilers.commands import backend_of, name_of, services_of
from workbench.profilers.modes import Mode
from workbench.profilers.session import Session, profiling_session
from workbench.profilers.windows.read import window_profile
from workbench.settings import Settings

pytestmark = pytest.mark.slow

RECEIPTS = 10
SERVICE, AGENT = "workbench.cli-service", "workbench.cli-agent"
PROFILES: dict[str, tuple[str, ...]] = {"service": (SERVICE,), "agent": (AGENT,), "both": (SERVICE, AGENT)}


def role(name: str, database: Path, **ports: int) -> str:
    """The command of a role of the stand-in, on ports of its own."""
    options = [word for port, number in ports.items() for word in (f"--{port.replace('_', '-')}", str(number))]
    return shlex.join(
        [sys.executable, "-m", "workbench.cli", "standin", "--role", name, "--database", str(database), *options]
    )


def commands(tmp_path: Path, **settings: Any) -> Settings:
    """Settings with both commands."""
    database = tmp_path / "standin.sqlite"
    ports = {name: free_port() for name in ("service_port", "service_metrics_port", "graph_port")}
    return Settings.resolve(
        service_command=role("service", database, **ports),
        agent_command=role("agent", database, agent_metrics_port=free_port()),
        **settings,
    )


def speaking(folder: Path, name: str, **urls: str) -> str:
    """The command of a program that says where it answers and does nothing more, so that its start costs little."""
    script = folder / f"{name}.py"
    script.write_text(f"import time; print({json.dumps(urls)!r}, flush=True); time.sleep(600)")
    return shlex.join([sys.executable, str(script)])


def two_that_speak(folder: Path, **settings: Any) -> Settings:
    """Settings for such a service and such an agent."""
    return Settings.resolve(
        service_command=speaking(folder, "one", service_url="http://127.0.0.1:9"),
        agent_command=speaking(folder, "other", agent_metrics_url="http://127.0.0.1:9/metrics"),
        **settings,
    )


@asynccontextmanager
async def session_of(settings: Settings, out: Path, **options: Any) -> AsyncIterator[Session]:
    """A session over what settings name."""
    async with profiling_session(settings.profiler, backend_of(settings, out), out, **options) as session:
        yield session


async def pay(session: Session, tmp_path: Path, receipts: int = RECEIPTS) -> None:
    """Send receipts to the service of a session."""
    found = await workbench.load(
        num_receipts=receipts, concurrency=2, timeout_s=120, runs_dir=tmp_path / "runs", **session.addresses
    )
    assert found.summary["accepted"] == receipts


@needs("strace")
@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        *(("strace", profile) for profile in PROFILES),
        ("flamegraph", "both"),
    ],
)
async def test_either_or_both_are_profiled(mode: Mode, profile: str, tmp_path: Path) -> None:
    settings = commands(tmp_path, profiler=mode, profile=profile)
    async with session_of(settings, tmp_path / "profiles") as session:
        assert session.backend.programs == (SERVICE, AGENT)
        assert session.backend.services == PROFILES[profile]
        pids = await session.backend.host_pids()
        assert set(pids) == {"service", "agent"}
        async with session.window("step") as cut:
            # a sampler of CPU time has to come by
            await pay(session, tmp_path, 400 if mode == "flamegraph" else RECEIPTS)
        # the program that is not profiled was not touched, and both answer on
        assert await session.condition() == {SERVICE: "", AGENT: ""}
        now = await session.backend.host_pids()
        assert all(now[role] == pids[role] for role in ("service", "agent") if profile not in (role, "both"))
    assert [window.service for window in cut.windows] == list(PROFILES[profile])
    for window in cut.windows:
        found = window_profile(window)
        assert found.total(found.metric_names[0]) > 0, window
    assert not any(map(psutil.pid_exists, now.values()))


@pytest.mark.parametrize(
    ("mode", "profile"),
    [pytest.param("massif", "both", marks=needs("valgrind")), ("pprofile", "both"), ("pprofile", "agent")],
)
async def test_so_are_programs_under_tools_that_slow_python_down(mode: Mode, profile: str, tmp_path: Path) -> None:
    """Of a program that does next to nothing: the stand-in under them is in test_windows_standin."""
    settings = two_that_speak(tmp_path, profiler=mode, profile=profile)
    profiled = {"both": ["one", "other"], "agent": ["other"]}[profile]
    async with session_of(settings, tmp_path / "profiles") as session:
        pids = [await session.backend.host_pids()]
        async with session.window("step") as cut:
            pids.append(await session.backend.host_pids())
        pids.append(await session.backend.host_pids())
        assert await session.condition() == {"one": "", "other": ""}
    # for each window of pprofile what is profiled is started again, and nothing else
    starts = {name: len({each[role] for each in pids}) for name, role in (("one", "service"), ("other", "agent"))}
    assert starts == {name: 3 if mode == "pprofile" and name in profiled else 1 for name in ("one", "other")}
    assert [window.service for window in cut.windows] == profiled
    for window in cut.windows:
        found = window_profile(window)
        assert found.total(found.metric_names[0]) > 0
        if mode == "pprofile":
            scripts = [name for name in ("one", "other") if found.functions["file"].str.endswith(f"/{name}.py").any()]
            assert scripts == [window.service]


@needs("strace")
async def test_a_session_in_python_takes_the_same_settings(tmp_path: Path) -> None:
    given = commands(tmp_path)
    programs = {"service_command": given.service_command, "agent_command": given.agent_command}
    under = workbench.profiling("strace", out=tmp_path / "out", profile="agent", **programs)
    async with under as session, session.window("one") as cut:
        await pay(session, tmp_path)
    assert [window.service for window in cut.windows] == [AGENT]


async def test_addresses_are_what_was_given_then_said_then_configured(tmp_path: Path) -> None:
    config = tmp_path / "service.toml"
    config.write_text(
        '[service]\nhost_and_port = "0.0.0.0:1"\n[database]\npostgres_url = "postgres://u:hidden@db:5/n"\n'
        '[subgraphs.network]\nquery_url = "http://127.0.0.1:2/net"\n[metrics]\nport = 3\n'
    )
    said = speaking(tmp_path, "speaks", service_url="http://127.0.0.1:4", graph_url="http://127.0.0.1:5")
    command = f"{said} --config {shlex.quote(str(config))}"
    settings = Settings.resolve(service_command=command, graph_url="http://127.0.0.1:6")
    async with session_of(settings, tmp_path / "profiles") as session:
        assert session.addresses == {
            "target": "http://127.0.0.1:4",
            "graph_url": "http://127.0.0.1:6",
            "service_metrics_url": "http://127.0.0.1:3/metrics",
            "database_url": "postgres://u:hidden@db:5/n",
        }
        assert session.backend.services == ("speaks",)
        # another process finds the same, and no file has the password
        facts = json.dumps(session.backend.to_json())
        assert "hidden" not in facts
        assert backend_from_json(json.loads(facts)).addresses() == session.backend.addresses()


async def test_a_program_that_never_says_where_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "SAY_TIMEOUT_S", 0.5)
    settings = Settings.resolve(service_command=shlex.join([sys.executable, "-c", "import time; time.sleep(600)"]))
    with pytest.raises(
        TargetError, match=r"did not answer within 0 s: it has not reported .* Give its address with --tar"
    ):
        await backend_of(settings, tmp_path).start("none")


async def test_ports_that_are_taken_are_said_and_nobody_is_stopped_for_a_command(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        other = free_port()
        for service, metrics in ((port, other), (other, port)):
            config = tmp_path / "service.toml"
            config.write_text(f'[service]\nhost_and_port = "127.0.0.1:{service}"\n[metrics]\nport = {metrics}\n')
            settings = Settings.resolve(service_command=f"sleep 600 --config {config}")
            with pytest.raises(ToolError, match=f"sleep: port {port} is taken by process {os.getpid()}"):
                await backend_of(settings, tmp_path).start("none")


async def test_a_program_that_ends_at_once_is_shown_with_its_last_lines_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, words = "0x" + "5e" * 32, "test test junk"
    config = tmp_path / "agent.toml"
    config.write_text(f'[indexer]\noperator_mnemonic = "{words}"\n[metrics]\nport = {free_port()}\n')
    script = tmp_path / "agent.py"
    script.write_text(
        f"import sys; sys.exit('first line\\nkey {key}\\nmnemonic {words}\\npostgres://me:pass@db/x\\nlast line')"
    )
    command = shlex.join([sys.executable, str(script), "--config", str(config)])
    settings = Settings.resolve(agent_command=command, profile="agent")
    with pytest.raises(ToolError) as told:
        await backend_of(settings, tmp_path).start("none")
    assert "with code 1: first line / key *** / mnemonic *** / postgres://***@db/x / last line" in str(told.value)


async def test_of_two_programs_a_failure_of_the_second_leaves_neither(tmp_path: Path) -> None:
    settings = commands(tmp_path)
    settings = settings.model_copy(update={"agent_command": shlex.join([sys.executable, "-c", "exit(3)"])})
    backend = backend_of(settings, tmp_path)
    with pytest.raises(ToolError, match="ended before it answered, with code 3"):
        await backend.start("none")
    assert not backend.running
    assert await backend.host_pids() == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"target": "http://127.0.0.1:9"},
            r"--target: a running service \(http://127.0.0.1:9\) cannot be put",
        ),
        ({"service_command": "x", "compose": "y.yml"}, "--compose: a compose file and a command were given"),
        ({"service_command": "A=1 B=2"}, "--service: expected a command, found only variables: A, B"),
        ({"service_command": "x --config no.toml"}, r"no.toml: cannot read the configuration: No such file"),
        (
            {"service_command": "x", "profile": "both", "profiler": "strace"},
            "--profile: there is no command for the agent, which should be profiled.* --agent, .* --profile service",
        ),
    ],
)
def test_settings_that_name_nothing_to_start(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        backend_of(Settings.resolve(**settings), tmp_path)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("indexer-service-rs --config a.toml", "indexer-service-rs"),
        ("/opt/bin/indexer-tap-agent", "indexer-tap-agent"),
        ("python3.12 -u -m package.module --role x", "package.module"),
        ("python server.py", "server"),
        ("python -c pass", "python"),
    ],
)
def test_a_program_has_the_name_of_its_file(command: str, name: str) -> None:
    assert name_of(tuple(command.split())) == name


async def test_variables_before_a_command_are_its_own(tmp_path: Path) -> None:
    script = "import os, time; print(os.environ['RUST_LOG'], os.getcwd(), flush=True); time.sleep(600)"
    command = f"RUST_LOG=debug {shlex.join([sys.executable, '-c', script])}"
    settings = Settings.resolve(service_command=command, target=f"http://127.0.0.1:{free_port()}")
    (service,) = services_of(settings)
    backend = LocalBackend(replace(service, given={}, announces=False), tmp_path)
    await backend.start("none")
    await eventually(lambda: backend.output(service.name) == f"debug {Path.cwd()}\n")
    await backend.stop()


@needs("strace")
@pytest.mark.parametrize("first", ["workbench", "guardian"])
async def test_kill_9_of_the_workbench_leaves_neither_program(first: str, tmp_path: Path) -> None:
    settings = commands(tmp_path, profiler="strace", profile="both")
    source = (
        "import asyncio, json, sys\n"
        "from pathlib import Path\n"
        "from workbench.profilers.commands import backend_of\n"
        "from workbench.settings import Settings\n"
        "async def main():\n"
        "    backend = backend_of(Settings(**json.loads(sys.argv[1])), Path(sys.argv[2]))\n"
        "    await backend.start('strace')\n"
        "    print(json.dumps(await backend.host_pids()), flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    given = json.dumps({name: getattr(settings, name) for name in ("service_command", "agent_command", "profile")})
    process = subprocess.Popen(
        [sys.executable, "-c", source, given, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pids = json.loads(process.stdout.readline())
    if first == "guardian":  # another takes its place
        killed = _guardian_of(process.pid)
        assert killed is not None
        killed.kill()
        await eventually(lambda: _guardian_of(process.pid) not in (None, killed))
    process.kill()
    process.communicate()
    await eventually(lambda: not any(map(psutil.pid_exists, pids.values())), 60)
    logs = [tmp_path / "out" / name / "strace" / "strace.log" for name in (SERVICE, AGENT)]
    await eventually(lambda: all("+++ exited with 0 +++" in log.read_text() for log in logs), 60)


GUARDING = "workbench.profilers.backends.guarding"


def _guardian_of(pid: int) -> psutil.Process | None:
    """The process beside a workbench that waits for its end, once it waits."""
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            if GUARDING in child.cmdline() and child.status() == psutil.STATUS_SLEEPING:
                return child
    return None


WINDOWS = """
import asyncio, json, sys
from pathlib import Path
from workbench.profilers.commands import backend_of
from workbench.profilers.session import profiling_session
from workbench.settings import Settings

async def main():
    settings, out = Settings(**json.loads(sys.argv[1])), Path(sys.argv[2])
    async with profiling_session(settings.profiler, backend_of(settings, out), out) as session:
        for number in range(1000):
            async with session.window(f"window-{number}"):
                pass

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", range(4))
def test_kill_9_at_any_moment_leaves_no_process(moment: int, tmp_path: Path) -> None:
    """Of a mode that starts the programs again for each window; what is left fails every test here."""
    settings = two_that_speak(tmp_path, profiler="pprofile", profile="both")
    names = ("service_command", "agent_command", "profile", "profiler")
    given = json.dumps({name: getattr(settings, name) for name in names})
    process = subprocess.Popen([sys.executable, "-c", WINDOWS, given, str(tmp_path / "out")])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(random.uniform(0.3, 4))
    process.kill()
    process.wait()


def test_what_was_started_and_not_told_of_yet_is_ended_by_its_mark(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env=environment(**{MARK: "this"})
    )
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment(**{MARK: "that"}))
    try:
        guardian = Guardian()
        guardian.tell(
            {
                "backend": LocalBackend(LocalService("x", ("true",)), tmp_path).to_json(),
                "environments": {},
                "mark": "this",
            }
        )
        assert guardian._process is not None
        assert guardian._process.stdin is not None
        guardian._process.stdin.close()  # as when the workbench is killed
        assert guardian._process.wait(30) == 0
        assert process.wait(30) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for one in (process, other):
            one.kill()
            one.wait()


def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    own = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
    foreign = tmp_path / "foreign"
    own[18:20] = (243 if own[18] != 243 else 62).to_bytes(2, "little")
    foreign.write_bytes(own)
    with pytest.raises(SettingsError, match=r"foreign is not executable\. Make it so: chmod \+x"):
        require_program(str(foreign), "x")
    foreign.chmod(0o755)
    with pytest.raises(
        SettingsError, match=r"is a program for (riscv|x86-64), but this machine is \S+\. Build it for this"
    ):
        require_program(str(foreign), "x")
    with pytest.raises(SettingsError, match=r"there is no program not-to-be-found. Give its path"):
        require_program("not-to-be-found", "x")
    with pytest.raises(SettingsError, match=r"is a folder\. Give the program's own path"):
        require_program(str(tmp_path), "x")
    for nothing in ("", "url = 1\n", "a pointer of Git LFS\n"):
        foreign.write_text(nothing)
        with pytest.raises(SettingsError, match=r"foreign is neither a program nor a script"):
            require_program(str(foreign), "x")
    assert require_program("sh", "x").name == "sh"
    # a script is told from its folder, as a shell in that folder finds it
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert require_program("./script", "x", tmp_path) == tmp_path / "script"

"""The compose backend against a real engine: the stand-in of contrib/profiling, and files shaped like indexer-rs's."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import get_args
from urllib.request import urlopen

import pytest

import workbench
from tests.profilers.engine import SERVICES, compose, containers, need_image, out, project, standin, states
from workbench.errors import SettingsError, TargetError, ToolError
from workbench.profilers.backends.compose import ComposeBackend
from workbench.profilers.backends.docker import inspect, open_up
from workbench.profilers.modes import Mode
from workbench.profilers.session import profiling_session
from workbench.profilers.tools.chosen import tool_of

pytestmark = pytest.mark.docker

RECEIPTS = 20
FILE = "docker-compose.yml"


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    need_image()


@pytest.fixture(scope="module")
def one_stack(image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stand-in's folder; one for all tests, since each start of a service takes its time."""
    with standin(tmp_path_factory.mktemp("stack")) as folder:
        yield folder


PLAIN = dict.fromkeys(SERVICES, ("running", "none"))


@pytest.fixture
def stack(one_stack: Path) -> Path:
    """The stand-in, running without a profiler as an engineer left it."""
    if states(one_stack) != PLAIN:
        out(*compose(), "-f", str(one_stack / FILE), "up", "-d", "--force-recreate", "--timeout", "0")
    return one_stack


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with project(tmp_path) as made:
        yield made


def again(backend: ComposeBackend) -> ComposeBackend:
    """The backend in another process, as far as that can tell."""
    return ComposeBackend.from_json(json.loads(json.dumps(backend.to_json())))


async def healthy(backend: ComposeBackend) -> dict[str, str]:
    return {service: await backend.condition(service) for service in backend.services}


HEALTHY = dict.fromkeys(SERVICES, "")


async def pay(runs: Path) -> None:
    """Paid queries through the published ports; the tap-agent counts them."""
    result = await workbench.load(
        target="http://127.0.0.1:7601",
        graph_url="http://127.0.0.1:8000/subgraphs/name/graph-network",
        service_metrics_url="http://127.0.0.1:7302/metrics",
        agent_metrics_url="http://127.0.0.1:7303/metrics",
        num_receipts=RECEIPTS,
        concurrency=2,
        timeout_s=60,
        settle_timeout_s=120,
        runs_dir=runs,
    )
    assert result.summary["outcomes"] == {"ok": RECEIPTS}


def totals(path: Path) -> float:
    """A profile's largest total, over all metrics; the file is complete, or it cannot be read."""
    return totals_of(workbench.read_profile(path))


def totals_of(profile: workbench.Profile) -> float:
    return float(profile.functions.select_dtypes("number").max().max())


# callgrind from the first instruction takes minutes to start; its instrumentation is switched on where it is wanted
EXTRA: dict[Mode, tuple[str, ...]] = {"callgrind": ("--instr-atstart=no",)}
PROFILING = [mode for mode in get_args(Mode) if mode != "none"]
# where Python starts for many seconds one service is enough: the other goes on as it was
ALONE: dict[Mode, tuple[str, ...]] = {
    "massif": ("tap-agent",),
    "callgrind": ("indexer-service",),
    "pprofile": ("tap-agent",),
}


@pytest.mark.parametrize("mode", PROFILING)
async def test_a_mode_from_start_to_restore(stack: Path, tmp_path: Path, mode: Mode) -> None:
    chosen = ALONE.get(mode, SERVICES)
    backend = ComposeBackend(stack / FILE, services=chosen)
    output = tool_of(mode).output
    for service in chosen:
        (stack / service / (output or "profile-0.pb")).write_text("of an earlier run")
    await backend.start(mode, extra=EXTRA.get(mode, ()))
    assert await healthy(backend) == dict.fromkeys(chosen, "")
    profiled = dict.fromkeys(chosen, ("running", "valgrind" if mode == "massif" else mode))
    assert states(stack) == {**PLAIN, **profiled}
    for service in chosen:
        place = backend.place(service)
        assert (place.inside, place.host) == (PurePosixPath("/opt/profiling", service), stack / service)
        assert [path.read_text() for path in (stack / service / "earlier").glob(f"*-{output or 'profile-0.pb'}")] == [
            "of an earlier run"
        ]
        pid = await backend.pid(service)
        assert f"--role\0{service.rpartition('-')[2]}\0" in await backend.execute(
            service, "cat", f"/proc/{pid}/cmdline"
        )
        assert (pid == 1) is (mode != "strace")
        if mode == "callgrind":
            await backend.execute(service, "callgrind_control", "-i", "on", str(pid))
    await pay(tmp_path)

    with pytest.raises(ToolError, match="it is already started"):
        await backend.start(mode)
    backend = again(backend)
    ended = {each.service: each for each in await backend.stop()}
    assert [(ended[service].exit_code, ended[service].killed) for service in chosen] == [(0, False)] * len(chosen)
    for service in chosen:
        names = [output] if output else ["flamegraph-*.svg", "profile-*.pb"]
        for path in (path for name in names for path in sorted((stack / service).glob(name))[-1:]):
            assert totals(path) > 0
            if mode == "strace":
                assert path.read_text().rstrip().endswith("+++ exited with 0 +++")
    assert [each.seconds for each in await backend.stop()] == [0.0] * len(chosen)  # told again, not done again

    assert await again(backend).restore()
    assert states(stack) == PLAIN
    assert await healthy(ComposeBackend(stack / FILE)) == HEALTHY
    with urlopen("http://127.0.0.1:7303/metrics", timeout=30) as answer:
        assert b"tap_" in answer.read()


@pytest.mark.parametrize(("mode", "attach"), [("strace", False), ("strace", True), ("pprofile", False)])
async def test_a_window_where_the_container_lacks_procps_and_an_init(
    stack: Path, tmp_path: Path, mode: Mode, attach: bool
) -> None:
    # no kill but the shell's, and nobody who reaps what an attached strace leaves
    backend = ComposeBackend(stack / FILE, services=["indexer-service"])
    async with (
        profiling_session(mode, backend, tmp_path / "out", attach=attach) as session,
        session.window("step-1") as cut,
    ):
        await pay(tmp_path)
    assert [totals_of(profile) > 0 for profile in cut.profiles] == [True]
    assert session.restored
    assert states(stack) == PLAIN


async def test_a_service_that_dies_at_its_start(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ComposeBackend(stack / FILE)
    with monkeypatch.context() as patch:
        patch.setenv("WORKBENCH_LIMIT_GRT", "much")
        with pytest.raises(
            ToolError, match=r"ended with exit code 2: workbench: .*LIMIT_GRT.*not restored: .* Its log"
        ):
            await backend.start("strace")
        assert "LIMIT_GRT" in (stack / "indexer-service" / "service.log").read_text()
        # what ran before would be started with the same bad variable
        assert "exited with exit code 2" in await backend.condition("indexer-service")
        with pytest.raises(ToolError, match="its container is exited with exit code 2: workbench"):
            await backend.pid("indexer-service")
    assert await backend.restore()
    assert states(stack) == PLAIN
    assert await healthy(backend) == HEALTHY


async def test_a_start_that_is_cancelled_brings_back_what_ran(stack: Path) -> None:
    backend = ComposeBackend(stack / FILE)
    start = asyncio.create_task(backend.start("massif"))
    while set(states(stack).values()) != {("running", "valgrind")}:
        await asyncio.sleep(0.1)
        assert not start.done()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert states(stack) == PLAIN
    assert await healthy(backend) == HEALTHY
    assert not await backend.restore()


async def test_without_any_privilege_and_as_a_user_of_ones_own(
    one_stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out(*compose(), "-f", str(one_stack / FILE), "down", "--timeout", "0")  # its ports are wanted
    monkeypatch.setenv("PROFILING_USER", "1234:1234")
    with standin(tmp_path) as folder:
        for service in SERVICES:
            os.chown(folder / service, 1234, 1234)
        backend = ComposeBackend(
            folder / FILE, folder / "docker-compose.unprivileged.yml", services=["indexer-service"]
        )
        await backend.start("strace")
        effective = await backend.execute("indexer-service", "grep", "CapEff", "/proc/1/status")
        assert effective.split() == ["CapEff:", "0" * 16]
        await backend.stop()
        log = folder / "indexer-service" / "strace.log"
        assert (log.stat().st_uid, totals(log) > 0) == (1234, True)
        # nothing ran before
        await backend.restore()
        assert states(folder) == {}


# files of another shape


# process 1 takes no SIGTERM without a handler
SLEEP = 'trap "exit 0" TERM; echo waiting for ever; sleep 300 & wait'
ANSWERS = 'trap "exit 0" TERM; python3 -m http.server 80 & wait'


def services(script: str, *, profiler: str = "PROFILER: ${PROFILER:-none}", more: str = "") -> str:
    """Two services as in indexer-rs: one folder mounted over both, names of their own, no variable for flags."""
    parts = ["services:"]
    for service in SERVICES:
        parts.append(f"""
  {service}:
    image: indexer-workbench-profiling:latest
    entrypoint: ["/bin/sh", "-c", '{script}']
    container_name: workbench-test-{service}
    environment:
      RUST_BACKTRACE: 1
      {profiler}
    volumes:
      - ./profiling:/opt/profiling:rw
{more}""")
    return "\n".join(parts)


HEALTHCHECK = """
    healthcheck:
      test: curl -f http://localhost:80/
"""


async def test_what_ran_from_another_file_comes_back(folder: Path) -> None:
    production, development = folder / FILE, folder / "docker-compose.dev.yml"
    production.write_text(services(ANSWERS, more=HEALTHCHECK))
    development.write_text(services("exec strace -o /opt/profiling/x.log python3 -m http.server 80", more=HEALTHCHECK))
    out(*compose(), "-f", str(production), "up", "-d", "indexer-service")
    backend = ComposeBackend(development)
    told: list[ComposeBackend] = []
    backend.changed = lambda: told.append(again(backend))
    await backend.start("strace")
    assert backend.place("tap-agent").host == folder / "profiling" / "tap-agent"
    assert backend.place("tap-agent").host.is_dir()
    assert set(states(folder).values()) == {("running", "strace")}
    await backend.stop()
    written = folder / "profiling" / "tap-agent" / "of-root-alone"
    written.write_text("")
    written.chmod(0o600)
    (stopped,) = await inspect(containers(folder)["tap-agent"]["Id"])
    await open_up(stopped, PurePosixPath("/opt/profiling/tap-agent"))
    assert written.stat().st_mode & 0o777 == 0o666
    # as a process does that was killed when it had only begun to start
    assert await told[0].restore()
    assert states(folder) == {"indexer-service": ("running", "none")}
    label = containers(folder)["indexer-service"]["Config"]["Labels"]["com.docker.compose.project.config_files"]
    assert label == str(production)


async def test_what_a_compose_file_cannot_do_is_said_before_anything_is_touched(folder: Path) -> None:
    file = folder / FILE
    file.write_text(services(SLEEP))
    with pytest.raises(SettingsError, match=r"do not use the variable PROFILER_FLAGS. Use the flags of its own"):
        await ComposeBackend(file).start("strace", extra=["-y"])
    with pytest.raises(SettingsError, match=r"there is no service gateway. There are"):
        await ComposeBackend(file, services=["gateway"]).start("strace")
    file.write_text(services(SLEEP, profiler="OTHER: 1"))
    with pytest.raises(SettingsError, match=r"do not use the variable PROFILER. Give a file"):
        await ComposeBackend(file).start("strace")
    file.write_text("services: [")
    with pytest.raises(ToolError, match=f"{file}: .*config failed: "):
        await ComposeBackend(file).start("strace")
    assert states(folder) == {}


async def test_a_service_that_never_answers_and_one_that_does_not_stop(folder: Path) -> None:
    file = folder / FILE
    file.write_text(services(SLEEP, more=HEALTHCHECK))
    backend = ComposeBackend(file, services=["tap-agent"], ready_timeout_s=2)
    with pytest.raises(TargetError, match=r"does not answer after 2 s: its health check: .*; its last line: waiting"):
        await backend.start("strace")
    assert states(folder) == {}
    assert "waiting for ever" in (folder / "profiling" / "tap-agent" / "service.log").read_text()

    file.write_text(services("exec sleep 300"))
    backend = ComposeBackend(file, services=["tap-agent"])
    await backend.start("callgrind")
    (ended,) = await backend.stop(timeout_s=1)
    assert (ended.exit_code, ended.killed, ended.seconds >= 1) == (137, True, True)
    await backend.restore()
    assert states(folder) == {}
    with pytest.raises(ToolError, match="there is no container to stop"):
        await backend.stop()


async def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    file = folder / FILE
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file.write_text(
            services(
                SLEEP,
                more=f"""
    ports: ["127.0.0.1:{port}:80"]
""",
            )
        )
        backend = ComposeBackend(file, services=["tap-agent"])
        with pytest.raises(ToolError, match=rf"{file}: .* up failed: .*:{port}.* in use"):
            await backend.start("none")
    assert states(folder) == {}


LATE = "import signal, sys, time; time.sleep(3); signal.signal(15, lambda *_: sys.exit(7)); time.sleep(300)"


async def test_a_service_that_has_no_handler_yet_is_stopped_when_it_has_one(folder: Path) -> None:
    # to process 1 the kernel delivers no signal that it does not handle: docker's own stop waits for nothing here
    file = folder / FILE
    file.write_text(services(f'exec python3 -c "{LATE}"'))
    backend = ComposeBackend(file, services=["tap-agent"])
    await backend.start("none")
    (ended,) = await backend.stop()
    assert (ended.exit_code, ended.killed, ended.seconds < 60) == (7, False, True)
    await backend.restore()


async def test_outputs_that_would_be_lost(folder: Path) -> None:
    file = folder / FILE
    file.write_text(services(SLEEP).replace("./profiling:", "profiling:") + "\nvolumes:\n  profiling:\n")
    backend = ComposeBackend(file)
    with pytest.raises(ToolError, match="no folder of this machine is mounted at /opt/profiling/indexer-service"):
        await backend.start("strace")
    assert states(folder) == {}


async def test_an_engine_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / FILE).write_text(services(SLEEP))
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{folder}/none.sock")
        with pytest.raises(ToolError, match=r"no docker engine answers: .*Start it"):
            await ComposeBackend(folder / FILE).start("strace")

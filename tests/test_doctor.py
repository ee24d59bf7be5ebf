"""The doctor: what it finds, what it says to do about it, and the code it ends with."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.calibration.made import calibration, offer
from workbench import doctor
from workbench.calibration.identity import identity
from workbench.calibration.stored import keep
from workbench.doctor import machine, packages, programs, service, tools
from workbench.doctor.calibration import calibrated
from workbench.doctor.check import Check
from workbench.runs import machine as this_machine
from workbench.runs.folder import utc_now
from workbench.settings import Settings
from workbench.standin.server import Standin

REQUIREMENTS = [
    Requirement(line)
    for line in (
        "aiohttp>=3.12,<4",
        "nothing-like-this>=1",
        "pandas<4,>=3.0",
        "winonly>=1; sys_platform == 'nowhere'",
        "distributed>=2026.1; extra == 'distributed'",
    )
]


def versions(**installed: str) -> Callable[[str], str | None]:
    return lambda name: installed.get(name.replace("-", "_"))


def by_name(checks: list[Check]) -> dict[str, Check]:
    named = {check.name: check for check in checks}
    assert len(named) == len(checks)
    return named


# the table and the exit code


def test_only_failed_checks_decide_the_exit_code() -> None:
    fine = [Check("a", "ok", "x"), Check("b", "missing", "x", "y"), Check("c", "warning", "x", "y")]
    assert doctor.exit_code(fine) == 0
    assert doctor.exit_code([*fine, Check("d", "failed", "x", exit_code=3)]) == 3
    assert doctor.exit_code([Check("d", "failed", "x", exit_code=2), Check("e", "failed", "x", exit_code=3)]) == 2


def test_the_table_shows_every_finding_and_the_whole_command() -> None:
    command = "pip install " + "x" * 200
    text = doctor.render([Check("one", "ok", "word " * 60), Check("another", "missing", "gone", command)])
    lines = text.splitlines()
    assert lines[0].startswith("ok       one      word word")
    assert text.count("word") == 60
    assert f"-> {command}" in text
    assert max(len(line) for line in lines if "->" not in line) <= 110
    assert lines[-1] == "1 missing"
    assert doctor.render([Check("one", "ok", "x")]).endswith("nothing to fix")


# packages


def test_each_unmet_requirement_is_named_with_its_command() -> None:
    found = by_name(packages.required(REQUIREMENTS, versions(aiohttp="3.14.5", pandas="2.3.0")))
    assert set(found) == {"nothing-like-this", "pandas"}  # no row for the marker that does not hold, nor the extra
    assert {check.status for check in found.values()} == {"failed"}
    assert found["pandas"].found == "2.3.0 installed, wanted <4,>=3.0"
    assert found["pandas"].mend == f"{sys.executable} -m pip install 'pandas<4,>=3.0'"
    assert "not installed" in found["nothing-like-this"].found
    assert doctor.exit_code(found.values()) == 2


def test_met_requirements_are_one_row() -> None:
    met = versions(aiohttp="3.14.5", pandas="3.1.0", nothing_like_this="1")
    (row,) = packages.required(REQUIREMENTS, met)
    assert (row.status, row.found) == ("ok", "all 3 required packages in their ranges")


def test_a_missing_extra_is_no_failure() -> None:
    row = packages.extra("distributed", REQUIREMENTS, versions())
    assert (row.status, row.exit_code) == ("missing", 0)
    assert "distributed>=2026.1" in row.mend
    assert packages.extra("distributed", REQUIREMENTS, versions(distributed="2026.8.0")).status == "ok"


@pytest.mark.parametrize(("version", "status"), [("3.11.7", "ok"), ("3.14.0", "failed"), ("3.10.1", "failed")])
def test_python_is_held_against_requires_python(version: str, status: str) -> None:
    assert packages.python(version, SpecifierSet(">=3.11,<3.14")).status == status


def test_this_environment_is_complete() -> None:
    assert [check for check in packages.checks() if check.status == "failed"] == []


def test_a_kernel_of_another_environment_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for program, status in (("python", "ok"), (sys.executable, "ok"), ("/opt/other/bin/python", "failed")):
        (kernel / "kernel.json").write_text(
            f'{{"argv": ["{program}", "-m", "ipykernel_launcher"], "display_name": "x", "language": "python"}}'
        )
        assert packages.kernelspec().status == status, program


# tools


def fake(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_missing_tools_name_the_command_and_what_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fake(tmp_path, "dnf", "exit 0")
    monkeypatch.setattr(sys, "platform", "linux")
    found = by_name(tools.checks())
    assert {name: check.status for name, check in found.items()} == dict.fromkeys(
        ("valgrind", "strace", "docker"), "missing"
    )
    assert found["valgrind"].mend.endswith("dnf install -y valgrind")
    assert "callgrind and massif" in found["valgrind"].found
    assert doctor.exit_code(found.values()) == 0


def test_tools_that_are_there_say_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fake(tmp_path, "valgrind", 'echo "valgrind-3.24.0"')
    fake(tmp_path, "strace", 'echo "cannot load libunwind" >&2; exit 127')
    fake(tmp_path, "docker", '[ "$1" = --version ] && echo "Docker 28" || { echo "no daemon" >&2; exit 1; }')
    found = by_name(tools.checks())
    assert found["valgrind"].found == f"valgrind-3.24.0 at {tmp_path}/valgrind"
    assert found["strace"].status == "warning"
    assert "cannot load libunwind" in found["strace"].found
    assert found["docker"].status == "ok"
    assert (found["docker engine"].status, "no daemon" in found["docker engine"].found) == ("missing", True)
    assert found["docker compose"].status == "missing"


def test_a_tool_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TIMEOUT_S", 0.2)
    assert tools.output("sleep", "60") == (-1, "no answer within 0 s")


@pytest.mark.parametrize(("user", "command"), [(0, "a || b"), (1000, "sudo a || sudo b")])
def test_sudo_is_said_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, user: int, command: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    commands: dict[tools.Installer, str] = {"apt-get": "a || b", "brew": "c || d"}
    assert tools.mend(commands, "apt-get") == command
    assert tools.mend(commands, "brew") == "c || d"


# machine


def test_a_stepped_clock_is_a_warning() -> None:
    before = machine.Clocks(1_700_000_000.0, 50.0)
    assert machine.steady_clock(before, machine.Clocks(1_700_000_002.0, 52.01)).status == "ok"
    stepped = machine.steady_clock(before, machine.Clocks(1_700_000_031.0, 51.0))
    assert (stepped.status, "+30.0 s" in stepped.found) == ("warning", True)


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GiB free" in machine.disk(tmp_path / "not" / "yet").found
    monkeypatch.setattr(machine, "MIN_FREE_BYTES", 1 << 80)
    assert machine.disk(tmp_path).status == "warning"


def test_the_run_folder_is_not_made_by_looking(tmp_path: Path) -> None:
    assert machine.writable(tmp_path / "data" / "runs").status == "ok"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    found = machine.writable(tmp_path / "file" / "runs")
    assert (found.status, found.exit_code) == ("failed", 2)


@contextmanager
def soft_limit(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_of_open_files_is_held_against_the_requests_in_flight() -> None:
    with soft_limit(512):
        assert machine.open_files(Settings(max_in_flight=300)).status == "ok"
        for settings in (Settings(max_in_flight=500), Settings(max_in_flight=1, concurrency=500)):
            found = machine.open_files(settings)
            assert (found.status, found.mend) == ("warning", "ulimit -n 628")


def test_a_port_in_use_is_named_with_its_holder_and_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        free = {"service_port": 0, "service_metrics_port": 0, "graph_port": 0}
        (found,) = machine.ports(Settings(agent_metrics_port=port, **free))
        assert (found.name, found.status) == (f"port {port}", "warning")
        assert f"(pid {os.getpid()})" in found.found
        assert found.mend == "workbench standin --agent-metrics-port 0"
    assert machine.ports(Settings(agent_metrics_port=port, **free))[0].status == "ok"


# the target


@asynccontextmanager
async def served(**answers: web.Response) -> AsyncIterator[str]:
    """A server that gives each path its answer: ``root`` for "/"; everything else is a 404."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return answers.get(request.path.strip("/") or "root") or web.Response(status=404)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


UP = "Service is up and running"
HEALTHY = '{"status":"healthy","checks":{"database":{"status":"healthy"},"graph_node":{"status":"healthy"}}}'
SICK = '{"status":"unhealthy","checks":{"database":{"status":"unhealthy"},"graph_node":{"status":"healthy"}}}'


async def test_a_healthy_target() -> None:
    async with served(
        root=web.Response(text=UP),
        healthz=web.Response(text=HEALTHY),
        service=web.Response(text="indexer_tap_invalid_total 0\n"),
        agent=web.Response(text="python_info 1\n"),
    ) as url:
        settings = Settings(target=url, service_metrics_url=f"{url}/service", agent_metrics_url=f"{url}/agent")
        found = by_name(await service.checks(settings))
    assert {name: check.status for name, check in found.items()} == {
        "target": "ok",
        "target health": "ok",
        "target clock": "ok",
        "service metrics": "ok",
        "agent metrics": "warning",  # answers, but has nothing of a tap-agent
        "database": "missing",
        "preflight": "warning",  # without an allocation there is nothing to ask
    }
    assert found["target health"].found == "database healthy, graph_node healthy"


async def test_an_unhealthy_target_is_exit_code_3() -> None:
    sick = web.Response(text=SICK, status=503, headers={"Date": formatdate(1_700_000_000, usegmt=True)})
    async with served(root=web.Response(text=UP), healthz=sick) as url:
        checks = await service.checks(Settings(target=url, agent_metrics_url=f"{url}/gone"))
    found = by_name(checks)
    assert {name for name, check in found.items() if check.status == "failed"} == {
        "target health",
        "target clock",
        "agent metrics",
    }
    assert "database unhealthy" in found["target health"].found
    assert found["service metrics"].status == "missing"
    assert doctor.exit_code(checks) == 3


async def test_what_a_run_would_be_told_before_its_first_receipt_is_shown() -> None:
    ports = dict.fromkeys(("service_port", "service_metrics_port", "agent_metrics_port", "graph_port"), 0)
    for limit_grt, expected in (("1", {"preflight probe": "ok"}), ("0", {"preflight denied": "failed"})):
        async with Standin(Settings.resolve(**ports, limit_grt=limit_grt)) as standin:
            endpoints = standin.endpoints
            settings = Settings(
                target=endpoints.service_url,
                graph_url=endpoints.graph_url,
                agent_metrics_url=endpoints.agent_metrics_url,
                database_url="postgresql://indexer:s3cret@127.0.0.1:9/none",
            )
            found = await service.checks(settings)
            without = await service.checks(settings.model_copy(update={"database_url": None}))
        assert by_name(found)["database"].status == "failed"
        assert "s3cret" not in repr(found)
        preflight = {name: check for name, check in by_name(without).items() if name.startswith("preflight")}
        assert {name: check.status for name, check in preflight.items()} == expected
        assert doctor.exit_code(without) == (0 if limit_grt == "1" else 3)


@pytest.mark.parametrize(
    ("rust_log", "status", "said"),
    [
        (None, "ok", "RUST_LOG is not set"),
        ("info", "ok", "'info'"),
        ("warn,indexer_service_rs=debug", "failed", "indexer_service_rs=debug"),
        ("trace", "failed", "trace"),
    ],
)
def test_a_program_that_logs_much_is_named(
    rust_log: str | None, status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUST_LOG", raising=False)
    prefix = "" if rust_log is None else f"RUST_LOG={rust_log} "
    (row,) = programs.log_levels(Settings(service_command=f"{prefix}indexer-service-rs --config a.toml"))
    assert (row.name, row.status, row.exit_code) == ("log level of indexer-service", status, 3 if row.mend else 0)
    assert said in row.found


async def test_a_service_that_runs_is_asked_of_the_kernel() -> None:
    """The process that listens, whoever started it: its environment says at which level it logs."""
    code = (
        "import socket, sys\nwith socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    print(server.getsockname()[1], flush=True)\n    sys.stdin.read()\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env={**os.environ, "RUST_LOG": "debug"}, stdin=-1, stdout=-1
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    (row,) = programs.log_levels(Settings(target=f"http://127.0.0.1:{port}"))
    assert (row.status, "'debug'" in row.found, "RUST_LOG=info" in row.mend) == ("failed", True, True)
    process.kill()
    await process.communicate()
    assert programs.log_levels(Settings(target=f"http://127.0.0.1:{port}")) == []  # nobody listens any more


def test_the_clock_matters_to_a_service_on_another_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(adjtimex=lambda _: machine._TIME_ERROR)
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: kernel)
    away = Settings(target="http://192.0.2.1:7601", allow_remote=True)
    assert machine.synchronised(Settings()).status == "ok"
    assert machine.synchronised(Settings(target="http://127.0.0.1:7601")).status == "ok"
    assert machine.synchronised(away).status == "warning"


def test_an_extra_that_only_building_the_project_uses_is_not_recommended() -> None:
    extras = importlib.metadata.metadata(packages.DISTRIBUTION).get_all("Provides-Extra") or []
    assert set(extras) - set(packages.USES) == {"dev", "docs"}
    assert not [row for row in packages.checks() if row.name in ("extra dev", "extra docs")]
    missing = packages.extra("distributed", REQUIREMENTS, versions())
    assert packages.USES["distributed"] in missing.found


async def test_what_is_no_indexer_service_gets_one_row() -> None:
    async with served(root=web.Response(text="nginx")) as url:
        (found,) = await service.checks(Settings(target=url))
        assert (found.status, found.exit_code) == ("failed", 3)
    (found,) = await service.checks(Settings(target=url))  # now nothing listens there
    assert (found.status, "not reachable" in found.found) == ("failed", True)


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, "ok"), (20, "ok"), (40, "warning"), (-45, "warning"), (90, "failed"), (-90, "failed")]
)
def test_the_targets_clock_is_held_against_the_tolerance(ahead: int, status: str) -> None:
    now = 1_700_000_000.25
    found = service.clock_offset(formatdate(int(now + ahead), usegmt=True), now, now + 0.01, 60)
    assert found.status == status
    assert ("ahead" in found.found, "behind" in found.found) == (ahead > 0, ahead < 0)


@given(st.floats(1e9, 2e9), st.floats(0, 5), st.floats(0, 1))
def test_an_equal_clock_is_never_blamed(sent: float, taken: float, share: float) -> None:
    date = formatdate(int(sent + share * taken), usegmt=True)
    assert "agrees" in service.clock_offset(date, sent, sent + taken, 60).found


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_no_date_is_no_finding(date: str | None) -> None:
    assert service.clock_offset(date, 0, 1, 60).status == "ok"


@given(st.integers(400, 599), st.text())
def test_any_answer_of_healthz_is_one_row(status: int, text: str) -> None:
    assert service.health(status, text).status == ("ok" if status == 404 else "failed")


async def test_the_whole_doctor_shows_no_secret(tmp_path: Path) -> None:
    key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    settings = Settings(
        runs_dir=tmp_path, payers=["0x" + "11" * 20], signer_keys=[key], free_query_token="hidden-token"
    )
    checks = await doctor.checks(settings)
    text = doctor.render(checks) + repr(checks)
    assert {"python", "packages", "valgrind", "disk", "clock", "target"} <= {check.name for check in checks}
    assert key not in text
    assert "hidden-token" not in text
    assert doctor.exit_code(checks) == 0
    assert all(check.mend for check in checks if check.status in ("missing", "failed"))


# calibration


def test_the_doctor_says_whether_the_machine_is_calibrated(tmp_path):
    missing = calibrated(tmp_path)
    assert (missing.status, missing.mend) == ("missing", "workbench calibrate")
    here = identity(this_machine.machine(), this_machine.versions())
    made = utc_now()
    keep(tmp_path, calibration(offer(1, 4321, made=made), offer(2, 8000, made=made, complete=False), identity=here))
    found = calibrated(tmp_path)
    assert found.status == "ok"
    assert "sends in time (lag p99 up to 1 ms): 1 process 4,321/s, 2 processes at least 8,000/s" in found.found
    keep(tmp_path, calibration(offer(1, 4321, made=made, other_cores=1.5), identity=here))
    assert calibrated(tmp_path).status == "warning"
    keep(tmp_path, calibration(offer(1, 4321, made=made), identity={**here, "python": "2.7"}))
    stale = calibrated(tmp_path)
    assert stale.status == "missing"
    assert "made with another Python" in stale.found

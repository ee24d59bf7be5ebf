"""What is read from the engine's answers, and outputs set aside: no engine needed."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from workbench.errors import SettingsError, ToolError
from workbench.profilers.backends.compose import ComposeBackend
from workbench.profilers.backends.docker import parse_container, program_of
from workbench.profilers.backends.outputs import set_aside
from workbench.profilers.modes import Mode

pytestmark = pytest.mark.docker

ORDINARY = "1 (python) S 0 1 1\n20 (cat) R 0 20 20\n"
TRACED = "1 (strace) S 0 1 1\n9 (python) S 1 9 9\n12 (worker) S 9 9 9\n30 (orphan) Z 1 9 9\n40 (cat) R 0 40 40\n"


@pytest.mark.parametrize(
    ("stats", "pid"),
    [
        (ORDINARY, 1),
        (TRACED, 9),
        ("1 (docker-init) S 0 1 1\n7 (strace) S 1 7 7\n8 (a) (b) c) S 7 7 7\n", 8),
        ("1 (strace) S 0 1 1\n", 1),  # it has not started its program yet
        ("", None),
        ("cat: nothing there\n1 (torn", None),
    ],
)
def test_the_program_is_found_behind_strace(stats: str, pid: int | None) -> None:
    assert program_of(stats) == pid


def facts(**config: object) -> dict[str, object]:
    labels = {
        "com.docker.compose.service": "tap-agent",
        "com.docker.compose.project.working_dir": "/stack",
        "com.docker.compose.project.config_files": "a.yml,/other/b.yml",
    }
    return {
        "Id": "abc",
        "Image": "sha256:1",
        "State": {"Status": "exited", "ExitCode": 3},
        "Config": {"Env": ["PROFILER=none", "PASSWORD=x=y", "PROFILER_FLAGS="], "Labels": labels, **config},
        "Mounts": [
            {"Type": "bind", "Source": "/host/profiling", "Destination": "/opt/profiling"},
            {"Type": "bind", "Source": "/host/deep", "Destination": "/opt/profiling/deep"},
            {"Type": "volume", "Source": "/var/lib/x", "Destination": "/data"},
        ],
    }


def test_a_container_as_the_engine_tells_it() -> None:
    container = parse_container(facts(Healthcheck={"Test": ["CMD-SHELL", "curl -f http://localhost/"]}))
    assert container.profiler == {"PROFILER": "none", "PROFILER_FLAGS": ""}
    assert "PASSWORD" not in repr(container)
    assert container.files == ("/stack/a.yml", "/other/b.yml")
    assert container.health_test == ("/bin/sh", "-c", "curl -f http://localhost/")
    assert parse_container(facts(Healthcheck={"Test": ["CMD", "true"]})).health_test == ("true",)
    assert parse_container(facts(Healthcheck={"Test": ["NONE"]})).health_test == ()
    assert parse_container(facts()).health_test == ()


@pytest.mark.parametrize(
    ("inside", "host"),
    [
        ("/opt/profiling/tap-agent", "/host/profiling/tap-agent"),
        ("/opt/profiling/deep/er", "/host/deep/er"),
        ("/opt/profiling", "/host/profiling"),
        ("/data", None),  # a volume is the engine's own
        ("/opt/profilings", None),
    ],
)
def test_the_hosts_folder_is_that_of_the_nearest_mount(inside: str, host: str | None) -> None:
    assert parse_container(facts()).host(PurePosixPath(inside)) == (host and Path(host))


@pytest.mark.parametrize(
    ("mode", "moved"),
    [
        ("callgrind", ["callgrind.out", "callgrind.out.1"]),
        ("strace", ["strace.log"]),
        ("flamegraph", ["flamegraph-2026-01-01-00_00_00-0.svg", "profile-2026-01-01-00_00_00-0.pb"]),
        ("none", []),
    ],
)
def test_earlier_outputs_are_set_aside_and_never_overwritten(tmp_path: Path, mode: Mode, moved: list[str]) -> None:
    names = ["callgrind.out", "callgrind.out.1", "strace.log", "mine.txt", ".gitkeep"]
    names += ["flamegraph-2026-01-01-00_00_00-0.svg", "profile-2026-01-01-00_00_00-0.pb"]
    for text in ("first", "second"):
        for name in names:
            (tmp_path / name).write_text(text)
            os.utime(tmp_path / name, (1_700_000_000, 1_700_000_000))
        aside = set_aside(tmp_path, mode)
        assert [path.read_text() for path in aside] == [text] * len(moved)
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(set(names) - set(moved))
    kept = sorted((tmp_path / "earlier").iterdir()) if moved else []
    assert sorted(path.read_text() for path in kept) == ["first"] * len(moved) + ["second"] * len(moved)
    assert all(path.name.startswith("20231114T221320Z-") for path in kept)


def test_a_compose_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere.yml: there is no such compose file"):
        ComposeBackend(tmp_path / "nowhere.yml")


def compose_file(tmp_path: Path) -> Path:
    file = tmp_path / "docker-compose.yml"
    file.write_text("services: {}\n")
    return file


async def test_docker_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"docker is not installed. Install it"):
        await ComposeBackend(compose_file(tmp_path)).start("strace")


async def test_before_the_start_nothing_is_known_and_nothing_to_bring_back(tmp_path: Path) -> None:
    backend = ComposeBackend(compose_file(tmp_path))
    with pytest.raises(ToolError, match="tap-agent: its output folder is known only after it is started"):
        backend.place("tap-agent")
    with pytest.raises(SettingsError, match="other: there is no such service here"):
        backend.place("other")
    await backend.restore()
    assert ComposeBackend.from_json(backend.to_json()).to_json() == backend.to_json()


async def test_flags_with_spaces_cannot_be_passed_on(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PROFILER_FLAGS: expected a flag without spaces, found 'a b'"):
        await ComposeBackend(compose_file(tmp_path)).start("strace", extra=("a b",))

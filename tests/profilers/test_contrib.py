"""contrib/profiling: the entry script's commands are those of ``modes``, the recipes call the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workbench.profilers.modes import MODES, Mode
from workbench.profilers.tools.chosen import tool_of

FOLDER = Path(__file__).parent.parent.parent / "contrib" / "profiling"
PROGRAM = ("python", "-m", "package", "--two words", "")


def entry(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """start.sh with tools that print what they are called with, one argument a line."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("valgrind", "strace", "python"):
        tool = programs / name
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        tool.chmod(0o755)
    return subprocess.run(
        ["sh", str(FOLDER / "start.sh"), *arguments],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "PROFILING_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def called(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "flamegraph"])
def test_the_entry_script_calls_the_tool_as_the_workbench_does(tmp_path: Path, mode: Mode) -> None:
    folder = tmp_path / "tap-agent"
    assert called(entry(tmp_path, "tap-agent", *PROGRAM, PROFILER=mode)) == tool_of(mode).command(PROGRAM, folder)
    more = ("--one=1", "--two")
    flags = (*tool_of(mode).flags, *more)
    assert called(entry(tmp_path, "tap-agent", *PROGRAM, PROFILER=mode, PROFILER_FLAGS=" ".join(more))) == tool_of(
        mode
    ).command(PROGRAM, folder, flags)
    own = called(entry(tmp_path, "tap-agent", *PROGRAM, PROFILER=mode, PROFILER_BASE_FLAGS="--all=*"))
    assert own == tool_of(mode).command(PROGRAM, folder, ("--all=*",))
    assert called(entry(tmp_path, "tap-agent", *PROGRAM, PROFILER=mode, PROFILER_BASE_FLAGS="")) == tool_of(
        mode
    ).command(PROGRAM, folder, ())


def test_the_entry_script_knows_the_guides_names(tmp_path: Path) -> None:
    assert called(entry(tmp_path, "s", *PROGRAM)) == list(PROGRAM)
    massif = tool_of("massif").command(PROGRAM, tmp_path / "s")
    assert called(entry(tmp_path, "s", *PROGRAM, PROFILER="valgrind")) == massif
    flamegraph = called(entry(tmp_path, "s", *PROGRAM, PROFILER="flamegraph"))
    assert flamegraph == [*PROGRAM, "--profile-dir", str(tmp_path / "s")]


def test_the_entry_script_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    # the guide's script ends with 0 here, and so does the container
    done = entry(tmp_path, "s", *PROGRAM, PROFILER="perf")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no PROFILER perf; there are none, flamegraph, strace" in done.stderr
    done = entry(tmp_path, "s")
    assert (done.returncode, "SERVICE and PROGRAM are wanted" in done.stderr) == (2, True)


def test_the_compose_file_has_the_guides_interface() -> None:
    services = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]
    ports = {port for service in services.values() for port in service["ports"]}
    assert {"127.0.0.1:7601:7601", "127.0.0.1:7302:7300", "127.0.0.1:7303:7300"} <= ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for name in ("indexer-service", "tap-agent"):
        assert services[name]["environment"]["PROFILER"] == "${PROFILER:-none}"
        assert f"./{name}:/opt/profiling/{name}" in services[name]["volumes"]
        assert (services[name]["cap_add"], services[name].get("privileged")) == (["SYS_PTRACE"], None)


RECIPES = {
    "profile-flamegraph": "profile start flamegraph --compose",
    "profile-valgrind": "profile start valgrind --compose",
    "profile-strace": "profile start strace --compose",
    "profile-callgrind": "profile start callgrind --compose",
    "stop-profiling": "profile stop",
    "profile-restore": "profile restore",
    "setup": "build.sh",
}


@pytest.mark.parametrize(("recipe", "runs"), RECIPES.items())
def test_the_recipes_have_the_guides_names(recipe: str, runs: str) -> None:
    just = shutil.which("just", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if just is None:
        pytest.skip("just is not installed")
    done = subprocess.run(
        [just, "--justfile", str(FOLDER / "justfile"), "--dry-run", recipe],
        env={**os.environ, "WORKBENCH": "/my workbench"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert runs in line
    assert line.startswith("'/my workbench' profile ") or recipe == "setup"

"""A docker engine for tests: why there is none, the image, and a compose project that leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent.parent / "contrib" / "profiling"
SERVICES = ("indexer-service", "tap-agent")


def out(*command: str) -> str:
    """Standard output of a command that succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


def need_image() -> None:
    """Skip where no engine answers, else build the image; what has not changed is not built again."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    version = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False, timeout=60)
    if version.returncode:
        pytest.skip(f"no docker engine answers: {version.stderr.strip()}")
    out(str(FOLDER / "build.sh"))


def compose() -> tuple[str, ...]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=60)
    return ("docker", "compose") if plugin.returncode == 0 else ("docker-compose",)


@contextmanager
def project(parent: Path) -> Iterator[Path]:
    """A folder whose compose project, containers, networks and volumes are gone at the end."""
    folder = parent / f"workbench-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    label = f"label=com.docker.compose.project={folder.name}"
    try:
        yield folder
    finally:
        for kind, remove in (("container", ("rm", "-f")), ("network", ("rm",)), ("volume", ("rm",))):
            listing = ("ls", "-a") if kind == "container" else ("ls",)
            for each in out("docker", kind, *listing, "-q", "--filter", label).split():
                out("docker", kind, *remove, each)


@contextmanager
def standin(parent: Path) -> Iterator[Path]:
    """A folder with our compose files and the folders that the profilers write to."""
    with project(parent) as folder:
        for name in ("docker-compose.yml", "docker-compose.unprivileged.yml"):
            shutil.copy(FOLDER / name, folder)
        for name in SERVICES:
            (folder / name).mkdir()
        yield folder


def containers(folder: Path) -> dict[str, dict[str, Any]]:
    """``docker inspect`` of the project's containers, by service."""
    label = f"label=com.docker.compose.project={folder.name}"
    ids = out("docker", "ps", "-a", "-q", "--filter", label).split()
    # a container may be made anew between the two commands: the others are told all the same
    done = subprocess.run(["docker", "container", "inspect", *ids], capture_output=True, check=False, timeout=60)
    found = json.loads(done.stdout or "[]")
    return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}


def states(folder: Path) -> dict[str, tuple[str, str]]:
    """Status and PROFILER of the project's containers, by service."""
    return {
        service: (
            each["State"]["Status"],
            next((line[9:] for line in each["Config"]["Env"] if line.startswith("PROFILER=")), ""),
        )
        for service, each in containers(folder).items()
    }

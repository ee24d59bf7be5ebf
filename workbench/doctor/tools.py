"""Programs that some profiler modes need. All are optional: load tests do without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from workbench.doctor.check import Check
from workbench.keyring import for_foreign

TIMEOUT_S = 10.0

Installer = Literal["apt-get", "dnf", "brew", "other"]


@dataclass(frozen=True)
class Tool:
    """A program, what it is for, how to ask its version, and how to get it by each package manager."""

    name: str
    needed_for: str
    version: tuple[str, ...]
    install: dict[Installer, str]


_IN_CONTAINER = "use the containers of contrib/profiling: the tool does not run on macOS"

VALGRIND = Tool(
    "valgrind",
    "callgrind and massif profiles of local processes",
    ("--version",),
    {
        "apt-get": "apt-get install -y valgrind",
        "dnf": "dnf install -y valgrind",
        "brew": _IN_CONTAINER,
        "other": "see https://valgrind.org/downloads/",
    },
)
STRACE = Tool(
    "strace",
    "system call profiles of local processes",
    ("-V",),
    {
        "apt-get": "apt-get install -y strace",
        "dnf": "dnf install -y strace",
        "brew": _IN_CONTAINER,
        "other": "see https://strace.io",
    },
)
DOCKER = Tool(
    "docker",
    "profiles of services in containers",
    ("--version",),
    {
        "apt-get": "apt-get install -y docker.io",
        "dnf": "dnf install -y moby-engine",
        "brew": "brew install --cask docker",
        "other": "see https://docs.docker.com/engine/install/",
    },
)
_START_ENGINE: dict[Installer, str] = {
    "apt-get": "systemctl start docker",
    "dnf": "systemctl start docker",
    "brew": "open -a Docker",
    "other": "start the docker engine, or set DOCKER_HOST",
}
_COMPOSE: dict[Installer, str] = {
    "apt-get": "apt-get install -y docker-compose-v2 || apt-get install -y docker-compose-plugin",
    "dnf": "dnf install -y docker-compose",
    "brew": "brew install docker-compose",
    "other": "see https://docs.docker.com/compose/install/",
}


def checks() -> list[Check]:
    """valgrind, strace, the docker client, its engine and compose."""
    using = installer()
    found = [tool_check(tool, using) for tool in (VALGRIND, STRACE, DOCKER)]
    if shutil.which(DOCKER.name) is None:
        return found
    return [*found, engine(using), compose(using)]


def installer() -> Installer:
    """The package manager of this machine."""
    names: tuple[Installer, ...] = ("brew",) if sys.platform == "darwin" else ("apt-get", "dnf")
    return next((name for name in names if shutil.which(name)), "other")


def tool_check(tool: Tool, using: Installer) -> Check:
    """Whether ``tool`` is on the path and starts."""
    path = shutil.which(tool.name)
    if path is None:
        found = f"not on the path; {tool.needed_for} need it"
        return Check(tool.name, "missing", found, mend(tool.install, using))
    code, text = output(path, *tool.version)
    if code != 0:
        found = f"{path} does not start: {text}; {tool.needed_for} need it"
        return Check(tool.name, "warning", found, mend(tool.install, using))
    return Check(tool.name, "ok", f"{text} at {path}")


def engine(using: Installer) -> Check:
    """Whether the docker client reaches an engine."""
    code, text = output(DOCKER.name, "info", "--format", "{{.ServerVersion}}")
    if code == 0 and text:
        return Check("docker engine", "ok", text)
    return Check("docker engine", "missing", f"{text}; {DOCKER.needed_for} need it", mend(_START_ENGINE, using))


def compose(using: Installer) -> Check:
    """Whether compose is there, as a plugin of docker."""
    code, text = output(DOCKER.name, "compose", "version", "--short")
    if code == 0:
        return Check("docker compose", "ok", text)
    return Check("docker compose", "missing", f"no compose plugin; {DOCKER.needed_for} need it", mend(_COMPOSE, using))


def mend(commands: dict[Installer, str], using: Installer) -> str:
    """The command for this package manager, with sudo in front of it where that is needed."""
    command = commands[using]
    if using in ("apt-get", "dnf") and os.geteuid() != 0:
        return " || ".join(f"sudo {part}" for part in command.split(" || "))
    return command


def output(*command: str) -> tuple[int, str]:
    """Exit code and first line of a short command; a code of -1 and the reason when it did not run or end."""
    try:
        done = subprocess.run(  # noqa: S603  the commands are this module's own
            command,
            env=for_foreign(os.environ)[0],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no answer within {TIMEOUT_S:.0f} s"
    except OSError as error:
        return -1, error.strerror or str(error)
    text = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip()
    return done.returncode, text.splitlines()[0] if text else ""

"""The docker engine through its own client: commands with time limits, containers as plain values."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.errors import ToolError
from workbench.keyring import by_name

QUICK_S = 30.0
"""Time limit of a docker command."""

LABEL = "com.docker.compose"
# Wrappers that run as process 1 of a container, before the program itself.
WRAPPERS = ("strace", "docker-init", "tini", "dumb-init", "catatonit")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and its output. ``last_line`` is for error messages."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """The last line of standard error, or of standard output if that is empty."""
        for text in (self.stderr, self.stdout):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return lines[-1][:300]
        return "it wrote nothing"


@dataclass(frozen=True, slots=True)
class Container:
    """The part of ``docker inspect`` that is needed here.

    ``profiler``: its variables PROFILER*, no others, since an environment may contain passwords. ``files`` and
    ``folder``: its compose files and project folder. ``mounts``: bound folders, inside and on the host.
    """

    id: str
    service: str
    image: str
    status: str
    exit_code: int
    profiler: Mapping[str, str]
    health_test: tuple[str, ...]
    mounts: tuple[tuple[PurePosixPath, Path], ...]
    files: tuple[str, ...]
    folder: str

    @property
    def running(self) -> bool:
        """Whether it is running."""
        return self.status == "running"

    def host(self, inside: PurePosixPath) -> Path | None:
        """The host folder that is mounted at ``inside`` or above it; None if there is none."""
        over = [(mount, host) for mount, host in self.mounts if inside == mount or mount in inside.parents]
        if not over:
            return None
        mount, host = max(over, key=lambda pair: len(pair[0].parts))
        return host / inside.relative_to(mount)


async def run(
    *command: str, timeout_s: float, environment: Mapping[str, str] | None = None, merged: bool = False
) -> Answer:
    """Run a command to its end. ``merged``: standard error goes into ``stdout``, in the order of writing.

    When cancelled or after ``timeout_s`` it is killed with all its children. Raises ToolError at the time limit and for
    a program that cannot be started.
    """
    try:
        # in its own session, so that Ctrl-C ends it only through us, in order
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT if merged else PIPE,
            env=by_name(os.environ if environment is None else environment),
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot be run: {error.strerror}", where=command[0]) from error
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise ToolError(
            f"did not end within {timeout_s:.0f} s",
            where=" ".join(command[:4]),
            hint="Check with: docker ps; docker info",
        ) from None
    finally:
        await _kill(process)
    return Answer(process.returncode or 0, stdout.decode(errors="replace"), (stderr or b"").decode(errors="replace"))


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def docker(*arguments: str, timeout_s: float = QUICK_S, where: str = "docker") -> str:
    """Standard output of a docker command. Raises ToolError with its last line when it fails."""
    answer = await run("docker", *arguments, timeout_s=timeout_s)
    if answer.exit_code:
        raise ToolError(f"docker {arguments[0]} failed: {answer.last_line}", where=where)
    return answer.stdout


async def check_engine() -> None:
    """Raise ToolError that says what to install or start if no docker engine answers."""
    if shutil.which("docker") is None:
        raise ToolError(
            "docker is not installed", where="docker", hint="Install it: apt-get install docker.io docker-compose"
        )
    answer = await run("docker", "version", "--format", "{{.Server.Version}}", timeout_s=QUICK_S)
    if answer.exit_code == 0:
        return
    hint = "Start it: sudo systemctl start docker, or contrib/profiling/engine.sh start"
    if "permission denied" in answer.stderr.lower():
        hint = "Join its group, then log in again: sudo usermod -aG docker $USER"
    raise ToolError(f"no docker engine answers: {answer.last_line}", where="docker", hint=hint)


async def compose_command() -> tuple[str, ...]:
    """``docker compose`` or ``docker-compose``, whichever is installed. Raises ToolError if neither is."""
    if shutil.which("docker"):
        answer = await run("docker", "compose", "version", timeout_s=QUICK_S)
        if answer.exit_code == 0:
            return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise ToolError(
        "neither docker compose nor docker-compose is installed",
        where="docker",
        hint="Install one: apt-get install docker-compose, or docker's compose plugin",
    )


async def inspect(*ids: str) -> tuple[Container, ...]:
    """The containers with these ids, in that order. Raises ToolError if one is gone."""
    if not ids:
        return ()
    return tuple(parse_container(each) for each in json.loads(await docker("container", "inspect", *ids)))


def parse_container(facts: Mapping[str, Any]) -> Container:
    """One element of ``docker container inspect``. Pure."""
    state, config = facts["State"], facts["Config"]
    variables = dict(line.partition("=")[::2] for line in config.get("Env") or ())
    labels = config.get("Labels") or {}
    folder = labels.get(f"{LABEL}.project.working_dir", "")
    files = [name for name in labels.get(f"{LABEL}.project.config_files", "").split(",") if name]
    return Container(
        id=facts["Id"],
        service=labels.get(f"{LABEL}.service", facts.get("Name", "").lstrip("/")),
        image=facts["Image"],
        status=state["Status"],
        exit_code=int(state["ExitCode"]),
        profiler={name: value for name, value in sorted(variables.items()) if name.startswith("PROFILER")},
        health_test=_health_test((config.get("Healthcheck") or {}).get("Test") or ()),
        mounts=tuple(
            (PurePosixPath(mount["Destination"]), Path(mount["Source"]))
            for mount in facts.get("Mounts") or ()
            if mount.get("Type") == "bind"
        ),
        files=tuple(os.path.join(folder, name) for name in files),
        folder=folder,
    )


def _health_test(test: Sequence[str]) -> tuple[str, ...]:
    """The command of a health check in the container; empty if there is none."""
    match test:
        case ["CMD", *command]:
            return tuple(command)
        case ["CMD-SHELL", command]:
            return ("/bin/sh", "-c", command)
        case _:
            return ()


async def last_words(container: str) -> str:
    """The last line of a container's output, which often says why a service died."""
    answer = await run("docker", "logs", "--tail", "20", container, timeout_s=QUICK_S, merged=True)
    return answer.last_line


async def save_log(container: str, file: Path) -> None:
    """Save a container's standard output and error in a file. A file that cannot be written is skipped."""
    answer = await run("docker", "logs", container, timeout_s=QUICK_S, merged=True)
    with contextlib.suppress(OSError):
        await asyncio.to_thread(file.write_text, answer.stdout, encoding="utf-8")


async def open_up(container: Container, inside: PurePosixPath) -> None:
    """Let every user read and move what a container's user wrote into a mounted folder; the container may have ended.

    Only the owner may read Valgrind's files, and the owner is root in most containers. Raises ToolError when that
    fails.
    """
    await docker(
        *("run", "--rm", "--network", "none", "--user", "0:0", "--volumes-from", container.id),
        *("--entrypoint", "chmod", container.image, "-R", "a+rwX", str(inside)),
        where=container.service,
    )


async def profiled_pid(container: Container) -> int:
    """The process id, inside the container, of the program itself: process 1, or the child of a wrapper.

    Needs only ``cat`` and /proc. Raises ToolError if the container does not run.
    """
    answer = await run(
        "docker", "exec", container.id, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true", timeout_s=QUICK_S
    )
    pid = program_of(answer.stdout)
    if pid is None:
        raise ToolError(f"it has no process: {answer.last_line}", where=container.service)
    return pid


async def takes_sigterm(container: Container) -> bool:
    """Whether process 1 has a handler for SIGTERM. Without one the kernel drops the signal for process 1."""
    answer = await run("docker", "exec", container.id, "cat", "/proc/1/status", timeout_s=QUICK_S)
    caught = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("SigCgt:")]
    return bool(caught) and bool(int(caught[0], 16) >> (signal.SIGTERM - 1) & 1)


def program_of(stats: str) -> int | None:
    """The program's process among the lines of /proc/PID/stat. Pure; None if there is no process 1."""
    names: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for line in stats.splitlines():
        # the name is in parentheses and may itself contain some
        before, _, rest = line.partition(" (")
        name, _, fields = rest.rpartition(") ")
        if before.isdigit() and len(fields.split()) > 1:
            names[int(before)] = name
            children.setdefault(int(fields.split()[1]), []).append(int(before))
    pid = 1
    while names.get(pid) in WRAPPERS and children.get(pid):
        # process 1 also gets orphans, with higher numbers than its own child
        pid = min(children[pid])
    return pid if pid in names else None

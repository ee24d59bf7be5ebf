"""The processes of a case, their roles, and the resources they hold, which must be freed."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

COMMAND = "workbench itself"
APART = "a run's own process"
NOTEBOOK = "notebook's process"
KERNEL = "kernel"
WORKER = "load worker"
ROLES = {
    NOTEBOOK: r".*-m workbench\.report\.child",
    KERNEL: r".*-m ipykernel_launcher",
    WORKER: r".*-m workbench\.load\.worker",
    "stand-in": r"\S*python\S* -m workbench\.standin",
    "service": r"\S*python\S* .*standin .*--role service",
    "agent": r"\S*python\S* .*standin .*--role agent",
    "profiler": r"\S*strace ",
    "guardian of the services": r".*-m workbench\.profilers\.backends\.guarding",
    "graph-node and subgraph": r".*-m workbench\.network graph",
    "aggregator": r".*-m workbench\.network aggregator",
    "guard of PostgreSQL": r".*-m workbench\.network\.guard",
    "PostgreSQL": r"\S*/postgres -D",
}
GONE_S = 40.0
"""How long a process may take to notice that its parent was killed."""


def family(parent: psutil.Process, of: str = COMMAND) -> dict[str, list[psutil.Process]]:
    """The living processes of a command by role. ``of``: the role of ``parent``."""
    found = {of: [parent]}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = " ".join(process.cmdline())
                role = next((role for role, pattern in ROLES.items() if re.match(pattern, words)), "")
                if role and process.status() != psutil.STATUS_ZOMBIE:
                    found.setdefault(role, []).append(process)
    return found


def left(folder: Path) -> list[str]:
    """The processes that use a folder: in their arguments, variables or working directory."""
    mine, found = str(folder), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = process.cmdline()
            if any(mine in word for word in [*words, *process.environ().values(), process.cwd()]):
                found.append(" ".join(words))
    return found


def until_gone(folder: Path) -> list[str]:
    """The remaining processes of a case after they had time to end."""
    deadline = time.monotonic() + GONE_S
    while (found := left(folder)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


@dataclass
class Held:
    """Resources that the processes of a case held: listening ``sockets`` by inode, shared memory by name or number."""

    sockets: set[str] = field(default_factory=set)
    memory: set[str] = field(default_factory=set)

    def look(self, processes: Iterable[psutil.Process]) -> None:
        """Add the current resources of ``processes``."""
        for process in processes:
            with contextlib.suppress(psutil.Error, OSError):
                links = [os.readlink(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
                self.sockets |= {link[8:-1] for link in links if link.startswith("socket:[")} & _listening()
                for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
                    words = line.split(maxsplit=5)
                    if len(words) > 5 and words[5].startswith(("/dev/shm/", "/SYSV")):
                        self.memory.add(words[5] if words[5].startswith("/dev") else f"SYSV {words[4]}")

    def left(self) -> list[str]:
        """Those that still exist."""
        numbers = {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
        memory = {f"SYSV {number}" for number in numbers} | {str(path) for path in Path("/dev/shm").iterdir()}
        return [f"a listening socket ({inode})" for inode in sorted(self.sockets & _listening())] + [
            f"shared memory {name}" for name in sorted(self.memory & memory)
        ]


def _listening() -> set[str]:
    """The inodes of all sockets of this machine that listen."""
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {words[9] for words in map(str.split, lines) if words[3] == "0A"}

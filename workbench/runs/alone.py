"""Who else measures: a second run in the same folder of runs is refused, one elsewhere on the machine is reported.

Two loads at once measure each other. In one folder of runs that is always a mistake, so the second waits and is then
refused. Elsewhere it may be meant (another checkout, tests side by side), so both go on and both say it. Whoever looks
for what the machine can do wants it alone.

Both are told by locks that the kernel drops when their holder dies: one file for each folder of runs, and one for the
machine, which each run holds together with the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from workbench import private
from workbench.runs import folder as runs
from workbench.runs.folder import exclusive, is_stamped


@dataclass(frozen=True, slots=True)
class Company:
    """This run among those that measure on the machine now."""

    file: TextIO
    joined_ns: int

    def others(self) -> str | None:
        """Whether another run is or was measuring on this machine beside this one, in a sentence; else None."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        fcntl.flock(self.file, fcntl.LOCK_SH)  # a change of kind is not one step: who asks in between waits for it
        # who joins writes its number into the file
        if alone and os.fstat(self.file.fileno()).st_mtime_ns == self.joined_ns:
            return None
        return "another run was measured on this machine at the same time: each slowed the other down"


@asynccontextmanager
async def measuring(path: Path) -> AsyncIterator[Company]:
    """Measure into the run folder ``path``: alone in the folder of runs that it is in.

    Waits for the run that has it; raises RunFolderError naming its process.
    """
    home = _home(path)
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    lock = private.lock_folder() / f"indexer-workbench-{os.getuid()}-{name}.lock"
    wait_s = runs.LOCK_WAIT_S
    async with (
        exclusive(lock, f"another run is measuring in {home}", wait_s=wait_s),
        exclusive(_of_machine(), "the machine is being calibrated", wait_s=wait_s, together=True) as file,
    ):
        yield Company(file, os.fstat(file.fileno()).st_mtime_ns)


@asynccontextmanager
async def alone_on_this_machine() -> AsyncIterator[None]:
    """Hold the machine for measuring what it can do, among the runs of one user, wherever their folders are.

    Waits for those that measure; raises RunFolderError when that takes too long.
    """
    async with exclusive(_of_machine(), "another run is measuring on this machine", wait_s=runs.LOCK_WAIT_S):
        yield


def _home(path: Path) -> Path:
    """The folder of runs that a run folder is in. The runs of a batch are in that of the batch."""
    home = path.resolve().parent
    while is_stamped(home.name):
        home = home.parent
    return home


def _of_machine() -> Path:
    return private.lock_folder() / f"indexer-workbench-{os.getuid()}.lock"

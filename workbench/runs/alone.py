"""Detects other measurements: a second run in the same folder of runs is refused, one elsewhere on the machine is
reported.

Two loads at once disturb each other. In one folder of runs that is always a mistake, so the second waits and is then
refused. Elsewhere it may be intended (another checkout, parallel tests), so both continue and both report it. A
calibration needs the machine alone.

Both use locks that the kernel drops when their holder dies: one file for each folder of runs, and one for the machine,
which runs share.
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
    """This run and others that measure on the machine now."""

    file: TextIO
    joined_ns: int

    def others(self) -> str | None:
        """A sentence if another run measured on this machine at the same time, otherwise None."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        fcntl.flock(self.file, fcntl.LOCK_SH)  # changing the kind of lock is not atomic: others wait for it
        # each holder writes its process number into the file
        if alone and os.fstat(self.file.fileno()).st_mtime_ns == self.joined_ns:
            return None
        return "another run was measured on this machine at the same time: each slowed the other down"


@asynccontextmanager
async def measuring(path: Path) -> AsyncIterator[Company]:
    """Measure into the run folder ``path``, as the only run in its folder of runs.

    Waits for another run there to end; raises RunFolderError naming its process.
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
    """Reserve the machine for a calibration, among all runs of this user in any folder.

    Waits for running measurements; raises RunFolderError if that takes too long.
    """
    async with exclusive(_of_machine(), "another run is measuring on this machine", wait_s=runs.LOCK_WAIT_S):
        yield


def _home(path: Path) -> Path:
    """The folder of runs that a run folder is in; for a run of a batch, the one that the batch is in."""
    home = path.resolve().parent
    while is_stamped(home.name):
        home = home.parent
    return home


def _of_machine() -> Path:
    return private.lock_folder() / f"indexer-workbench-{os.getuid()}.lock"

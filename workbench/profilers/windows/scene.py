"""Where a window is cut: a backend's service, its tool's folder, and the folder where windows are kept."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import ToolError, of_system
from workbench.profilers.backends.protocol import Backend, Place
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.windows.runs import Run

POLL_S = 0.05
LOOK_S = 1.0
"""How often to check that a program still runs while waiting for it."""
LEAST_FREE_BYTES = 64 * 1024 * 1024
"""A dump of callgrind has some MB for each window; with less free space the error comes before the step, not after
it."""


@dataclass(frozen=True)
class Scene:
    """``place``: where the tool writes; ``keep``: where this window's files are kept (often the same folder).

    ``attach``: the tool is attached only during the window, with ``flags`` (None: the guide's). ``started_s``: when the
    service was started under a permanent tool, in seconds since 1970. ``over``: the run that has just ended, for a tool
    whose windows are runs.
    """

    backend: Backend
    service: str
    name: str
    keep: Path
    attach: bool = False
    flags: tuple[str, ...] | None = None
    started_s: float = 0.0
    over: Run | None = None

    @property
    def place(self) -> Place:
        """The tool's folder, from both sides."""
        return self.backend.place(self.service)

    async def run(self, *command: str, timeout_s: float = 60.0) -> str:
        """Run a command beside the service and return its output. Raises ToolError as soon as the profiled program has
        ended, since the command would otherwise wait for the program until the time limit."""
        work = asyncio.ensure_future(self.backend.execute(self.service, *command, timeout_s=timeout_s))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=LOOK_S)
                if not work.done() and (ended := await self._ended()):
                    raise ToolError(ended, where=self.service)
            return work.result()
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def _ended(self) -> str:
        """Why the profiled program ended; "" while it runs."""
        try:
            await self.pid()
        except ToolError as error:
            return error.what
        return ""

    async def tell(self, *command: str, timeout_s: float) -> str:
        """Run a command that talks to Valgrind. It runs to its end even if this is cancelled: after an interrupted
        command Valgrind would wait forever."""
        return await to_the_end(self.run(*command, timeout_s=timeout_s))

    async def pid(self) -> int:
        """The profiled program's process id, as numbered where it runs."""
        return await self.backend.pid(self.service)

    async def signal(self, name: str) -> None:
        """Send a signal to the profiled program, through a shell, since not every container has the program kill."""
        await self.run("sh", "-c", f"kill -{name} {await self.pid()}")

    async def take(self, produced: Path, kept: str) -> str:
        """Move a file of the tool's folder into ``keep`` under another name, readable for everybody."""
        place = self.place
        if place.host != Path(place.inside):
            # tools in containers write as root, unreadable for us; after a stop this was already changed
            with contextlib.suppress(ToolError):
                await self.run("chmod", "a+rw", str(place.inside / produced.name))
        target = self.keep / kept
        try:
            await asyncio.to_thread(shutil.move, produced, target)
        except OSError as error:
            raise of_system(ToolError, "cannot be kept", error, target) from None
        return kept

    async def until(self, ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait until ``ready`` is true. Raises ToolError naming ``what`` it waited for, or why the service ended."""
        began = looked = time.monotonic()
        while not ready():
            now = time.monotonic()
            if now - looked >= LOOK_S:
                looked = now
                # its last output may be what is waited for
                if (ended := await self._ended()) and not ready():
                    raise ToolError(ended, where=self.service)
            if now - began > timeout_s:
                wrong = await self.backend.condition(self.service)
                raise ToolError(
                    f"{what} did not come within {timeout_s:g} s{f': {wrong}' if wrong else ''}", where=self.service
                )
            await asyncio.sleep(POLL_S)


def require_room(folder: Path) -> None:
    """Raise ToolError if the disk is so full that a tool's output would be cut off."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise ToolError(
            f"only {free // 1024:,} KiB are free, but a window needs up to {LEAST_FREE_BYTES // 1024:,}",
            where=str(folder),
            hint="Free disk space; earlier windows are complete",
        )

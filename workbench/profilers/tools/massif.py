"""massif: what is on the heap, and which code allocated it.

Windows: the whole heap at both ends of a step, taken through vgdb, beside massif's own series of snapshots. With the
guide's ``--time-unit=B`` the time of a snapshot is the bytes allocated and freed so far, so two of them also tell how
much a step allocated. With ``--time-unit=ms`` the series can be matched to steps by time instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from workbench.errors import ReadError, ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.tools.tool import Parts
from workbench.profilers.tools.valgrind import Valgrind
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene

if TYPE_CHECKING:
    from workbench.profiles.model import Profile

_SNAPSHOT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Massif(Valgrind):
    """The mode ``massif``, which the guide calls valgrind."""

    mode: Mode = "massif"
    output_flag: str = "--massif-out-file"
    output: str = "massif.out"
    leaves: tuple[str, ...] = ("massif.out*",)  # vgdb's snapshots have a suffix
    main_metric: str = "bytes_kept"
    flags: tuple[str, ...] = ("--time-unit=B", "--detailed-freq=10", "--max-snapshots=100", "--threshold=0.5")

    def variables(self, folder: PurePath) -> Mapping[str, str]:
        """Make a Python service use malloc: massif would see only the arenas of Python's own allocator."""
        del folder
        return {"PYTHONMALLOC": "malloc"}

    async def begin(self, scene: Scene) -> dict[str, Any]:
        """Keep a detailed snapshot of the current heap."""
        return {"begin": await _snapshot(scene, "detailed_snapshot", "begin")}

    async def end(self, scene: Scene, begun: dict[str, Any]) -> Parts:
        """Keep a snapshot of the current heap and massif's series so far, which would be lost if the service were
        killed."""
        files = {"begin": begun["begin"], "end": await _snapshot(scene, "detailed_snapshot", "end")}
        files["series"] = await _snapshot(scene, "all_snapshots", "series")
        return Parts(files)

    def profile(self, window: Window, logs: dict[Path, Profile] | None = None) -> Profile:
        """The heap at the end of the window; for both ends see :func:`workbench.profilers.windows.read.edges`."""
        from workbench.profiles.read import read_massif

        del logs
        return read_massif(window.path("end"))


async def _snapshot(scene: Scene, command: str, what: str) -> str:
    name = f"{scene.name}.{what}.massif.out"
    place = scene.place
    said = await scene.tell(
        "vgdb",
        f"--pid={await scene.pid()}",
        command,
        str(place.inside / name),
        timeout_s=_SNAPSHOT_TIMEOUT_S,
    )
    written = place.host / name
    # vgdb returns when massif has answered, and massif answers when the file is closed
    if not written.exists() or not written.stat().st_size:
        raise ToolError(
            f"massif wrote no {what} snapshot: {' '.join(said.split())[-200:] or 'no message'}",
            where=str(written),
            hint="The disk may be full, or vgdb may not be allowed to trace the service (SYS_PTRACE in a container)",
        )
    kept = await scene.take(written, name)
    await asyncio.to_thread(_require_whole, scene.keep / kept)
    return kept


def _require_whole(path: Path) -> None:
    """Raise ToolError for a snapshot that was cut off."""
    from workbench.profiles.read import read_massif

    try:
        read_massif(path)
    except ReadError as error:
        raise ToolError(
            f"massif's snapshot is cut off: {error.what}",
            where=str(path),
            hint="The disk may be full: free disk space and measure the step again",
        ) from None

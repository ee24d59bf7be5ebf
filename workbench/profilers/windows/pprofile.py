"""pprofile's windows: it profiles from its start to its end, so each window is a run of the service of its own.

Between windows the service runs without it. What starting costs is in every window alike, and comes out as the part of
a window's cost that does not depend on receipts.
"""

from __future__ import annotations

import contextlib
from typing import Any

from workbench.errors import ToolError, WorkbenchError
from workbench.profilers.to_the_end import to_the_end
from workbench.profilers.windows.scene import Scene


async def begin(scene: Scene, flags: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Start the service again under pprofile."""
    await scene.backend.stop()
    try:
        await scene.backend.start("pprofile", flags)
    except BaseException:
        # as it was: without pprofile
        with contextlib.suppress(WorkbenchError):
            await to_the_end(scene.backend.start("none"))
        raise
    return {}


async def end(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """End it, which writes the profile, and start the service without it."""
    written = scene.place.host / "pprofile.out"
    wrong = await scene.backend.condition(scene.service)
    ended = await scene.backend.stop()
    try:
        if not (written.exists() and written.stat().st_size):
            killed = any(one.killed for one in ended)
            raise ToolError(
                f"pprofile wrote nothing: {'the service had to be killed' if killed else wrong or 'it was cut off'}",
                where=str(written),
                hint="It writes when the service ends by itself on SIGTERM or SIGINT: give it longer to stop",
            )
        kept = await scene.take(written, f"{scene.name}.pprofile.out")
    finally:
        await to_the_end(scene.backend.start("none"))
    return {"dump": kept}, {}, ()

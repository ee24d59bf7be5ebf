"""pprofile's windows: it profiles from its start to its end, so each window is a run of the service of its own.

Between windows the service runs without it. What starting costs is in every window alike, and comes out as the part of
a window's cost that does not depend on receipts.
"""

from __future__ import annotations

from typing import Any

from workbench.errors import ToolError
from workbench.profilers.windows.scene import Scene


async def begin(scene: Scene, flags: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Start the service again under pprofile."""
    await scene.backend.stop()
    await scene.backend.start("pprofile", flags)
    return {}


async def end(scene: Scene, begun: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], tuple[str, ...]]:
    """End it, which writes the profile, and start the service without it."""
    written = scene.place.host / "pprofile.out"
    ended = await scene.backend.stop()
    whole = written.exists() and written.stat().st_size > 0
    kept = await scene.take(written, f"{scene.name}.pprofile.out") if whole else ""
    await scene.backend.start("none")
    if not whole:
        killed = any(one.killed for one in ended)
        raise ToolError(
            "pprofile wrote nothing" + (": the service had to be killed" if killed else ""),
            where=str(written),
            hint="It writes when the service ends by itself: give it longer to stop, and see service.log",
        )
    return {"dump": kept}, {}, ()

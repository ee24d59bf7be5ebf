"""Begin and end a window in whatever mode: the one place that knows which module does it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from workbench.errors import ToolError
from workbench.profilers.windows import callgrind, flamegraph, massif, pprofile, strace
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene, require_room


async def begin_window(
    scene: Scene, *, attach: bool, flags: tuple[str, ...] | None, started_s: float
) -> dict[str, Any]:
    """Begin a window; what :func:`end_window` needs, as plain JSON.

    ``attach``: strace comes and goes with each window. ``flags``
    replace the guide's where the tool starts with the window. ``started_s``: when the session did, since 1970.
    """
    require_room(scene.keep)
    match scene.mode:
        case "callgrind":
            begun = await callgrind.begin(scene)
        case "massif":
            begun = await massif.begin(scene)
        case "strace":
            begun = await strace.attach(scene, flags) if attach else await strace.begin(scene)
        case "flamegraph":
            begun = await flamegraph.begin(scene)
        case _:
            begun = {}
    return {"begun": begun, "started_ns": time.time_ns(), "attach": attach, "log_started_s": started_s}


async def end_window(
    scene: Scene,
    opened: dict[str, Any],
    run: pprofile.Run | None = None,
    *,
    notes: tuple[str, ...] = (),
    facts: Mapping[str, Any] | None = None,
) -> Window:
    """End a window: its raw files are whole and its record is written, with ``notes`` and ``facts`` beside its own.

    ``run`` is that of pprofile, which is of all services at once. Raises ToolError where a file is not whole.
    """
    ended_ns = time.time_ns()
    begun = opened["begun"]
    match scene.mode:
        case "callgrind":
            files, own, remarks = await callgrind.end(scene, begun)
        case "massif":
            files, own, remarks = await massif.end(scene, begun)
        case "strace":
            files, own, remarks = await (strace.detach if opened["attach"] else strace.end)(scene, begun)
            own["log_started_s"] = opened["started_ns"] / 1e9 if opened["attach"] else opened["log_started_s"]
        case "flamegraph":
            files, own, remarks = await flamegraph.end(scene, begun)
        case "pprofile" if run is not None:
            files, own, remarks = await pprofile.end(scene, run)
        case _:
            raise ToolError(f"mode {scene.mode} has no windows", where=scene.service)
    window = Window(
        service=scene.service,
        mode=scene.mode,
        name=scene.name,
        started_ns=opened["started_ns"],
        ended_ns=ended_ns,
        folder=scene.keep,
        files=files,
        facts={**(facts or {}), **own},
        notes=(*remarks, *notes),
    )
    window.write()
    return window

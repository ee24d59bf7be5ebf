"""Begin and end a window: the part that is the same in all modes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from workbench.errors import ToolError
from workbench.profilers.tools.tool import Tool
from workbench.profilers.windows.record import Window
from workbench.profilers.windows.scene import Scene, require_room

_CLOCK_SET_NS = 10**9
"""Larger changes mean that the clock was set; time synchronisation moves it by less."""


async def begin_window(tool: Tool, scene: Scene) -> dict[str, Any]:
    """Begin a window; returns plain JSON for :func:`end_window`."""
    require_room(scene.keep)
    async with _with_its_reason(scene):
        begun = await tool.begin(scene)
        return {"begun": begun, "started_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}


async def end_window(
    tool: Tool,
    scene: Scene,
    opened: dict[str, Any],
    *,
    notes: tuple[str, ...] = (),
    facts: Mapping[str, Any] | None = None,
) -> Window:
    """End a window: keep its complete raw files and write its record, with ``notes`` and ``facts`` added.

    Raises ToolError if a file is incomplete.
    """
    ended_ns = time.time_ns()
    elapsed_ns = time.monotonic_ns() - opened["monotonic_ns"]
    async with _with_its_reason(scene):
        parts = await tool.end(scene, opened["begun"])
    window = Window(
        service=scene.service,
        mode=tool.mode,
        name=scene.name,
        started_ns=opened["started_ns"],
        ended_ns=ended_ns,
        folder=scene.keep,
        files=parts.files,
        facts={**(facts or {}), "elapsed_ns": elapsed_ns, **parts.facts},
        notes=(*parts.notes, *clock_notes(ended_ns - opened["started_ns"] - elapsed_ns), *notes),
    )
    window.write()
    return window


def clock_notes(set_by_ns: int) -> tuple[str, ...]:
    """A note if the machine's clock was set while a window was open: logs have times of day."""
    if abs(set_by_ns) < _CLOCK_SET_NS:
        return ()
    return (
        f"the machine's clock was set by {set_by_ns / 1e9:+,.1f} s while the window was open: logs cut by time of "
        "day (strace's) may lack calls of the window or have others",
    )


@asynccontextmanager
async def _with_its_reason(scene: Scene) -> AsyncIterator[None]:
    """If the service has ended, an error with the reason, instead of the helper's message that it cannot reach the
    service."""
    try:
        yield
    except ToolError as error:
        wrong = "" if scene.over is not None else await scene.backend.condition(scene.service)
        if not wrong or wrong in error.what:
            raise
        raise ToolError(wrong, where=scene.service, hint=error.hint) from error

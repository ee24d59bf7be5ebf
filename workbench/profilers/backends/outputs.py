"""Moves the output of an earlier run out of a tool's folder, so that nothing is overwritten."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import ToolError
from workbench.profilers.modes import Mode
from workbench.profilers.tools.chosen import tool_of

EARLIER = "earlier"
"""The folder, inside a tool's folder, for earlier output."""


def set_aside(folder: Path, mode: Mode) -> tuple[Path, ...]:
    """Move earlier output of ``mode`` in ``folder`` to ``earlier/<UTC time of writing>-<name>``.

    Tools use fixed names (``callgrind.out``) and truncate these files at start. Returns the new paths by name. Raises
    ToolError if a file cannot be moved.
    """
    files = sorted({path for pattern in tool_of(mode).leaves for path in folder.glob(pattern) if path.is_file()})
    return tuple(_move(path) for path in files)


def _move(path: Path) -> Path:
    try:
        folder = path.parent / EARLIER
        folder.mkdir(exist_ok=True)
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%SZ")
        goal = folder / f"{written}-{path.name}"
        number = 1
        while goal.exists():
            number += 1
            goal = folder / f"{written}-{number}-{path.name}"
        os.rename(path, goal)
    except OSError as error:
        raise ToolError(
            f"the output of an earlier run cannot be moved away: {error.strerror}",
            where=str(path),
            hint="Move it yourself (a container writes as its own user, often root), or make the folder writable",
        ) from error
    return goal

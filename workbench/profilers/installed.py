"""Whether the tool of a mode is installed on this machine."""

from __future__ import annotations

import importlib.util
import shutil

from workbench.errors import ToolError
from workbench.profilers.modes import TOOLS, Mode


def require_tool(mode: Mode) -> None:
    """Raises ToolError, with how to install it, where the tool of a mode is not on this machine: a program on PATH, or
    for pprofile a module of this Python."""
    tool = TOOLS[mode]
    if mode == "pprofile":
        found = importlib.util.find_spec(tool.program) is not None
    else:
        found = not tool.program or shutil.which(tool.program) is not None
    if not found:
        raise ToolError(f"{tool.program} is not installed", where=f"mode {mode}", hint=tool.install)

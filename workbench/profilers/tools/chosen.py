"""From a mode's name to its object."""

from __future__ import annotations

from workbench.profilers.modes import Mode
from workbench.profilers.tools.callgrind import Callgrind
from workbench.profilers.tools.flamegraph import Flamegraph
from workbench.profilers.tools.massif import Massif
from workbench.profilers.tools.pprofile import Pprofile
from workbench.profilers.tools.strace import Strace
from workbench.profilers.tools.tool import Tool

_TOOLS = {tool.mode: tool for tool in (Tool("none"), Flamegraph(), Massif(), Callgrind(), Strace(), Pprofile())}


def tool_of(mode: Mode) -> Tool:
    """The object of a mode."""
    return _TOOLS[mode]

"""Column names of a profile's tables, and those of a metric's costs."""

from __future__ import annotations

NO_PARENT = -1
# Deeper stacks are runaway recursion or damage. Readers cut them at the leaf side and say so in a note.
MAX_DEPTH = 10_000

FRAME_COLUMNS = ("function", "raw_function", "file", "line", "object", "crate", "inlined", "function_id")
FUNCTION_COLUMNS = ("function", "raw_function", "file", "object", "crate")
NODE_COLUMNS = ("parent_id", "depth", "frame_id", "exact")
EDGE_COLUMNS = ("caller_id", "callee_id", "calls")
TIMELINE = "timeline"
"""The table of spans in order of time, for formats with times; see :mod:`workbench.profiles.timeline`."""


def self_(metric: str) -> str:
    """Name of the column with the self cost of ``metric``."""
    return f"self_{metric}"


def total_(metric: str) -> str:
    """Name of the column with the total cost of ``metric``."""
    return f"total_{metric}"


def cost_(metric: str) -> str:
    """Name of the column of ``edges`` with the callee's total cost for this caller."""
    return f"cost_{metric}"


def called_(metric: str) -> str:
    """Name of the column of ``lines`` with the cost of calls made from a line."""
    return f"called_{metric}"

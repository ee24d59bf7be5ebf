"""Kinds of lines, the same numbers in ``_kernel.c``."""

from __future__ import annotations

# of marks, and of runs of cost lines: those of a function, the one of a call, the one of a jump
NAMED, CALL, JUMP = range(3)

COST_HEADS = frozenset(b"0123456789+-*")
"""What a cost line begins with."""

MOST_LINE = 2**31 - 1
"""The largest number of a source line."""

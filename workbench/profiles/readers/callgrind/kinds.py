"""Kinds of lines, the same numbers in ``_kernel.c``."""

from __future__ import annotations

# kinds of marks and of runs of cost lines: of a function, of a call (one line), of a jump (one line)
NAMED, CALL, JUMP = range(3)

COST_HEADS = frozenset(b"0123456789+-*")
"""What a cost line begins with."""

MOST_LINE = 2**31 - 1
"""The largest number of a source line."""

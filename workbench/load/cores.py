"""The cores that the generator and its signers may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that processes started here may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS

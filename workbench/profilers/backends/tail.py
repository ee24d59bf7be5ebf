"""The last words of a service: the end of its log."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 8192


def last_line(log: Path) -> str:
    """The last line of a log with something in it; what there is instead, where there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "it has no log"
    return lines[-1][:300] if lines else "it wrote nothing"

"""The last words of a service, and the first complaint of its tool, from its log."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 8192
_HEAD_BYTES = 65536


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


def complaint(log: Path, program: str) -> str:
    """The first line in which ``program`` (valgrind: its usage comes after what is wrong) speaks of itself; where there
    is none, the last line of the log."""
    try:
        with log.open("rb") as file:
            lines = file.read(_HEAD_BYTES).decode("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = next((line for line in lines if line.startswith(f"{program}: ")), None)
    return last_line(log) if said is None else said[:300]

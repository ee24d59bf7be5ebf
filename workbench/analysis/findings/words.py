"""Formats the figures of findings: three digits, one unit, and what is counted."""

from __future__ import annotations

from workbench import numbers

_METRICS = {
    "Ir": "instructions",
    "cpu": "CPU time",
    "time": "time",
    "hits": "lines of Python",
    "samples": "samples",
    "calls": "system calls",
    "working": "",
    "waiting": "",
    "undecided": "",
}
_TIMES = {1: "once", 2: "twice"}


def amount(value: float, unit: str, metric: str = "") -> str:
    """An amount with its unit and what it counts: ``4.56 M instructions``, ``1.2 ms of CPU time``, ``48 bytes``."""
    word = _METRICS.get(metric, metric if unit in ("count", "") else "")
    if unit not in ("count", "") and word:
        word = f"of {word}"
    return f"{numbers.amount(value, unit)} {word}".rstrip()


def times(k: int) -> str:
    """``twice``, ``3 times``."""
    return _TIMES.get(k, f"{k} times")

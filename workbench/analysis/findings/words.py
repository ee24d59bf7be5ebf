"""Figures as findings say them: three of them, one unit, the meaning beside."""

from __future__ import annotations

import math

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
_SCALES = {"ns": (("s", 1e9), ("ms", 1e6), ("µs", 1e3)), "bytes": (("MB", 1e6), ("KB", 1e3))}
_NUMBERS = ((1e9, "G"), (1e6, "M"))
_TIMES = {1: "once", 2: "twice"}


def amount(value: float, unit: str, metric: str = "") -> str:
    """An amount with its unit: ``4.56 M instructions``, ``1.2 ms``, ``48 bytes``."""
    for name, size in _SCALES.get(unit, ()):
        if abs(value) >= size:
            return f"{figure(value / size)} {name}{_of(metric)}"
    if unit == "count" or unit == "":
        for size, name in _NUMBERS:
            if abs(value) >= size:
                return f"{figure(value / size)} {name} {_METRICS.get(metric, metric)}".rstrip()
        return f"{figure(value)} {_METRICS.get(metric, metric)}".rstrip()
    return f"{figure(value)} {unit}{_of(metric)}"


def _of(metric: str) -> str:
    word = _METRICS.get(metric, "")
    return f" of {word}" if word else ""


def figure(value: float) -> str:
    """Three figures of small numbers, no fractions of large ones."""
    if math.isnan(value):
        return "an unknown number of"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def percent(value: float) -> str:
    """A share in percent, one decimal."""
    return "an unknown share" if math.isnan(value) else f"{value:.1f} %"


def times(k: int) -> str:
    """``twice``, ``3 times``."""
    return _TIMES.get(k, f"{k} times")

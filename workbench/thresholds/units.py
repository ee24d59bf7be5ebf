"""Numbers with units, as thresholds are written: 50, 7e6, 0.1 %, 1.5 s, 64 KiB, 12k."""

from __future__ import annotations

import math
import re

from workbench.errors import SettingsError

_NUMBER = re.compile(r"([+-]?(?:\d[\d_,]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL)
_TIME_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_BYTES = {
    "B": 1.0, "bytes": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
    "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30,
}  # fmt: skip
_MANY = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
# for the unit of each name: the units that may be written, and their factors
_WORTH: dict[str, dict[str, float]] = {
    "ms": {unit: seconds * 1e3 for unit, seconds in _TIME_S.items()},
    "s": _TIME_S,
    "bytes": _BYTES | _MANY,
    "share": {"%": 0.01},
    "percent": {"%": 1.0},
    "GRT": {"GRT": 1.0},
    "per second": {"/s": 1.0, "per second": 1.0} | _MANY,
    "": _MANY,
}
_SAID = {
    "ms": "a time", "s": "a time", "bytes": "a number of bytes", "share": "a share", "percent": "a percentage",
    "GRT": "an amount of GRT", "per second": "a rate", "": "a number",
}  # fmt: skip


def parse_value(text: str, unit: str, *, name: str, where: str) -> float:
    """The value of ``text``, converted to the ``unit`` of a name; a number without a unit is already in it.

    Raises SettingsError naming what was found and the possible units.
    """
    match = _NUMBER.fullmatch(text.strip())
    number = float(match[1].replace("_", "").replace(",", "")) if match else math.nan
    if match is None or not math.isfinite(number):
        raise SettingsError(f"expected a number after the comparison, found {text.strip()[:40]!r}", where=where)
    written = match[2].strip()
    if not written:
        return number
    if written not in _WORTH[unit]:
        units = ", ".join(_WORTH[unit])
        raise SettingsError(
            f"{name} is {_SAID[unit]}, found the unit {written[:20]!r}", where=where, hint=f"Units are {units}"
        )
    return number * _WORTH[unit][written]


def shown(value: float, unit: str) -> str:
    """A value with its unit, as people read it: shares in percent."""
    if math.isnan(value):
        return "not known"
    if unit == "share":
        return f"{_digits(100 * value)} %"
    ending = {"": "", "percent": " %", "per second": "/s"}.get(unit, f" {unit}")
    return f"{_digits(value)}{ending}"


def with_interval(value: float, low: float, high: float, unit: str) -> str:
    """A value with its 95 % interval: ``61.2 (58.1 to 66.4) ms``; without it if it is NaN."""
    if math.isnan(low) or math.isnan(high):
        return shown(value, unit)
    number, *ending = shown(value, unit).split(" ", 1)
    ends = " to ".join(shown(end, unit).split(" ", 1)[0] for end in (low, high))
    return " ".join([number, f"({ends})", *ending])


def _digits(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

"""Numbers as people read them: one way for each kind of quantity, in text, tables and labels alike.

Three digits are enough; thousands are separated; times and memory get the unit that leaves few digits before the point
(s, ms, µs, ns; GiB, MiB, KiB, bytes: powers of 1,024); counts from a million on are in M or G. GRT is never written
with an exponent. An unknown value is a dash in a table and words in a sentence.
"""

from __future__ import annotations

from workbench.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Any

UNKNOWN = "–"
_TIMES = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_BYTES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_INFINITE = float("inf")
_COUNTS = (("G", 1e9), ("M", 1e6))


def figure(value: float) -> str:
    """Three digits of small numbers, no fractions of large ones: ``0.0123``, ``456``, ``12,345``."""
    if _is_nan(value):
        return "an unknown number of"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:,.3g}"


def amount(value: float, unit: str) -> str:
    """An amount with its unit, in three digits: ``4.56 M``, ``1.2 ms``, ``48 bytes``, ``1.5 MiB``."""
    scaled, name = _scaled(value, unit)
    return f"{figure(scaled)} {name}".rstrip()


def precise(value: float, unit: str) -> str:
    """A total with its unit: small counts and bytes exactly, times with three decimals."""
    scaled, name = (value, "") if unit in ("count", "") else _scaled(value, unit)
    if unit == "bytes" and name != "bytes":
        return f"{scaled:,.2f} {name}"
    if unit in _SECONDS and value:
        return f"{scaled:,.3f} {name}" if name != "ns" else f"{scaled:,.10g} ns"
    return f"{plain(value)} {name or unit}".removesuffix(" count").rstrip()


def plain(value: float, sign: str = "") -> str:
    """A number in full, whole numbers to the last digit: ``1,234,567``, ``0.125``. ``sign`` "+" always shows the
    sign."""
    return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.10g}"


def cell(value: Any, column: str = "") -> str:
    """A value in a table: shares (``_pct``) with two decimals, whole numbers whole, others with four digits, moments
    to the second."""
    if value is None or (isinstance(value, float) and not _is_finite(value)):
        return UNKNOWN  # a change from zero has no percentage
    if not isinstance(value, (str, int, float)) and hasattr(value, "isoformat"):  # a datetime, whose import takes 1 ms
        return str(value.isoformat(" ", "seconds"))
    if isinstance(value, (bool, str)) or type(value).__name__ == "bool":
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    if column.endswith("_pct"):
        return f"{value:,.2f}"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.4g}"


def counted(number: int, word: str) -> str:
    """A count with its noun: ``1 trial``, ``2,000 receipts``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def milliseconds(value: float) -> str:
    """A time of a request: ``12.35 ms``."""
    return f"{value:,.2f} ms"


def duration(seconds: float) -> str:
    """A waiting time, rounded up: ``45 s``, ``2 min 30 s``, ``3 h 20 min``; a dash if it is not known."""
    from math import ceil

    if not _is_finite(seconds):
        return UNKNOWN
    whole = ceil(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    minutes = ceil(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def per_second(value: float) -> str:
    """A rate, in four digits at most: ``1,683/s``, ``38.5/s``."""
    return f"{value:,.0f}/s" if abs(value) >= 1000 else f"{value:,.4g}/s"


def grt(value: float | Decimal) -> str:
    """An amount of GRT without an exponent, to the sixth digit: ``0.000001 GRT``, ``1.021 GRT``."""
    from decimal import Decimal  # 2 ms that reading a profile does not need

    digits = Decimal(f"{value:.6g}").normalize()
    return f"{digits:,f} GRT"


def percent(value: float) -> str:
    """A share in percent, with one decimal."""
    return "an unknown share" if _is_nan(value) else f"{value:.1f} %"


def range_text(low: float, high: float) -> str:
    """An interval in percent: ``48 to 100 %``, with as many digits as tell its ends apart; "" for NaN."""
    if _is_nan(low) or _is_nan(high):
        return ""
    digits = 0 if high - low >= 5 else 1 if high - low >= 0.2 else 2
    return f"{low:.{digits}f} to {high:.{digits}f} %"


# as those of math, whose import takes 0.3 ms that reading a small profile does not need
def _is_nan(value: float) -> bool:
    return value != value


def _is_finite(value: float) -> bool:
    return abs(value) < _INFINITE


def _scaled(value: float, unit: str) -> tuple[float, str]:
    """The value in its most readable unit, and that unit's name."""
    size = abs(value)
    if unit in _SECONDS:
        seconds = size * _SECONDS[unit]
        name, scale = next(((name, scale) for name, scale in _TIMES if seconds >= scale), _TIMES[-1])
        return (value, unit) if not value else (value * (_SECONDS[unit] / scale), name)
    if unit == "bytes":
        name, least = next(((name, least) for name, least in _BYTES if size >= least), ("bytes", 1))
        return value / least, name
    if unit in ("count", ""):
        name, scale = next(((name, scale) for name, scale in _COUNTS if size >= scale), ("", 1.0))
        return value / scale, name
    return value, unit

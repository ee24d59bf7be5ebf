"""A comparison in sentences: figures have four digits, so that small differences are visible."""

from __future__ import annotations

import math

from workbench.analysis.findings.code import short
from workbench.compare.causes import Cause, Part
from workbench.profiles.builds import without_build

_METRICS = {
    "Ir": "instructions",
    "calls": "system calls",
    "sysCount": "system calls",
    "cpu": "CPU time",
    "bytes_kept": "kept",
    "bytes_allocated": "allocated",
}
_SCALES = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (0, "ns")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (0, "bytes")),
}
_COUNTS = ((1e9, "billion"), (1e6, "million"), (0, ""))
_SAID_PARTS, _SAID_SYMPTOMS = 3, 6


def name_of(function: str) -> str:
    """A function's short name, without what a build or a library's version adds."""
    return short(without_build(function))


def metric_name(metric: str) -> str:
    """What a metric is called in a sentence."""
    return _METRICS.get(metric, metric)


def amount(value: float, unit: str, *, like: float | None = None) -> str:
    """An amount with its unit, four digits: ``6.636 million``, ``1.25 ms``. ``like``: use the unit that fits this
    amount, so that two amounts have the same unit."""
    if math.isnan(value):
        return "unknown"
    sizes = _SCALES.get(unit, _COUNTS)
    size, name = next(one for one in sizes if abs(value if like is None else like) >= one[0])
    number = value / (size or 1)
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
    return f"{text} {name}".strip()


def pair(before: float, after: float, unit: str, metric: str) -> str:
    """``6.636 to 4.304 million instructions``."""
    like = max(abs(before), abs(after))
    one, other = (amount(value, unit, like=like) for value in (before, after))
    word = one.rpartition(" ")[2]
    if word and other.endswith(f" {word}") and " " in one:
        one = one.rpartition(" ")[0]
    return f"{one} to {other} {metric_name(metric)}".rstrip()


def change(percent: float) -> str:
    """``-35.1 %``, ``+0.03 %``; two decimals below 1 %."""
    if math.isnan(percent):
        return "from nothing"
    if math.isinf(percent):
        return "from nothing"
    return f"{percent:+.2f} %" if abs(percent) < 1 else f"{percent:+.1f} %"


def count(value: float) -> str:
    """A number of calls: ``2``, ``0.3``, ``4.05``."""
    near = round(value)
    return f"{near:,}" if abs(value - near) < 0.02 else f"{value:,.3g}"


def part_sentence(function: str, part: Part, unit: str, metric: str) -> str:
    """What changed, in words."""
    who = name_of(function)
    if part.kind == "own":
        if math.isnan(part.change_pct):
            return f"{who} is new: {amount(part.after, unit)} {metric_name(metric)} of its own in each call"
        more = "more" if part.after > part.before else "less"
        said = pair(part.before, part.after, unit, metric)
        return f"{who} does {abs(part.change_pct):.3g} % {more} itself in each call ({said})"
    whom = name_of(part.callee)
    if not part.after:
        return f"{who} no longer calls {whom} ({count(part.before)} to 0 calls a receipt)"
    if not part.before:
        return f"{who} now calls {whom} (0 to {count(part.after)} calls a receipt)"
    more = "more" if part.after > part.before else "less"
    return f"{who} calls {whom} {more} often ({count(part.before)} to {count(part.after)} calls a receipt)"


def cause_sentence(cause: Cause, whole: float, unit: str, metric: str) -> str:
    """The change with the largest effect, this effect, and what else changed in the same function."""
    effect = f"{amount(cause.effect, unit)} {metric_name(metric)} a receipt".replace("-", "−", 1)
    sign = "" if cause.effect < 0 else "+"
    share = 100 * cause.effect / whole if whole else math.nan
    sentence = f"{part_sentence(cause.function, cause.main, unit, metric)}: {sign}{effect}, {change(share)}."
    rest = [part for part in cause.parts[1:] if abs(part.effect) >= 0.005 * abs(cause.effect)]
    if rest:
        said = "; ".join(part_sentence(cause.function, part, unit, metric) for part in rest[:_SAID_PARTS])
        more = f"; {len(rest) - _SAID_PARTS} more" if len(rest) > _SAID_PARTS else ""
        sentence += f" In the same function: {said}{more}."
    return sentence


def symptom_sentence(cause: Cause, unit: str) -> str:
    """The functions whose cost changed only because of this cause; "" if there are none."""
    if not cause.symptoms:
        return ""
    said = ", ".join(f"{name_of(name)} {amount(value, unit)}" for name, value in cause.symptoms[:_SAID_SYMPTOMS])
    more = len(cause.symptoms) - _SAID_SYMPTOMS
    return f"Symptoms of the same cause: {said}{f' and {more} more' if more > 0 else ''}."

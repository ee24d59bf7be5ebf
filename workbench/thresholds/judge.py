"""Whether a threshold held. A figure that was not measured fails its threshold, and the reason is given."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.thresholds.figures import Figure
from workbench.thresholds.parse import Threshold
from workbench.thresholds.units import with_interval

Verdict = Literal["PASS", "FAIL", "UNMEASURED"]
_PERCENTILE = re.compile(r"^(response|service)_p\d+_ms$")
MARKS = {"PASS": "✓", "FAIL": "✗", "UNMEASURED": "✗"}


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold and its result.

    ``fail_if``: its text. ``verdict``: PASS, FAIL (exceeded), UNMEASURED (which fails as well). ``value`` with its 95 %
    interval ``low`` to ``high`` (NaN: none) in ``unit``, of ``n`` receipts at ``place``: the one that decided, or is
    nearest to the bound. ``sure``: whether the whole interval is on one side of the bound (True without an interval:
    counts are exact). ``noise_pct``: the target's noise floor, if the value is nearer to the bound than that (else
    NaN). ``left_out``: which steps were not judged, and why. ``why``: why nothing was measured.
    """

    fail_if: str
    name: str
    verdict: Verdict
    bound: float
    unit: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    place: str = ""
    sure: bool = True
    left_out: str = ""
    why: str = ""
    noise_pct: float = math.nan

    @property
    def line(self) -> str:
        """Mark, threshold, value with interval, where; one line."""
        return f"{MARKS[self.verdict]} fail if {self.fail_if}: {self.said}"

    @property
    def said(self) -> str:
        """What was measured, in words."""
        if self.verdict == "UNMEASURED":
            return f"not measured: {self.why}"
        text = with_interval(self.value, self.low, self.high, self.unit)
        if _PERCENTILE.search(self.name) and math.isnan(self.low):
            text += " (no interval: too few independent receipts)"
        text += f" in {self.place}" if self.place else ""
        text += f", n = {self.n:,}" if self.n else ""
        text += "" if self.sure else "; the bound is inside the interval, so this may be chance"
        if not math.isnan(self.noise_pct):
            text += f"; equal loads differ by up to {self.noise_pct:.1f} %, so the bound is within the noise"
        return text + (f"; {self.left_out}" if self.left_out else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest and JSON, with the sentence."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "sentence": self.line}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Judged:
        """The inverse of :meth:`as_dict` for a manifest, in which null is NaN."""
        numbers = ("bound", "value", "low", "high", "noise_pct")
        values = {name: stored[name] for name in cls.__slots__ if name in stored}
        return cls(**{**values, **{name: math.nan for name in numbers if values.get(name, 0) is None}})


def judge(threshold: Threshold, figures: Sequence[Figure], noise_pct: float = math.nan) -> Judged:
    """Judge a threshold on all ``figures`` that the run has for its name. ``noise_pct``: the difference in percent
    between two equal loads (NaN: not known); a value nearer to the bound than that is uncertain."""
    chosen = _chosen(threshold, figures)
    if not chosen:
        return _unmeasured(threshold, _nowhere(threshold, figures))
    measured = [figure for figure in chosen if figure.measured]
    absent = [figure for figure in chosen if not figure.measured]
    if not measured:
        return _unmeasured(threshold, _why(absent[0]))
    beyond = [figure for figure in measured if threshold.exceeded_by(figure.value)]
    failed = len(beyond) == len(measured) if threshold.steps == "all" else bool(beyond)
    deciding = _deciding(threshold, beyond if failed and threshold.steps != "all" else measured)
    return Judged(
        fail_if=threshold.text,
        name=threshold.name.name,
        verdict="FAIL" if failed else "PASS",
        bound=threshold.bound,
        unit=threshold.name.unit,
        value=deciding.value,
        low=deciding.low,
        high=deciding.high,
        n=deciding.n,
        place=deciding.place,
        sure=math.isnan(deciding.low) or not deciding.low <= threshold.bound <= deciding.high,
        left_out=_left_out(absent),
        noise_pct=noise_pct if _within(deciding.value, threshold.bound, noise_pct) else math.nan,
    )


def _within(value: float, bound: float, noise_pct: float) -> bool:
    return value != 0 and abs(bound - value) <= abs(value) * noise_pct / 100  # False for NaN


def _chosen(threshold: Threshold, figures: Sequence[Figure]) -> list[Figure]:
    wanted = ("step", "receipts", "service")
    found = [
        figure for figure in figures if all(getattr(threshold, key) in (None, getattr(figure, key)) for key in wanted)
    ]
    if threshold.steps in ("first", "last") and found:
        steps = [figure.step for figure in found if figure.step is not None]
        edge = (min if threshold.steps == "first" else max)(steps, default=None)
        found = [figure for figure in found if figure.step == edge]
    return found


def _deciding(threshold: Threshold, figures: Sequence[Figure]) -> Figure:
    """The figure furthest on the failing side; for ``all`` steps the one nearest to passing."""
    if threshold.comparison in ("==", "!="):
        return figures[0]
    largest = threshold.upward != (threshold.steps == "all")
    return (max if largest else min)(figures, key=lambda figure: figure.value)


def _unmeasured(threshold: Threshold, why: str) -> Judged:
    name = threshold.name
    return Judged(threshold.text, name.name, "UNMEASURED", threshold.bound, name.unit, why=why)


def _why(figure: Figure) -> str:
    where = f"{figure.place}: " if figure.place else ""
    return where + (figure.absent or "the run has no such value")


def _nowhere(threshold: Threshold, figures: Sequence[Figure]) -> str:
    if not figures:
        return "the run has no step that was measured"
    steps = ", ".join(
        dict.fromkeys(f"{one.step} ({one.receipts:,} receipts)" for one in figures if one.step is not None)
    )
    services = ", ".join(dict.fromkeys(one.service for one in figures if one.service))
    there = "; ".join(filter(None, (f"steps: {steps}" if steps else "", f"services: {services}" if services else "")))
    return f"the run has no such step. It has {there}"


def _left_out(absent: Sequence[Figure]) -> str:
    """The steps that were not judged, in words. They do not fail the threshold if other steps were judged."""
    if not absent:
        return ""
    steps = ", ".join(str(figure.step) for figure in absent)
    return f"{'step' if len(absent) == 1 else 'steps'} {steps} not judged: {absent[0].absent or 'no such value'}"

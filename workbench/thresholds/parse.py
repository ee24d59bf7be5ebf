"""A threshold from its text: ``response_p95_ms > 50``, ``instructions_per_receipt[service=agent] > 7e6``.

The text says when the run **fails**: NAME, optionally the steps in brackets (default: any step), one of
``> >= < <= == !=``, and a number with or without a unit. In brackets, separated by commas: ``any`` or ``all`` steps,
``first`` or ``last``, ``step=3``, ``receipts=500``, ``service=NAME`` for costs.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workbench.errors import SettingsError
from workbench.thresholds.names import Name, named
from workbench.thresholds.units import parse_value, shown

FORM = "NAME > NUMBER, such as 'response_p95_ms > 50', 'refused_share > 0.1%' or 'response_p95_ms[step=3] > 50 ms'"
_TEXT = re.compile(r"\s*([^\s\[<>=!]+)\s*(?:\[([^\]]*)\])?\s*(>=|<=|==|!=|>|<)(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_PLACES = ("any", "all", "first", "last")


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a run fails: ``name`` ``comparison`` ``bound``, the bound in the name's unit.

    ``steps``: the run fails if ``any`` step is beyond the bound, only if ``all`` are, or if the ``first`` or ``last``
    is. ``step``, ``receipts`` and ``service`` select steps further, if given. ``text`` is as the user wrote it.
    """

    text: str
    name: Name
    comparison: str
    bound: float
    steps: str = "any"
    step: int | None = None
    receipts: int | None = None
    service: str | None = None

    def exceeded_by(self, value: float) -> bool:
        """Whether a value is on the failing side."""
        return _COMPARE[self.comparison](value, self.bound)

    @property
    def upward(self) -> bool:
        """Whether large values fail."""
        return self.comparison.startswith(">")

    @property
    def bound_text(self) -> str:
        """The comparison and the bound with its unit."""
        return f"{self.comparison} {shown(self.bound, self.name.unit)}"


def parse_threshold(text: str, where: str = "fail_if") -> Threshold:
    """The threshold of a text. Raises SettingsError with what was found and what to write."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise SettingsError(f"cannot read the threshold, found {text[:80]!r}", where=where, hint=f"Write {FORM}")
    name = named(match[1], where)
    bound = parse_value(match[4], name.unit, name=name.name, where=where)
    plain = Threshold(" ".join(text.split()), name, match[3], bound)
    chosen = [part.strip() for part in (match[2] or "").split(",") if part.strip()]
    for part in chosen:
        plain = _narrowed(plain, part, where)
    if name.of == "run" and chosen:
        raise SettingsError(f"{name.name} is one figure of the whole run, found [{match[2]}]", where=where)
    if plain.service is not None and name.of != "cost":
        raise SettingsError(f"{name.name} is not measured by service, found service={plain.service}", where=where)
    return plain


def parse_thresholds(texts: Sequence[str], where: str = "fail_if") -> tuple[Threshold, ...]:
    """The thresholds of several texts, each once."""
    return tuple(dict.fromkeys(parse_threshold(text, where) for text in texts))


def _narrowed(threshold: Threshold, part: str, where: str) -> Threshold:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals and key in _PLACES:
        return replace(threshold, steps=key)
    if key in ("step", "receipts") and value.replace("_", "").isdecimal():
        number = int(value.replace("_", ""))
        return replace(threshold, step=number) if key == "step" else replace(threshold, receipts=number)
    if key == "service" and value:
        return replace(threshold, service=value)
    raise SettingsError(
        f"cannot read which steps are meant, found [{part}]",
        where=where,
        hint="Write any, all, first, last, step=3, receipts=500 or service=NAME",
    )

"""The noise of single functions between repeated steps: a change of a function is named only if it exceeds this noise.

The steps of a run are its repeats. They give each function's own cost per call and its calls per receipt. Two builds
differ in one of these if Student's t test over the steps of both says so at ALPHA. A figure that is the same in every
step needs no test. With one step the noise is not known, and everything is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.analysis.costs import chosen, windows_of
from workbench.analysis.refusals import counted
from workbench.compare.causes import Cause, Part
from workbench.compare.side import Side

# The probability of naming noise as a change, for each figure tested. A comparison tests some hundred figures, and few
# of them are large enough to be named.
ALPHA = 0.001

# A function of the C library was not rebuilt. If its cost per call changes, its arguments or their addresses changed:
# the stack begins elsewhere if the program's path is longer, and a search in steps of 16 bytes then takes more or fewer
# steps (Mytkowicz, Diwan, Hauswirth and Sweeney 2009). Repeats within one start of the program do not show this, so
# such a change is named only from this share of a receipt's cost on.
LEAST_OF_SYSTEM_PCT = 1.0

_Place = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """Own cost per call and calls per receipt in each step, by name and file (file "": all functions of that name)."""

    own: Mapping[_Place, Sequence[float]] = field(default_factory=dict)
    calls: Mapping[_Place, Sequence[float]] = field(default_factory=dict)
    steps: int = 0

    @classmethod
    def of(cls, side: Side, service: str, mode: str, metric: str) -> Repeats:
        """The counted steps of a side; empty if it has none of that metric."""
        costs = side.costs
        if costs.empty:
            return cls()
        costs = costs[(costs["service"] == service) & (costs["mode"] == mode) & (costs["metric"] == metric)]
        if costs.empty or not (costs["by"] == "function").any():
            return cls()
        windows = windows_of(costs, metric)
        receipts = windows[counted(windows)].set_index("step")["receipts"].to_dict()
        rows = chosen(costs, metric, "function")
        rows = rows[rows["step"].isin(receipts)]
        own: dict[_Place, list[float]] = {}
        calls: dict[_Place, list[float]] = {}
        for keys in (["name", "file"], ["name"]):
            summed = rows.groupby([*keys, "step"], sort=False)[["self", "calls"]].sum()
            for key, group in summed.groupby(keys, sort=False):
                at: _Place = (str(key[0]), str(key[1]) if len(keys) == 2 else "")
                steps = group.index.get_level_values("step").tolist()
                found = dict(zip(steps, group.to_numpy(dtype="float64").tolist(), strict=True))
                each = [(found.get(step, (0, 0)), sent) for step, sent in receipts.items()]
                own[at] = [float(cost) / float(times) for (cost, times), _ in each if times]
                calls[at] = [float(times) / sent for (_, times), sent in each]
        return cls(own, calls, len(receipts))


def beyond_noise(cause: Cause, before: Repeats, after: Repeats, whole: float) -> Cause | None:
    """The cause with only those parts that exceed the noise between repeats; None if there are none. ``whole``: what a
    receipt costs."""
    least = whole * LEAST_OF_SYSTEM_PCT / 100
    parts = tuple(
        part
        for part in cause.parts
        if (part.whole or _certain(cause, part, before, after))
        and not (cause.system and part.kind == "own" and abs(part.effect) < least)
    )
    if not parts:
        return None
    if len(parts) == len(cause.parts):
        return cause
    return replace(cause, parts=parts, effect=sum(part.effect for part in parts))


def _certain(cause: Cause, part: Part, before: Repeats, after: Repeats) -> bool:
    sides = (before, after)
    if part.kind == "own":
        values = [side.own.get((cause.function, cause.file), ()) for side in sides]
    else:
        values = [side.calls.get((part.callee, ""), ()) for side in sides]
    return differ(*values)


def differ(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the repeats of two figures differ by more than chance; True if there are too few to test."""
    count = len(one) + len(other)
    if not one or not other or count < 3:
        return True
    means = [math.fsum(values) / len(values) for values in (one, other)]
    squares = sum((value - mean) ** 2 for values, mean in zip((one, other), means, strict=True) for value in values)
    distance = abs(means[0] - means[1])
    error = math.sqrt(squares / (count - 2) * (1 / len(one) + 1 / len(other)))
    # rounding errors of sums are not noise
    if error <= 1e-9 * max(map(abs, means)):
        return distance > 1e-9 * max(map(abs, means))
    from scipy.special import stdtr

    return bool(2 * stdtr(count - 2, -distance / error) < ALPHA)

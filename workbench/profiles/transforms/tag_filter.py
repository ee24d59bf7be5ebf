"""pprof's filters for labels, as in ``-tagfocus`` and ``-tagignore`` (internal/driver/driver_focus.go).

``[key=]value``, where value is

- a number or a range of numbers with their units, both ends included: ``32kb``, ``:64kb``, ``4mb:``, ``16kb:32kb``,
  ``100ms``. It is compared with numeric labels in its own unit (internal/measurement);
- otherwise regular expressions separated by commas, searched in text labels. With a key, a sample matches if any
  of them is found in a value of that key; without one, if each of them is found in some label, as ``key:value``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.transforms.patterns import compiled

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_NUMBER = re.compile(r"([+-]?[0-9]+)([A-Za-z]+)?")
# by kind: the default unit, then names, canonical name and size of each unit
_KINDS: tuple[tuple[tuple[str, float], tuple[tuple[str, tuple[str, ...], float], ...]], ...] = (
    (
        ("B", 1.0),
        (
            ("B", ("b", "byte"), 1.0),
            ("kB", ("kb", "kbyte", "kilobyte"), 2.0**10),
            ("MB", ("mb", "mbyte", "megabyte"), 2.0**20),
            ("GB", ("gb", "gbyte", "gigabyte"), 2.0**30),
            ("TB", ("tb", "tbyte", "terabyte"), 2.0**40),
            ("PB", ("pb", "pbyte", "petabyte"), 2.0**50),
        ),
    ),
    (
        ("s", 1e9),
        (
            ("ns", ("ns", "nanosecond"), 1.0),
            ("us", ("μs", "us", "microsecond"), 1e3),
            ("ms", ("ms", "millisecond"), 1e6),
            ("s", ("s", "sec", "second"), 1e9),
            ("hrs", ("hour", "hr"), 3.6e12),
        ),
    ),
    (
        ("GCU", 1.0),
        tuple(
            (canonical, (name,), 10.0**power)
            for canonical, name, power in (
                ("n*GCU", "nanogcu", -9),
                ("u*GCU", "microgcu", -6),
                ("m*GCU", "milligcu", -3),
                ("GCU", "gcu", 0),
                ("k*GCU", "kilogcu", 3),
                ("M*GCU", "megagcu", 6),
                ("G*GCU", "gigagcu", 9),
                ("T*GCU", "teragcu", 12),
                ("P*GCU", "petagcu", 15),
            )
        ),
    ),
)
# units without meaning
_PLAIN = frozenset(("count", "sample", "unit", "minimum", "auto"))


def matching_tags(tags: pd.DataFrame, wanted: str) -> NDArray[np.int64]:
    """The ``tags_id`` of the sets of labels that a filter matches. Raises WorkbenchError for an invalid regular
    expression."""
    key, value = wanted.split("=", 1) if "=" in wanted else ("", wanted)
    text = tags["number"].isna()
    inside = number_range(value)
    if inside is not None:
        rows = tags[~text & (tags["key"] == key)] if key else tags[~text]
        numbers = zip(rows["number"].tolist(), rows["unit"].tolist(), strict=True)
        return _ids(rows, [inside(int(number), unit) for number, unit in numbers])
    patterns = [compiled(part) for part in value.split(",")]
    if key:
        rows = tags[text & (tags["key"] == key)]
        return _ids(rows, [any(pattern.search(each) for pattern in patterns) for each in rows["value"]])
    rows = tags[text]
    shown = (rows["key"] + ":" + rows["value"]).tolist()
    found = [set(_ids(rows, [pattern.search(each) is not None for each in shown]).tolist()) for pattern in patterns]
    return np.asarray(sorted(set.intersection(*found)), dtype=np.int64)


def number_range(text: str) -> Callable[[int, str], bool] | None:
    """A test whether a number with its unit is in a range; None if the text is not a range but a regular expression."""
    ends = list(_NUMBER.finditer(text))[:2]
    if not ends:
        return None
    first, unit = scaled(int(ends[0][1]), ends[0][2] or "", ends[0][2] or "")
    low, high = first, first
    if len(ends) == 2:
        high, other = scaled(int(ends[1][1]), ends[1][2] or "", unit)
        if text != f"{ends[0][0]}:{ends[1][0]}" or other != unit:
            return None
    elif text == f"{ends[0][0]}:":
        high = float("inf")
    elif text == f":{ends[0][0]}":
        low = -float("inf")
    elif text != ends[0][0]:
        return None

    def inside(number: int, of_unit: str) -> bool:
        value, made = scaled(number, of_unit, unit)
        return made == unit and low <= value <= high

    return inside


def scaled(value: int, unit: str, to: str) -> tuple[float, str]:
    """A value in another unit, and that unit's canonical name; if the kinds differ, in the default unit of the value's
    kind."""
    for (default, default_size), units in _KINDS:
        here = _unit(units, unit)
        if here is None:
            continue
        there = _unit(units, to)
        name, size = (default, default_size) if there is None else there
        return value * here[1] / size, name
    return float(value), "" if to in _PLAIN else to


def _unit(units: tuple[tuple[str, tuple[str, ...], float], ...], name: str) -> tuple[str, float] | None:
    name = name.lower()
    if len(name.encode()) > 2:
        name = name.removesuffix("s")
    return next(((canonical, size) for canonical, names, size in units if name in names), None)


def _ids(rows: pd.DataFrame, chosen: Sequence[bool]) -> NDArray[np.int64]:
    return np.unique(rows["tags_id"].to_numpy(dtype=np.int64)[np.asarray(chosen, dtype=bool)])

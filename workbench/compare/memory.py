"""Memory kept per receipt, before and after, by allocation site."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from workbench.analysis.leaks import LEAK
from workbench.compare.side import Side
from workbench.profiles.transforms.matching import matching

COLUMNS = (
    "service", "function", "file", "crate", "before", "before_low", "before_high", "after", "after_low", "after_high",
    "flag_before", "flag_after", "verdict",
)  # fmt: skip
_SITE = ["function", "file", "object", "crate"]


def memory_table(before: Side, after: Side) -> pd.DataFrame:
    """One row per allocation site, and one, ``(whole)``, for the heap: COLUMNS. Rates are massif's leak rates in bytes
    per receipt with 95 % intervals (NaN: not known). ``verdict``: dearer or cheaper if the intervals do not overlap,
    else "no difference found"."""
    rows: list[tuple[Any, ...]] = []
    for service in before.leaks:
        if service not in after.leaks:
            continue
        one, other = before.leaks[service], after.leaks[service]
        rows.append((service, "(whole)", "", "", *one.rate, *other.rate, "", "", _verdict(one.rate, other.rate)))
        sides = [leaks.table.groupby(_SITE, as_index=False, sort=False).agg(
            {"rate": "sum", "rate_low": "sum", "rate_high": "sum", "flag": "first"}
        ) for leaks in (one, other)]  # fmt: skip
        code = matching(*(side.rename(columns={"function": "raw_function"}) for side in sides)).code
        known = [dict(zip(at, side.itertuples(index=False), strict=True)) for at, side in zip(
            (code[: len(sides[0])].tolist(), code[len(sides[0]) :].tolist()), sides, strict=True
        )]  # fmt: skip
        for number in dict.fromkeys([*known[0], *known[1]]):
            rows.append(_site(service, known[0].get(number), known[1].get(number)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _site(service: str, one: Any, other: Any) -> tuple[Any, ...]:
    """The row of one site; None: the side does not have it."""
    named = other or one
    rates = [(row.rate, row.rate_low, row.rate_high) if row else (0.0, 0.0, 0.0) for row in (one, other)]
    flags = [row.flag if row else "" for row in (one, other)]
    verdict = _verdict(*rates) if LEAK in flags else "no difference found"
    return (service, named.function, named.file, named.crate, *rates[0], *rates[1], *flags, verdict)


def _verdict(one: tuple[float, float, float], other: tuple[float, float, float]) -> str:
    if any(math.isnan(value) for value in (*one, *other)):
        return ""
    if other[1] > one[2]:
        return "dearer"
    return "cheaper" if other[2] < one[1] else "no difference found"

"""What a receipt costs the generator and the stand-in, from one run with both under pprofile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.profiles.transforms.combine import difference
from workbench.report.tables import table
from workbench.report.view import View, in_words

if TYPE_CHECKING:
    import pandas as pd

    from workbench.profiles.model import Profile
    from workbench.sweep.both_profiled import BothProfiled

LINES = "hits"
TIME = "microseconds"


def per_receipt(profiles: Sequence[Profile], receipts: Sequence[int]) -> pd.DataFrame:
    """The cost of one more receipt by function, from a short and a longer step: ``function``, ``file``, ``lines``
    executed and ``us`` (microseconds under pprofile, which makes code several times slower); most lines first."""
    before, after = profiles[0], profiles[-1]
    more = receipts[-1] - receipts[0]
    keys = ["name", "file"]
    lines, time = (
        difference(before, after, metric).functions.groupby(keys, sort=False)["change_self"].sum() / more
        for metric in (LINES, TIME)
    )
    made = lines.rename("lines").to_frame().join(time.rename("us")).reset_index()
    made = made[made["lines"] > 0].sort_values("lines", ascending=False, kind="stable", ignore_index=True)
    return made.rename(columns={"name": "function"})


def per_receipt_table(profiles: Sequence[Profile], receipts: Sequence[int], rows: int | None = None) -> View:
    """:func:`per_receipt` as a table; paths are shortened to their last two parts."""
    found = per_receipt(profiles, receipts).round({"lines": 2, "us": 1})
    found["file"] = ["/".join(str(path).split("/")[-2:]) for path in found["file"]]
    return table(found, rows)


def answer(both: BothProfiled) -> View:
    """Which of the two executes more lines per receipt, and in which functions."""
    said, sums = [], {}
    for name, profiles in (("generator", both.generator), ("stand-in", both.service)):
        found = per_receipt(profiles, both.receipts)
        sums[name] = float(found["lines"].sum())
        most = "; ".join(f"{row.function}, {row.lines:,.1f}" for row in found.head(3).itertuples())
        said.append(f"The {name} executes {sums[name]:,.0f} lines of Python per receipt. Most are in: {most}.")
    more, less = sorted(sums, key=lambda name: -sums[name])
    if sums[less] > 0:
        said.insert(0, f"The {more} executes {sums[more] / sums[less]:.1f} times as many lines as the {less}.")
    return in_words({"What does a receipt cost, in lines of Python?": said})

"""Callgrind's derived events, with KCachegrind's formulas (libcore/eventtype.cpp)."""

from __future__ import annotations

from collections.abc import Collection

from workbench.hints import TYPE_CHECKING
from workbench.profiles.columns import called_, cost_, self_, total_
from workbench.profiles.metrics import Metric

if TYPE_CHECKING:
    from workbench.profiles.model import Profile
    from workbench.profiles.table import Table

# name -> (description, weights of events). If L2 was simulated (before 3.5), LL is called L2.
FORMULAS: dict[str, tuple[str, dict[str, int]]] = {
    "L1m": ("level-1 cache misses", {"I1mr": 1, "D1mr": 1, "D1mw": 1}),
    "LLm": (
        "last-level cache misses",
        {"ILmr": 1, "DLmr": 1, "DLmw": 1, "I2mr": 1, "D2mr": 1, "D2mw": 1},
    ),
    "Bm": ("mispredicted branches", {"Bcm": 1, "Bim": 1}),
    "CEst": (
        "estimated cycles: Ir + 10 Bm + 10 L1m + 20 Ge + 100 LLm",
        {
            "Ir": 1, "Bcm": 10, "Bim": 10, "I1mr": 10, "D1mr": 10, "D1mw": 10, "Ge": 20,
            "ILmr": 100, "DLmr": 100, "DLmw": 100, "I2mr": 100, "D2mr": 100, "D2mw": 100,
        },
    ),
}  # fmt: skip


def derived(profile: Profile, names: Collection[str] | None = None) -> Profile:
    """The profile with L1m, LLm, Bm and CEst beside its own events, in all tables. Each needs at least one of its
    events besides Ir (so there is no CEst for a run without cache or branch simulation); missing ones count 0.
    ``names``: the events to add (None: all).
    """
    have = set(profile.metric_names)
    wanted = {
        name: {event: weight for event, weight in parts.items() if event in have}
        for name, (_, parts) in FORMULAS.items()
        if (names is None or name in names) and name not in have and have & (set(parts) - {"Ir"})
    }
    if not wanted:
        return profile

    def more(table: Table) -> Table:
        return table.assign(
            **{
                column(name): sum(table[column(event)] * weight for event, weight in parts.items())
                for column in (self_, total_, cost_, called_)
                for name, parts in wanted.items()
                if all(column(event) in table for event in parts)
            }
        )

    metrics = (*profile.metrics, *(Metric(name, "count", FORMULAS[name][0]) for name in wanted))
    return profile.with_costs(metrics, more)

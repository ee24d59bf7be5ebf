"""Growth and leaks as findings: what :mod:`workbench.analysis.growth` and ``leaks`` flagged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from workbench.analysis.costs import PLACE
from workbench.analysis.findings.code import short
from workbench.analysis.findings.model import Finding, Size
from workbench.analysis.findings.words import amount
from workbench.numbers import percent

if TYPE_CHECKING:
    from workbench.analysis.findings.measured import Measured
    from workbench.analysis.growth import Growth

# least share of all growth of the heap after the first step, in percent
LEAST_KEPT_PCT = 20.0
# Even a small leak stops a service in time. The weight of a leak starts here, and rises by 10 percent of the cost for
# each factor of ten in bytes per receipt.
_LEAK = 20.0
_MOST = 60.0


def growing(one: Measured) -> list[Finding]:
    """Functions whose cost per receipt grows with the receipts in a step, or with those sent before."""
    before = {} if one.accumulated is None else _flagged(one, one.accumulated, "receipts were sent before")
    found = {} if one.growth is None else _flagged(one, one.growth, "receipts are in a step")
    return [*found.values(), *(finding for place, finding in before.items() if place not in found)]


def _flagged(one: Measured, growth: Growth, more: str) -> dict[tuple[str, ...], Finding]:
    """A finding for each place whose growth is flagged."""
    found = {}
    for row in growth.flagged().to_dict("records"):
        unit, name = str(row["unit"]), str(row["name"])
        place = tuple(str(row[column]) for column in PLACE)
        points = growth.points[(growth.points[list(PLACE)] == list(place)).all(axis=1)]
        law = f" ({row['growth_term']})" if growth.chosen_by in ("AICc", "leave-one-out") else ""
        found[place] = Finding(
            kind="growth",
            service=one.service,
            mode=one.mode,
            subject=name,
            sentence=(
                f"{short(name)} costs more per receipt the more {more}{law}: {percent(row['rise_pct'])} more at "
                "the end of the sweep. There, one more receipt costs "
                f"{amount(row['marginal_per_receipt'], unit, growth.metric)} in this "
                f"function, {percent(row['marginal_share_pct'])} of all that a receipt costs there."
            ),
            metric=growth.metric,
            size=Size(row["marginal_per_receipt"], unit, row["marginal_low"], row["marginal_high"]),
            share_pct=float(row["marginal_share_pct"]),
            saving_pct=math.nan,
            certainty=f"found at a false discovery rate of {row['q']:.2g} over all functions",
            confidence=0.95,
            todo="Check what it walks through for each receipt: a list it searches, a table without an index",
            shown="chart and table of growth",
            weight=float(row["marginal_share_pct"]),
            evidence=points.reset_index(drop=True),
            names=(name,),
        )
    return found


def leaking(one: Measured) -> list[Finding]:
    """Sites that keep memory for each receipt, if they have a large share of it; the table has the others."""
    if one.leaks is None:
        return []
    found = []
    leaks = one.leaks.flagged()
    for row in leaks[leaks["share_pct"] >= LEAST_KEPT_PCT].to_dict("records"):
        rate = float(row["rate"])
        per_million = rate * 1e6
        found.append(
            Finding(
                kind="leak",
                service=one.service,
                mode=one.mode,
                subject=str(row["allocator"]),
                sentence=(
                    f"{row['allocator']} keeps {amount(rate, 'bytes')} per receipt until the end: "
                    f"{amount(per_million, 'bytes')} after a million receipts."
                ),
                metric="bytes_kept",
                size=Size(rate, "bytes", float(row["rate_low"]), float(row["rate_high"])),
                share_pct=float(row["share_pct"]),
                saving_pct=math.nan,
                certainty="it grows with the receipts; a cache that is still filling does too",
                confidence=0.9,
                todo="Decide what frees it, and when; a cache needs a bound",
                shown="chart and table of what each allocation site holds",
                weight=min(_MOST, _LEAK + 10 * math.log10(max(rate, 1.0))),
                evidence=pd.DataFrame([row]),
                names=(str(row["function"]),),
            )
        )
    return found

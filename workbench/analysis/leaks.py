"""Leaks from the edges of massif's windows: bytes kept per receipt, by allocation site.

Each step has a heap at its begin and at its end. The rate of a site is the slope of what it holds over all receipts
sent so far, from the end of the first step on: what is built up in the first step only (caches, pools, tables of a
start) is no leak. Massif lists no site below its threshold: such an edge is not known, rather than 0, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.analysis.costs import held_bytes
from workbench.analysis.student import quantile
from workbench.errors import WorkbenchError
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

By = Literal["function", "site"]

LEAK, UNEVEN, WARM_UP, STEADY, TOO_FEW = "leak", "rises unevenly", "warm-up", "steady", "not enough steps"
FLAGS = (LEAK, UNEVEN, WARM_UP, STEADY, TOO_FEW)

CONFIDENCE = 0.95
FEWEST_STEPS = 3
# a byte a receipt is a gigabyte after a thousand million receipts
LEAST_RATE = 1.0
# of all that rises after the first step
LEAST_SHARE = 0.01
# the last step rises at least at this part of the mean rate: a cache that has filled does not
_STILL_RISING = 0.5

PLACE = ("allocator", "function", "file", "line", "object", "crate")
COLUMNS = (
    *PLACE, "rate", "rate_low", "rate_high", "share_pct", "kept_bytes", "first_step_bytes", "held_bytes", "edges",
    "unlisted", "flag",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class HeapWindow:
    """One step under massif: its heap before and after (the last detailed snapshot of each profile), and how many
    receipts were sent in it, and before it (None: those of the windows before)."""

    step: int
    receipts: int
    begin: Profile
    end: Profile
    receipts_before: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """Leak rates. ``sentence`` says what was found; ``enough`` is False where the steps are too few to say.

    ``rate``: bytes per receipt that the whole heap keeps, with its interval of CONFIDENCE. ``edges``: what each site
    held at each edge, see :func:`held_by_edge`.

    ``table``, the highest rate first: allocator, function, file, line, object, crate; ``rate`` in bytes per receipt
    with ``rate_low`` and ``rate_high`` (NaN where two edges are all there is); ``share_pct`` of the rise of all
    rising sites; ``kept_bytes`` from the first to the last edge counted, ``first_step_bytes`` in the first step,
    ``held_bytes`` at the end; ``edges`` counted, and how many more did not list the site; ``flag``: LEAK (rises
    with the receipts, to the end), UNEVEN (more at the end, not in step with them), WARM_UP (rose in the first step
    only), STEADY, TOO_FEW.
    """

    sentence: str
    enough: bool
    rate: tuple[float, float, float]
    edges: pd.DataFrame
    table: pd.DataFrame

    def flagged(self) -> pd.DataFrame:
        """The leaks, the highest rate first."""
        return self.table[self.table["flag"] == LEAK].reset_index(drop=True)


def held_by_edge(windows: Sequence[HeapWindow], by: By = "site") -> pd.DataFrame:
    """What each allocator held at each edge, in long form: step, edge (``begin`` or ``end``), receipts (sent so far),
    allocator, function, file, line, object, crate, bytes. An edge that does not list an allocator has no row for it.

    Raises WorkbenchError for profiles that are not of massif or have no heap tree.
    """
    parts = [
        held_bytes(profile, by).assign(step=step, edge=edge, receipts=sent)
        for step, edge, sent, profile in _edges(windows)
    ]
    columns = ["step", "edge", "receipts", *PLACE, "bytes"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _edges(windows: Sequence[HeapWindow]) -> list[tuple[int, str, int, Profile]]:
    """Step, edge, receipts sent so far, and profile of each edge, in order."""
    found: list[tuple[int, str, int, Profile]] = []
    sent = 0
    for window in sorted(windows, key=lambda one: one.step):
        if window.receipts < 1:
            raise WorkbenchError(
                f"a window of {window.receipts} receipts has no rate",
                where=f"step {window.step}",
                hint="Leave the step out",
            )
        sent = sent if window.receipts_before is None else window.receipts_before
        found.append((window.step, "begin", sent, window.begin))
        sent += window.receipts
        found.append((window.step, "end", sent, window.end))
    return found


def _whole(windows: Sequence[HeapWindow]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Receipts and bytes of the heap at the edges, from the end of the first step on."""
    edges = _edges(windows)[1 if len(windows) > 1 else 0 :]
    held = [
        float(profile.tables["snapshots"]["heap_bytes"].iloc[profile.meta["detailed"][-1]]) for *_, profile in edges
    ]
    return np.array([sent for _, _, sent, _ in edges], dtype=np.float64), np.array(held, dtype=np.float64)


def leak_rates(windows: Sequence[HeapWindow], by: By = "site") -> Leaks:
    """Bytes kept per receipt by allocation site (a line) or function, and which of them are leaks.

    A leak's rate is above 0 with CONFIDENCE, it still rises in the last step, and it matters: LEAST_RATE bytes per
    receipt and LEAST_SHARE of what rises. Raises as :func:`held_by_edge` does.
    """
    edges = held_by_edge(windows, by)
    sent = {window.step: window.receipts for window in windows}
    enough = len(sent) >= FEWEST_STEPS
    rows = [_site(group, sent, enough) for _, group in edges.groupby(list(PLACE), sort=False, dropna=False)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)) if rows else pd.DataFrame(columns=list(COLUMNS))
    rises = table["kept_bytes"].clip(lower=0).sum() if rows else 0
    if rises > 0:
        table["share_pct"] = 100 * table["kept_bytes"].clip(lower=0) / rises
        small = (table["rate"] < LEAST_RATE) | (table["share_pct"] < 100 * LEAST_SHARE)
        small &= table["flag"].isin([LEAK, UNEVEN])
        table.loc[small, "flag"] = STEADY
    # the row of all small sites is no place
    table.loc[(table["function"] == BELOW_THRESHOLD) & (table["flag"] == LEAK), "flag"] = UNEVEN
    table = table.sort_values("rate", ascending=False, kind="stable", ignore_index=True)
    rate = _slope(*_whole(windows))
    return Leaks(_sentence(table, rate, enough, len(sent)), enough, rate, edges, table)


def _later(edges: pd.DataFrame, steps: Sequence[int]) -> pd.DataFrame:
    """The edges from the end of the first step on; all of a single step."""
    if len(steps) < 2:
        return edges
    return edges[(edges["step"] > steps[0]) | (edges["edge"] == "end")]


def _site(edges: pd.DataFrame, sent: Mapping[int, int], enough: bool) -> dict[str, object]:
    """The row of one site. ``sent``: receipts of each step."""
    steps = sorted(sent)
    later = _later(edges, steps)
    held = later["bytes"].to_numpy(dtype=np.float64)
    rate, low, high = _slope(later["receipts"].to_numpy(dtype=np.float64), held)
    rises = _rises(edges, sent)
    added, later_rises = rises.get(steps[0], 0.0), [rise for step, rise in rises.items() if step != steps[0]]
    last = edges["bytes"].iloc[-1] if (edges["step"].iloc[-1], edges["edge"].iloc[-1]) == (steps[-1], "end") else 0
    kept = float(held[-1] - held[0]) if len(held) else 0.0
    expected = 2 * len(steps) - (1 if len(steps) > 1 else 0)
    flag = _flag(low, kept, added, later_rises, last > 0 and len(held) >= FEWEST_STEPS) if enough else TOO_FEW
    return {
        **{column: edges[column].iloc[0] for column in PLACE},
        "rate": rate, "rate_low": low, "rate_high": high, "share_pct": 0.0, "kept_bytes": kept,
        "first_step_bytes": round(added * sent[steps[0]]), "held_bytes": int(last),
        "edges": len(held), "unlisted": expected - len(held), "flag": flag,
    }  # fmt: skip


def _rises(edges: pd.DataFrame, sent: Mapping[int, int]) -> dict[int, float]:
    """Bytes per receipt that each step added, where both its edges list the site. A site that is not listed at the
    first step's begin is taken to begin there: if it was there, below the threshold, it rose by less."""
    found: dict[int, float] = {}
    for step, group in edges.groupby("step"):
        held = dict(zip(group["edge"], group["bytes"].astype(float), strict=True))
        if step == min(sent):
            held.setdefault("begin", 0.0)
        if len(held) == 2:
            found[int(step)] = (held["end"] - held["begin"]) / sent[int(step)]
    return found


def _flag(low: float, kept: float, first: float, later: Sequence[float], known: bool) -> str:
    """``first`` and ``later``: what the first step and the others added; ``known``: whether enough edges list the
    site, the last one among them."""
    if kept > 0 and later:
        steady = low > 0 and later[-1] > 0 and later[-1] >= _STILL_RISING * float(np.mean(later))
        return LEAK if steady and known else UNEVEN
    return WARM_UP if first > 0 else STEADY


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Least squares slope with its interval; NaN where the points do not give one."""
    nan = float("nan")
    if len(np.unique(x)) < 2:
        return nan, nan, nan
    dx = x - x.mean()
    spread = float((dx**2).sum())
    slope = float((dx * (y - y.mean())).sum()) / spread
    free = len(x) - 2
    if free < 1:
        return slope, nan, nan
    left = y - y.mean() - slope * dx
    margin = quantile((1 + CONFIDENCE) / 2, free) * float(np.sqrt((left**2).sum() / free / spread))
    return slope, slope - margin, slope + margin


def _sentence(table: pd.DataFrame, rate: tuple[float, float, float], enough: bool, steps: int) -> str:
    if not enough:
        return (
            f"Whether memory leaks cannot be told from {steps} {'step' if steps == 1 else 'steps'}: the first is "
            f"warm-up, and at least {FEWEST_STEPS} are needed."
        )
    whole = f"after the first of {steps} steps the heap keeps {rate[0]:,.1f} bytes per receipt"
    leaks = table[table["flag"] == LEAK]
    if leaks.empty:
        return f"Nothing looks like a leak: {whole}, and no place rises in step with the receipts."
    first = leaks.iloc[0]
    more = f", and {len(leaks) - 1} more" if len(leaks) > 1 else ""
    return (
        f"This looks like a leak: {first['allocator']} keeps {first['rate']:,.1f} bytes per receipt "
        f"({first['rate_low']:,.1f} to {first['rate_high']:,.1f}){more}; {whole}. A cache that still fills looks the "
        "same."
    )

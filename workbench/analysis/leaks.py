"""Leaks from the edges of massif's windows: bytes kept per receipt, by allocation site.

Each step has a heap at its begin and at its end. The rate of a site is the slope of its bytes over all receipts sent so
far, from the end of the first step on: what only the first step adds (caches, pools, tables of a start) is no leak.
Massif lists no site below its threshold; its bytes at such an edge are not known, so the edge is left out.

If a site rises in a window without receipts, that much is due to time and is subtracted from its rate. What profilers
in the service hold is left out (see :mod:`workbench.analysis.profiler_share`).

A restarted service (a resumed sweep) has a new heap: bytes are compared within one **session** only, and each session
has its own first step. Steps with denied receipts are left out, because a refusal keeps other memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.analysis.costs import held_bytes, unlisted_at_most
from workbench.analysis.profiler_share import without_profiler
from workbench.analysis.refusals import ALL_DENIED, left_out
from workbench.errors import WorkbenchError
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD
from workbench.stats.student import quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

By = Literal["function", "site"]

LEAK, UNEVEN, WARM_UP, STEADY, TOO_FEW = "leak", "rises unevenly", "warm-up", "steady", "not enough steps"
TIMED = "rises with time"
FLAGS = (LEAK, UNEVEN, TIMED, WARM_UP, STEADY, TOO_FEW)

CONFIDENCE = 0.95
FEWEST_STEPS = 3
# at one byte per receipt, a thousand million receipts keep a gigabyte
LEAST_RATE = 1.0
# share of all rises after the first step
LEAST_SHARE = 0.01
# TIMED: time alone explains at least this share of the rate
_MOSTLY_TIME = 0.5
# LEAK: the last step rises by at least this share of the mean rate; a full cache does not
_STILL_RISING = 0.5

PLACE = ("allocator", "function", "file", "line", "object", "crate")
COLUMNS = (
    *PLACE, "rate", "rate_low", "rate_high", "background", "share_pct", "kept_bytes", "first_step_bytes", "held_bytes",
    "edges", "unlisted", "flag",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class HeapWindow:
    """One step under massif: the heap before and after it (the last detailed snapshot of each profile), and the
    receipts sent in it and before it (None: the sum of the windows before). ``session``: the number of the service's
    start; windows of one session share a heap. ``denied``: how many receipts were denied. ``started_s`` and
    ``ended_s``: its time, by any clock (NaN: not known)."""

    step: int
    receipts: int
    begin: Profile
    end: Profile
    receipts_before: int | None = None
    session: int = 0
    denied: int = 0
    started_s: float = float("nan")
    ended_s: float = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Leaks:
    """Leak rates. ``sentence`` says what was found; ``enough`` is False if there are too few steps.

    ``rate``: bytes per receipt that the whole heap keeps, with its interval of CONFIDENCE. ``edges``: the bytes of each
    site at each edge, in long form: step, session, edge (``begin`` or ``end``), receipts (sent so far), allocator,
    function, file, line, object, crate, bytes. An edge that does not list an allocator has no row for it. If a place is
    several frames of the profile (inlined here, called there), they are one row.

    ``table``, the highest rate first: allocator, function, file, line, object, crate; ``rate`` in bytes per receipt
    with ``rate_low`` and ``rate_high`` (NaN if there are only two edges); ``background``: bytes per receipt that time
    alone added, subtracted from the rate (0 if not known); ``share_pct`` of the rise of all rising sites;
    ``kept_bytes`` from the first to the last edge counted (of each session); ``first_step_bytes``: added by the first
    step (the most of any session); ``held_bytes`` at the end; ``edges`` that list the site, and how many are
    ``unlisted``; ``flag``: LEAK (rises with the receipts, to the end), UNEVEN (more at the end, but not in step with
    them), TIMED (time alone explains half of it or more), WARM_UP (rose in the first step only), STEADY, TOO_FEW.
    """

    sentence: str
    enough: bool
    rate: tuple[float, float, float]
    edges: pd.DataFrame
    table: pd.DataFrame

    def flagged(self) -> pd.DataFrame:
        """The leaks, the highest rate first."""
        return self.table[self.table["flag"] == LEAK].reset_index(drop=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """One edge of a window. ``stretch`` numbers the series of windows without an uncounted one in between; rises are
    computed within one. ``opens``: whether the step is the first of its session."""

    step: int
    session: int
    stretch: int
    opens: bool
    edge: str
    receipts: int
    step_receipts: int
    profile: Profile
    at_s: float


def _held(edges: Sequence[_Edge], by: By) -> pd.DataFrame:
    window = ["step", "session", "edge", "receipts"]
    columns = [*window, *PLACE, "bytes"]
    parts = [
        held_bytes(one.profile, by).assign(step=one.step, session=one.session, edge=one.edge, receipts=one.receipts)
        for one in edges
    ]
    if not parts:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(parts, ignore_index=True)
    return rows.groupby([*window, *PLACE], sort=False, as_index=False, dropna=False)["bytes"].sum()[columns]


def _edges(windows: Sequence[HeapWindow]) -> list[_Edge]:
    """The two edges of each window that is counted, in order."""
    found: list[_Edge] = []
    counted = {window.step for window in _counted(windows)}
    sent, stretch, sessions = 0, 0, set[int]()
    previous: HeapWindow | None = None
    for window in sorted(windows, key=lambda one: one.step):
        if window.receipts < 1:
            raise WorkbenchError(
                f"a window of {window.receipts} receipts has no rate",
                where=f"step {window.step}",
                hint="Leave the step out",
            )
        before = sent if window.receipts_before is None else window.receipts_before
        sent = before + window.receipts
        if previous is not None and (previous.session != window.session or previous.step not in counted):
            stretch += 1
        previous = window
        opens = window.session not in sessions
        sessions.add(window.session)
        if window.step in counted:
            both = (
                ("begin", before, window.begin, window.started_s),
                ("end", sent, window.end, window.ended_s),
            )
            for edge, receipts, profile, at_s in both:
                heap = without_profiler(profile)
                found.append(
                    _Edge(window.step, window.session, stretch, opens, edge, receipts, window.receipts, heap, at_s)
                )
    return found


def _counted(windows: Sequence[HeapWindow]) -> list[HeapWindow]:
    """The windows without denied receipts; if there are none, those with other receipts."""
    clean = [window for window in windows if not window.denied]
    return clean or [window for window in windows if window.denied < window.receipts]


def _later(edges: Sequence[_Edge]) -> list[_Edge]:
    """The edges from the end of each session's first step on; all edges if there is only one step."""
    if len({one.step for one in edges}) < 2:
        return list(edges)
    return [one for one in edges if not one.opens or one.edge == "end"]


def leak_rates(windows: Sequence[HeapWindow], by: By = "site", idle: HeapWindow | None = None) -> Leaks:
    """Bytes kept per receipt by allocation site (a line) or function, and which of them leak. What rises in ``idle``, a
    window without receipts, is due to time alone and is subtracted.

    The rate of a leak is above 0 with CONFIDENCE, it still rises in the last step, and it matters: LEAST_RATE bytes per
    receipt and LEAST_SHARE of all rises. Warm-up must matter by the same measures, in the first step.

    Raises WorkbenchError for profiles that are not from massif or have no heap tree.
    """
    edges = _edges(windows)
    held = _held(edges, by)
    steps = {one.step for one in edges}
    enough = len({one.step for one in edges if not one.opens}) >= FEWEST_STEPS - 1
    rows = [_site(group, edges, enough) for _, group in held.groupby(list(PLACE), sort=False, dropna=False)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)) if rows else pd.DataFrame(columns=list(COLUMNS))
    if rows and idle is not None:
        _less_time(table, edges, idle, by)
    if rows:
        _leave_out_small(table, min((one.step_receipts for one in edges if one.opens), default=1))
    table = table.sort_values("rate", ascending=False, kind="stable", ignore_index=True)
    later = _later(edges)
    rate = _slope(later, np.array([_heap_bytes(one.profile) for one in later], dtype=np.float64))
    sentence = _sentence(table, rate, enough, len(steps), len({one.session for one in edges}))
    if windows and not edges:
        sentence = f"It is not known whether memory leaks: {ALL_DENIED}."
    elif note := left_out([window.denied for window in windows]):
        sentence = f"{sentence} {note}"
    return Leaks(sentence, enough, rate, held, table)


def _less_time(table: pd.DataFrame, edges: Sequence[_Edge], idle: HeapWindow, by: By) -> None:
    """Subtract from the rates what time alone adds: the rise per second in the idle window, over the time between the
    edges of the rate; at most the rate itself."""
    idle_s, seconds, receipts = idle.ended_s - idle.started_s, 0.0, 0
    for stretch in sorted({one.stretch for one in edges}):
        ends = [one for one in _later(edges) if one.stretch == stretch]
        if ends:
            seconds += ends[-1].at_s - ends[0].at_s
            receipts += ends[-1].receipts - ends[0].receipts
    if not (idle_s > 0 and seconds > 0 and receipts > 0):
        return
    held = [
        held_bytes(without_profiler(heap), by).groupby(list(PLACE), dropna=False)["bytes"].sum()
        for heap in (idle.begin, idle.end)
    ]
    # a site that only one edge lists crossed massif's threshold: its rise is not known
    rise = (held[1] - held[0]).dropna().clip(lower=0)
    each = rise.reindex(pd.MultiIndex.from_frame(table[list(PLACE)])).fillna(0).to_numpy() / idle_s * seconds / receipts
    rate = table["rate"].to_numpy(dtype=np.float64)
    taken = np.where(np.isnan(rate), 0.0, np.clip(each, 0.0, np.maximum(np.nan_to_num(rate), 0.0)))
    mostly = (taken > 0) & (taken >= _MOSTLY_TIME * rate)
    table["background"] = taken
    for column in ("rate", "rate_low", "rate_high"):
        table[column] = table[column].to_numpy(dtype=np.float64) - taken
    # the interval of what is left must still be above 0
    table.loc[(mostly | (table["rate_low"] <= 0)) & (taken > 0) & (table["flag"] == LEAK), "flag"] = TIMED


def _leave_out_small(table: pd.DataFrame, first_receipts: int) -> None:
    """Remove flags from rises that do not matter. ``first_receipts``: receipts of the (smallest) first step."""
    rises = table["kept_bytes"].clip(lower=0)
    if rises.sum() > 0:
        table["share_pct"] = 100 * rises / rises.sum()
        small = (table["rate"] + table["background"] < LEAST_RATE) | (table["share_pct"] < 100 * LEAST_SHARE)
        table.loc[small & table["flag"].isin([LEAK, UNEVEN, TIMED]), "flag"] = STEADY
    first = table["first_step_bytes"]
    little = first < max(LEAST_RATE * first_receipts, LEAST_SHARE * first.clip(lower=0).sum())
    table.loc[little & (table["flag"] == WARM_UP), "flag"] = STEADY
    # the row of everything below the threshold is not one site
    table.loc[(table["function"] == BELOW_THRESHOLD) & (table["flag"] == LEAK), "flag"] = UNEVEN


def _heap_bytes(profile: Profile) -> float:
    return float(profile.tables["snapshots"]["heap_bytes"].iloc[profile.meta["detailed"][-1]])


def _site(rows: pd.DataFrame, edges: Sequence[_Edge], enough: bool) -> dict[str, object]:
    """The row of one site. ``rows``: its bytes at the edges that list it; ``edges``: all edges."""
    held = {
        (step, edge): float(size) for step, edge, size in zip(rows["step"], rows["edge"], rows["bytes"], strict=True)
    }
    all_later = _later(edges)
    later = [one for one in all_later if (one.step, one.edge) in held]
    levels = np.array([held[one.step, one.edge] for one in later], dtype=np.float64)
    rate, low, high = _slope(later, levels)
    added = max(_first_rises(held, edges), default=0.0)
    last = held.get((edges[-1].step, "end"), 0.0)
    kept = _kept(later, levels)
    known = last > 0 and len(later) >= FEWEST_STEPS
    flag = _flag(low, kept, added, _later_rises(held, edges), known) if enough else TOO_FEW
    return {
        **{column: rows[column].iloc[0] for column in PLACE},
        "rate": rate, "rate_low": low, "rate_high": high, "background": 0.0, "share_pct": 0.0, "kept_bytes": kept,
        "first_step_bytes": round(added), "held_bytes": int(last),
        "edges": len(later), "unlisted": len(all_later) - len(later), "flag": flag,
    }  # fmt: skip


def _kept(edges: Sequence[_Edge], levels: NDArray[np.float64]) -> float:
    """How many more bytes are held at the last edge of each stretch than at its first; the sum of all stretches."""
    ends: dict[int, tuple[float, float]] = {}
    for one, level in zip(edges, levels.tolist(), strict=True):
        ends[one.stretch] = (ends.get(one.stretch, (level, level))[0], level)
    return sum(last - first for first, last in ends.values())


def _first_rises(held: Mapping[tuple[int, str], float], edges: Sequence[_Edge]) -> list[float]:
    """Bytes that the first step of each session added. If a site is not listed at the begin, the most that it can have
    held there counts, so that a site which only crosses the threshold does not look like warm-up."""
    found = []
    for one in edges:
        end = held.get((one.step, "end"))
        if one.opens and one.edge == "begin" and end is not None:
            begin = held.get((one.step, "begin"))
            found.append(end - begin if begin is not None else max(0.0, end - unlisted_at_most(one.profile)))
    return found


def _later_rises(held: Mapping[tuple[int, str], float], edges: Sequence[_Edge]) -> list[float]:
    """Bytes per receipt that each other step added, if both its edges list the site."""
    return [
        (held[one.step, "end"] - held[one.step, "begin"]) / one.step_receipts
        for one in edges
        if not one.opens and one.edge == "begin" and (one.step, "begin") in held and (one.step, "end") in held
    ]


def _flag(low: float, kept: float, first: float, later: Sequence[float], known: bool) -> str:
    """``first`` and ``later``: bytes added by the first step and by the others; ``known``: whether enough edges list
    the site, including the last."""
    if kept > 0 and later:
        steady = low > 0 and later[-1] > 0 and later[-1] >= _STILL_RISING * float(np.mean(later))
        return LEAK if steady and known else UNEVEN
    return WARM_UP if first > 0 else STEADY


def _slope(edges: Sequence[_Edge], held: NDArray[np.float64]) -> tuple[float, float, float]:
    """The least squares slope over the receipts with its interval, with a separate level for each stretch; NaN if there
    are too few points."""
    nan = float("nan")
    receipts = np.array([one.receipts for one in edges], dtype=np.float64)
    _, stretch = np.unique([one.stretch for one in edges], return_inverse=True)
    counts = np.bincount(stretch)
    dx, dy = (values - (np.bincount(stretch, values) / np.maximum(counts, 1))[stretch] for values in (receipts, held))
    spread = float((dx**2).sum())
    if spread <= 0:
        return nan, nan, nan
    slope = float((dx * dy).sum()) / spread
    free = len(dx) - len(counts) - 1
    if free < 1:
        return slope, nan, nan
    left = dy - slope * dx
    margin = quantile((1 + CONFIDENCE) / 2, free) * float(np.sqrt((left**2).sum() / free / spread))
    return slope, slope - margin, slope + margin


def _sentence(table: pd.DataFrame, rate: tuple[float, float, float], enough: bool, steps: int, sessions: int) -> str:
    if not enough:
        first = "the first" if sessions < 2 else "the first of each session"
        return (
            f"{steps} {'step does' if steps == 1 else 'steps do'} not show whether memory leaks: {first} is warm-up, "
            f"at least {FEWEST_STEPS - 1 + max(sessions, 1)} are needed."
        )
    whole = f"after the first of {steps} steps the heap keeps {rate[0]:,.1f} bytes per receipt"
    if sessions > 1:
        whole = (
            f"over {steps} steps in {sessions} sessions, without the first step of each, the heap keeps "
            f"{rate[0]:,.1f} bytes per receipt"
        )
    leaks = table[table["flag"] == LEAK]
    if leaks.empty:
        return f"Nothing looks like a leak: {whole}, and no place grows with the receipts."
    first = leaks.iloc[0]
    more = f", and {len(leaks) - 1} more" if len(leaks) > 1 else ""
    return (
        f"This looks like a leak: {first['allocator']} keeps {first['rate']:,.1f} bytes per receipt "
        f"({first['rate_low']:,.1f} to {first['rate_high']:,.1f}){more}; {whole}. A cache that is still filling looks "
        "the same."
    )

"""The cost of an idle service: polls, timers and threads that work without receipts, measured in an idle window.

The cost of a window is background per second * seconds + cost per receipt * receipts. Background per second is the cost
of the **idle window** of the same service and mode, divided by its length. It is subtracted from the steps place by
place, with two limits:

- At most what the step shows. Work that was done in the idle window only (a cache that was built, the start of a
  profiler) is not subtracted from a step without it.
- A function with several callers (an allocator) loses only the cost due to its background callers: the share of the
  background that **took place** in the step is followed down the call graph, where there is one.

A step with few samples may show fewer than expected by chance; the limits allow for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis.costs import IDLE, PLACE, UNNAMED, as_of_now
from workbench.analysis.refusals import counted
from workbench.profiles.columns import total_
from workbench.profiles.graph import arcs
from workbench.profiles.transforms.group import legible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.profiles.model import Profile

    Floats = NDArray[np.float64]

BACKGROUND = "background"
"""Column of a table without background: what was subtracted from the row's self cost."""

# with fewer samples, system calls or calls of functions, the idle window does not show the cost of a second
FEWEST_EVENTS = 5
SAMPLED = frozenset({"flamegraph", "pprof"})
# these start the service in each window, the idle one too: the cost of one start is subtracted from each step
STARTED_IN_WINDOW = frozenset({"pprofile"})
# a heap that did not change is a result too: no events are needed
_LEVELS = frozenset({"massif"})
# system calls come in clusters of about ten, see workbench.analysis.fit
_CLUSTER = {"strace": 10.0}
_Z = 1.96
# the background is not steady if the steps show less than this share of what their length predicts
_STEADY = 0.5
_KEYS = ["service", "mode"]
COLUMNS = (
    "service", "mode", "metric", "unit", "idle_s", "idle_cost", "per_second", "per_second_low", "per_second_high",
    "steps_s", "expected", "in_steps", "receipts", "background_per_receipt", "cost_per_receipt", "share_pct",
    "receipts_worth", "told", "sentence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Idle:
    """The idle window of one service and mode: rows, length, events, and why it cannot be used ("": it can)."""

    rows: pd.DataFrame
    seconds: float
    events: float
    why: str


def without_background(costs: pd.DataFrame, idle: Mapping[tuple[str, str], Profile] | None = None) -> pd.DataFrame:
    """The steps of a table of costs without background; the column BACKGROUND is what was subtracted from ``self``.

    ``idle``: the Profile of the idle window by service and mode; its call graph divides the cost of a shared function
    among its callers. Without it each function is judged by itself. Nothing is subtracted if there is no usable idle
    window, or if the length of a step is not known. Self costs still add up to the whole.
    """
    costs = as_of_now(costs)
    steps = costs[costs["window"] != IDLE].reset_index(drop=True)
    steps[BACKGROUND] = 0 if pd.api.types.is_integer_dtype(steps["self"]) else 0.0
    for key, rows in steps.groupby(_KEYS, sort=False):
        service, mode = (str(part) for part in key)
        window = _idle(costs, service, mode)
        if window.why:
            continue
        graph = _Graph.of((idle or {}).get((service, mode)))
        for _, step in rows.groupby("step", sort=False):
            seconds = float(step["seconds"].iloc[0])
            times = 1.0 if mode in STARTED_IN_WINDOW else seconds / window.seconds
            if times > 0:
                _take(steps, step, window, times, mode, graph)
    return steps


def background_table(costs: pd.DataFrame, less: pd.DataFrame) -> pd.DataFrame:
    """Background and cost of receipts, a row per service, mode and metric, from the table of costs and ``less``, the
    one :func:`without_background`.

    Columns: ``idle_s`` and ``idle_cost``: length and cost of the idle window; ``per_second``, with a 95 % interval for
    samples and system calls (NaN for exact counts: one window does not show their scatter); ``steps_s``: length of all
    steps; ``expected``: per second * steps_s; ``in_steps``: what was subtracted from the steps; ``receipts``;
    ``background_per_receipt``; ``cost_per_receipt`` without background; ``share_pct``: background in percent of the
    steps' cost; ``receipts_worth``: the number of receipts that cost as much as the idle window; ``told``: whether the
    background is known; ``sentence``: the result in words.
    """
    costs = as_of_now(costs)
    rows = []
    wholes = less[less["by"] == "whole"]
    wholes = wholes[counted(wholes)]
    for (service, mode, metric), steps in wholes.groupby([*_KEYS, "metric"], sort=False):
        window = _idle(costs, str(service), str(mode))
        rows.append(_row(str(service), str(mode), str(metric), steps, window))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def idle_rows(costs: pd.DataFrame, service: str) -> pd.DataFrame:
    """The rows of a service's idle windows."""
    costs = as_of_now(costs)
    return costs[(costs["window"] == IDLE) & (costs["service"] == service)].reset_index(drop=True)


def _idle(costs: pd.DataFrame, service: str, mode: str) -> _Idle:
    rows = costs[(costs["window"] == IDLE) & (costs["service"] == service) & (costs["mode"] == mode)]
    if rows.empty:
        return _Idle(rows, float("nan"), 0.0, "there is no idle window")
    seconds = float(rows["seconds"].iloc[0])
    events = _events(rows)
    why = ""
    if not seconds > 0:
        why = "the length of the idle window is not known"
    elif mode not in _LEVELS and events < FEWEST_EVENTS:
        seen = "1 event" if events == 1 else f"{events:,.0f} events"
        why = f"the idle window ({seconds:,.3g} s) has {seen}, fewer than {FEWEST_EVENTS}"
    return _Idle(rows, seconds, events, why)


def _events(rows: pd.DataFrame) -> float:
    """The size of a window: its samples, system calls or calls of functions, else its cost (bytes, lines)."""
    for metric in ("samples", "calls"):
        whole = rows[(rows["metric"] == metric) & (rows["by"] == "whole")]
        if len(whole):
            return float(whole["self"].iloc[0])
    calls = rows.loc[rows["by"] == "function", "calls"]
    if calls.notna().any():
        return float(calls.max())
    return float(rows.loc[rows["by"] == "whole", "self"].abs().max())


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """The calls of the idle window between ``places``, by position, each with its ``part`` of the callee's cost."""

    places: pd.MultiIndex
    caller: NDArray[np.int64]
    callee: NDArray[np.int64]
    part: Floats

    @classmethod
    def of(cls, profile: Profile | None) -> _Graph | None:
        """The call graph of a profile; None if it has none."""
        if profile is None or not profile.metrics or profile.format in ("strace", "massif"):
            return None
        profile = legible(profile)
        metric = profile.default_metric
        functions = profile.functions
        named = functions["function"].replace("", UNNAMED)
        file = "" if profile.meta.get("dialect") == "pprof-rs" else functions["file"]
        table = functions.assign(name=named, file=file)[list(PLACE)]
        place, places = pd.factorize(pd.MultiIndex.from_frame(table))
        caller, callee, cost = arcs(profile.arrays.edges, [metric])
        total = functions[total_(metric)].to_numpy(dtype=np.float64)[callee]
        part = np.divide(cost[:, 0], total, out=np.zeros(len(total)), where=total > 0)
        apart = place[caller] != place[callee]
        return cls(pd.MultiIndex.from_tuples(places, names=list(PLACE)), place[caller][apart], place[callee][apart],
                   np.minimum(part[apart], 1.0))  # fmt: skip

    def took_place(self, own: pd.Series[float]) -> pd.Series[float]:
        """The share of each place's background that took place: at most its ``own``, and at most what the shares of its
        callers allow. It starts at 1; each round carries the limits one call further, until nothing changes."""
        limit = own.reindex(self.places).fillna(1.0).to_numpy(dtype=np.float64)
        claimed = np.bincount(self.callee, self.part, len(limit))
        share, rest = limit.copy(), np.maximum(1.0 - claimed, 0.0)
        scale = 1.0 / np.maximum(claimed, 1.0)
        for _ in range(len(limit)):
            given = np.bincount(self.callee, self.part * share[self.caller], len(limit)) * scale
            new = np.minimum(limit, given + rest)
            if np.allclose(new, share, atol=1e-6):
                break
            share = new
        return pd.Series(share, index=self.places)

    def below(self, own: pd.Series[float], most: pd.Series[float]) -> pd.Series[float]:
        """What to subtract from each place's total cost, given ``own`` for its self cost; at most ``most``."""
        own_costs = own.reindex(self.places).fillna(0.0).to_numpy(dtype=np.float64)
        limit = most.reindex(self.places).fillna(0.0).to_numpy(dtype=np.float64)
        total = own_costs
        for _ in range(len(limit)):
            new = np.minimum(limit, own_costs + np.bincount(self.caller, self.part * total[self.callee], len(limit)))
            if np.allclose(new, total, rtol=1e-6):
                break
            total = new
        return pd.Series(total, index=self.places)


def _take(steps: pd.DataFrame, step: pd.DataFrame, idle: _Idle, times: float, mode: str, graph: _Graph | None) -> None:
    """Subtract the background from the rows of one step, in ``steps``."""
    functions = idle.rows[idle.rows["by"] == "function"]
    share = _share(step, functions, times, mode)
    if graph is not None:
        share = graph.took_place(share).reindex(share.index).fillna(share)
    taken_of = {}
    for metric, rows in step[step["by"] == "function"].groupby("metric", sort=False):
        expected = functions[functions["metric"] == metric].set_index(list(PLACE))
        at = pd.MultiIndex.from_frame(rows[list(PLACE)])
        part = (times * share).reindex(at).fillna(0.0).to_numpy(dtype=np.float64)
        own, total, calls = (
            part * expected[column].astype("Float64").reindex(at).fillna(0.0).to_numpy(dtype=np.float64)
            for column in ("self", "total", "calls")
        )
        taken = _at_most(own, rows["self"])
        below = total
        if graph is not None:
            limits = pd.Series(total, index=at), pd.Series(taken, index=at)
            below = graph.below(limits[1], limits[0]).reindex(at).fillna(0.0).to_numpy(dtype=np.float64)
        taken_of[metric] = rows[["file", "crate"]].assign(taken=taken)
        _subtract(steps, rows.index, taken, _at_most(np.maximum(below, taken), rows["total"]))
        counted = rows["calls"].notna().to_numpy()
        left = np.maximum(rows["calls"].astype("Float64").fillna(0).to_numpy(dtype=np.float64) - calls, 0.0)
        steps.loc[rows.index[counted], "calls"] = np.rint(left[counted]).astype(np.int64)
    for (by, metric), rows in step[step["by"] != "function"].groupby(["by", "metric"], sort=False):
        parts = taken_of.get(metric)
        if parts is None:
            # this metric has no rows by function
            same = idle.rows[(idle.rows["by"] == by) & (idle.rows["metric"] == metric)]
            taken = _at_most(
                np.full(len(rows), times * float(same["self"].sum()) if by == "whole" else 0.0), rows["self"]
            )
        elif by == "whole":
            taken = np.array([parts["taken"].sum()])
        else:
            sums = parts.groupby(parts[by].replace("", UNNAMED))["taken"].sum()
            taken = sums.reindex(rows["name"]).fillna(0).to_numpy()
        _subtract(steps, rows.index, taken, np.minimum(taken, rows["total"].to_numpy()))


def _subtract(steps: pd.DataFrame, at: pd.Index[int], own: NDArray[np.generic], total: NDArray[np.generic]) -> None:
    for column, taken in (("self", own), ("total", total)):
        steps.loc[at, column] = steps.loc[at, column].to_numpy() - taken
    steps.loc[at, BACKGROUND] = own


def _at_most(expected: Floats, measured: pd.Series[float]) -> NDArray[np.generic]:
    """What is subtracted from a measured cost: at most that cost, and whole numbers from whole numbers. Nothing is
    subtracted from freed bytes (below 0)."""
    taken = np.clip(expected, 0.0, np.maximum(measured.to_numpy(dtype=np.float64), 0.0))
    return np.floor(taken).astype(np.int64) if pd.api.types.is_integer_dtype(measured) else taken


def _share(step: pd.DataFrame, idle: pd.DataFrame, times: float, mode: str) -> pd.Series[float]:
    """For each place of the idle window, the share of its background that a step shows; at most 1."""
    metric = "samples" if mode in SAMPLED and (idle["metric"] == "samples").any() else str(idle["metric"].iloc[0])
    expected = idle[idle["metric"] == metric].set_index(list(PLACE))["total"].astype("float64") * times
    rows = step[(step["by"] == "function") & (step["metric"] == metric)]
    seen = rows.set_index(list(PLACE))["total"].astype("float64").reindex(expected.index).fillna(0.0)
    if mode in SAMPLED:
        # the most that can be expected if this few were seen by chance
        seen = seen + _Z * np.sqrt(seen + 1) + 2
    if mode == "strace":
        # a row is a kind of call: how many of them belong to the background cannot be seen
        seen = expected
    ratio = np.divide(seen, expected, out=np.ones(len(expected)), where=expected.to_numpy() > 0)
    return pd.Series(np.clip(ratio, 0.0, 1.0), index=expected.index)


def _row(service: str, mode: str, metric: str, steps: pd.DataFrame, window: _Idle) -> dict[str, object]:
    nan = float("nan")
    receipts, left = int(steps["receipts"].sum()), float(steps["self"].sum())
    taken, steps_s = float(steps[BACKGROUND].sum()), float(steps["seconds"].sum(min_count=1))
    each = left / receipts if receipts else nan
    row: dict[str, object] = {
        "service": service, "mode": mode, "metric": metric, "unit": str(steps["unit"].iloc[0]),
        "idle_s": window.seconds, "idle_cost": nan, "per_second": nan, "per_second_low": nan, "per_second_high": nan,
        "steps_s": steps_s, "expected": nan, "in_steps": taken, "receipts": receipts,
        "background_per_receipt": taken / receipts if receipts else nan, "cost_per_receipt": each,
        "share_pct": 100 * taken / (taken + left) if taken + left else nan, "receipts_worth": nan,
        "told": not window.why, "sentence": f"The idle cost is not known: {window.why}.",
    }  # fmt: skip
    if window.why:
        return row
    whole = window.rows[(window.rows["by"] == "whole") & (window.rows["metric"] == metric)]["self"]
    cost = float(whole.iloc[0]) if len(whole) else 0.0
    low, high = _interval(cost, window, metric, mode)
    row |= {
        "idle_cost": cost, "per_second": cost / window.seconds, "per_second_low": low / window.seconds,
        "per_second_high": high / window.seconds, "expected": cost / window.seconds * steps_s,
        "receipts_worth": cost / each if each else nan,
    }  # fmt: skip
    if mode in STARTED_IN_WINDOW:
        row["expected"] = cost * len(steps)
    row["sentence"] = _sentence(row)
    return row


def _interval(cost: float, window: _Idle, metric: str, mode: str) -> tuple[float, float]:
    """The 95 % interval of an idle window's cost, from its number of events; NaN if its scatter is not known."""
    if mode not in SAMPLED and not (mode == "strace" and metric == "calls"):
        return float("nan"), float("nan")
    from scipy.special import gammaincinv

    cluster = _CLUSTER.get(mode, 1.0)
    events = window.events / cluster
    # the exact interval of a Poisson count (Garwood 1936)
    low, high = float(gammaincinv(events, 0.025)), float(gammaincinv(events + 1, 0.975))
    return cost * low / events, cost * high / events


def _sentence(row: Mapping[str, object]) -> str:
    seconds, worth = float(row["idle_s"]), float(row["receipts_worth"])  # type: ignore[arg-type]
    taken, expected = float(row["in_steps"]), float(row["expected"])  # type: ignore[arg-type]
    said = f"{seconds:,.3g} s without a receipt cost as much as {worth:,.3g} receipts"
    if not expected > 0:
        return f"{said}; its share of the steps is not known, because the length of the steps is not."
    if taken < _STEADY * expected:
        said += (
            f", but the steps show only {100 * taken / expected:,.2g} % of the background this predicts, so it is not "
            "steady"
        )
    return (
        f"{said}; {row['share_pct']:,.2g} % of the cost of the steps was background and is subtracted from all figures."
    )

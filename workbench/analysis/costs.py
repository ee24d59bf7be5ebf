"""The cost of each step of a profiled sweep, and of one receipt in it: by function, file, crate and as a whole.

The table of costs is in long form with plain columns, so that the windows of a run are one Parquet file:

- ``service``, ``mode``, ``step``: of the window; ``window``: ``step``, or ``idle`` for one without receipts (its
  ``step`` is IDLE_STEP); ``seconds``: its length, NaN in older runs. ``receipts``: how many were sent in it;
  ``accepted`` (Int64, <NA> if not known) and ``denied`` (0 if not known): how many of them were; ``receipts_before``:
  how many the service was sent before it.
- ``by``: ``function``, ``file``, ``crate`` or ``whole``; ``name``, ``file``, ``object``, ``crate``: the place (the
  whole has the name WHOLE).
- ``metric``, ``unit``: what was counted. ``self``: the cost of the place itself; ``total``: with everything it called,
  recursion once; ``calls``: how often it was called (Int64, <NA> if the format does not count calls).

Rows that cost nothing are left out: a missing row means 0. Idle windows are no steps: only
:mod:`workbench.analysis.background` uses them. For each service, mode, step, metric and ``by`` the self costs add up to
the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from workbench.analysis.refusals import counted, refusals, with_denials
from workbench.errors import WorkbenchError
from workbench.profiles.columns import self_, total_
from workbench.profiles.model import Profile
from workbench.profiles.readers.massif.places import BELOW_THRESHOLD
from workbench.profiles.transforms.group import group, legible
from workbench.profiles.transforms.windows import is_level
from workbench.profiles.views.derived import derived
from workbench.profiles.views.heap_sites import PLUMBING, bytes_by_allocator, described, require_massif
from workbench.profiles.views.syscalls import call_table
from workbench.stats.groups import Groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

By = Literal["function", "file", "crate", "whole"]
Which = Literal["self", "total"]

WHOLE = "(whole)"
REST = "(rest)"
UNNAMED = "(unknown)"

STEP, IDLE = "step", "idle"
IDLE_STEP = -1
WINDOW = ("service", "mode", "window", "step", "seconds", "receipts", "accepted", "denied", "receipts_before")
PLACE = ("name", "file", "object", "crate")
COLUMNS = (*WINDOW, "by", *PLACE, "metric", "unit", "self", "total", "calls")
BY_STEP = (
    *("service", "mode", "step", "receipts", "accepted", "denied", *PLACE, "unit"),
    *("cost", "cost_per_receipt", "share_pct"),
)
# the metrics of interest; callgrind's other events are parts of these
CALLGRIND_METRICS = ("Ir", "L1m", "LLm", "Bm", "CEst", "sysCount", "sysTime", "sysCpuTime")
BYTES_KEPT, BYTES_ALLOCATED = "bytes_kept", "bytes_allocated"
# Functions below this share of every window are one row. Python under callgrind has about 10,000 functions, a few
# hundred of them above it.
LEAST_SHARE = 0.0005


def window_costs(
    profile: Profile,
    *,
    service: str,
    mode: str,
    step: int,
    receipts: int,
    receipts_before: int | None = None,
    accepted: int | None = None,
    denied: int = 0,
    seconds: float = math.nan,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The table of costs of one window, with every place that has a cost; :func:`compact_costs` makes it small.

    ``metrics`` None: of a callgrind profile CALLGRIND_METRICS (misses and cycles derived); of a log of system calls
    ``calls``, ``errors``, ``working``, ``waiting`` and ``undecided`` time by call; of others all that can be added up.
    Functions with the same name, file and object are one row, with the sum of their totals, at most the whole. A
    profile of pprof-rs keeps one arbitrary file per name: its functions differ by name alone, and it has no rows by
    file.

    Raises WorkbenchError for massif (see :func:`heap_costs`), for an unknown metric, or without receipts.
    """
    _check(receipts, f"step {step}")
    counts = _Window(STEP, step, seconds, receipts, accepted, denied, receipts_before)
    return _in_window(_parts(profile, metrics), service, mode, counts)


def idle_costs(
    profile: Profile, *, service: str, mode: str, seconds: float, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """The table of costs of an idle window of ``seconds``; otherwise like :func:`window_costs`."""
    return _in_window(_parts(profile, metrics), service, mode, _Window(IDLE, IDLE_STEP, seconds))


def idle_heap_costs(
    begin: Profile, end: Profile, *, service: str, seconds: float, mode: str = "massif"
) -> pd.DataFrame:
    """The table of costs of an idle window of massif; otherwise like :func:`heap_costs`."""
    return _in_window(_heap_parts(begin, end), service, mode, _Window(IDLE, IDLE_STEP, seconds))


def _parts(profile: Profile, metrics: Sequence[str] | None) -> pd.DataFrame:
    if profile.format == "massif":
        raise WorkbenchError(
            "massif records levels, not what a window costs", where=profile.name, hint="Use heap_costs(begin, end)"
        )
    return _syscalls(profile, metrics) if profile.format == "strace" else _places(profile, metrics)


def heap_costs(
    begin: Profile,
    end: Profile,
    *,
    service: str,
    step: int,
    receipts: int,
    receipts_before: int | None = None,
    accepted: int | None = None,
    denied: int = 0,
    seconds: float = math.nan,
    mode: str = "massif",
) -> pd.DataFrame:
    """The table of costs of one window of massif, from the heap at its two edges (the last detailed snapshot of each).

    ``bytes_kept``: how many more bytes each allocator holds at the end (fewer: below 0). ``bytes_allocated``: of the
    whole only, and only if massif's clock counts bytes (``--time-unit=B``). The clock counts allocated plus freed
    bytes, the heap is their difference, so half the sum of both is what was allocated. It includes massif's
    administration and rounding of blocks; a block that is made larger counts with the bytes added.

    Massif lists no allocator below its threshold. If only one edge lists it, the least that it can have kept is
    counted: at the other edge it is taken to have held the most it can (see :func:`unlisted_at_most`). The rest of the
    difference is in the row of everything below the threshold.

    Raises WorkbenchError for other profiles, edges without a heap tree, or no receipts.
    """
    _check(receipts, f"step {step}")
    counts = _Window(STEP, step, seconds, receipts, accepted, denied, receipts_before)
    return _in_window(_heap_parts(begin, end), service, mode, counts)


def _heap_parts(begin: Profile, end: Profile) -> pd.DataFrame:
    """The rows from a heap's two edges."""
    kept = _kept_bytes(begin, end)
    places = kept.rename(columns={"function": "name", "bytes": "self"}).assign(total=kept["bytes"], calls=pd.NA)
    parts = []
    for by, table in (("function", places), ("file", _summed(places, "file")), ("crate", _summed(places, "crate"))):
        parts.append(table.assign(by=by, metric=BYTES_KEPT, unit="bytes"))
    parts.append(_whole(int(kept["bytes"].sum()), BYTES_KEPT, "bytes"))
    allocated = allocated_bytes(begin, end)
    if allocated is not None:
        parts.append(_whole(allocated, BYTES_ALLOCATED, "bytes"))
    return pd.concat(parts, ignore_index=True)


def _kept_bytes(begin: Profile, end: Profile) -> pd.DataFrame:
    """How many more bytes each function holds at the end: function, file, object, crate, bytes."""
    keys = ["function", "file", "object", "crate"]
    edges = [held_bytes(profile, "function").groupby(keys, sort=False)["bytes"].sum() for profile in (begin, end)]
    both = pd.concat(edges, axis=1, keys=["begin", "end"]).reset_index()
    hidden = both["function"] == BELOW_THRESHOLD
    for edge, other, profile in (("begin", "end", begin), ("end", "begin", end)):
        missing = both[edge].isna() & ~hidden
        both.loc[missing, edge] = both.loc[missing, other].clip(upper=unlisted_at_most(profile))
        # these bytes are no longer in the row of everything that is not listed
        moved = both.loc[missing, edge].sum()
        both.loc[hidden, edge] = both.loc[hidden, edge].fillna(0) - moved
    return both[keys].assign(bytes=(both["end"] - both["begin"]).astype("int64"))


def held_bytes(profile: Profile, by: Literal["function", "site"]) -> pd.DataFrame:
    """The bytes of each allocator in the last detailed snapshot: allocator, function, file, line, object, crate, bytes.
    Allocators below massif's threshold share one row. Raises WorkbenchError if there is no heap tree."""
    require_massif(profile)
    if not profile.meta["detailed"]:
        raise WorkbenchError(
            "no snapshot has a heap tree", where=profile.name, hint="Take edges with the monitor's detailed_snapshot"
        )
    row = bytes_by_allocator(profile, by, PLUMBING).iloc[-1]
    table = pd.DataFrame({"key": row.index.to_numpy(dtype=np.int64), "bytes": row.to_numpy(dtype=np.int64)})
    return described(profile, table[table["bytes"] > 0].reset_index(drop=True), by)


def unlisted_at_most(profile: Profile) -> int:
    """The most that an allocator missing from the last detailed snapshot can hold: everything below massif's threshold,
    or the threshold itself if it is known and smaller."""
    row = bytes_by_allocator(profile, "function", PLUMBING).iloc[-1]
    below = int(row.get(-1, 0))
    threshold = profile.meta.get("threshold_pct")
    if threshold is None:
        return below
    snapshot = _snapshot(profile)
    whole = int(snapshot["heap_bytes"]) + int(snapshot["heap_extra_bytes"])
    return min(below, math.ceil(whole * float(threshold) / 100))


def allocated_bytes(begin: Profile, end: Profile) -> int | None:
    """Bytes allocated between two edges, with allocator overhead and rounding; None if massif's clock counts no
    bytes."""
    if begin.meta.get("time_unit") != "B" or end.meta.get("time_unit") != "B":
        return None
    edges = [_snapshot(profile) for profile in (begin, end)]
    moved = int(edges[1]["time"]) - int(edges[0]["time"])
    grown = sum(int(edges[1][column]) - int(edges[0][column]) for column in ("heap_bytes", "heap_extra_bytes"))
    return (moved + grown) // 2


def compact_costs(costs: pd.DataFrame, least_share: float = LEAST_SHARE) -> pd.DataFrame:
    """The table without functions whose self and total cost are below ``least_share`` of the whole in every step. They
    become one row REST per step and metric, so that self costs still add up. Files and crates stay.

    Pass all windows of a run together: a function is kept in all of them or in none, so a missing row still means 0.
    """
    if costs.empty:
        return costs
    costs = as_of_now(costs).reset_index(drop=True)
    keys = ["service", "mode", "metric"]
    whole = costs[costs["by"] == "whole"].set_index([*keys, "step"])["self"]
    functions = costs[costs["by"] == "function"]
    at = pd.MultiIndex.from_frame(functions[[*keys, "step"]])
    least = least_share * whole.reindex(at).abs().to_numpy(dtype=np.float64)
    reaches = functions[["self", "total"]].abs().max(axis=1).to_numpy(dtype=np.float64) >= least
    kept = (
        pd.Series(reaches, index=functions.index).groupby([functions[key] for key in (*keys, *PLACE)]).transform("max")
    )
    small = functions[~kept.astype(bool)]
    rest = small.groupby([*WINDOW, "metric", "unit"], as_index=False, dropna=False, sort=False, observed=True)[
        "self"
    ].sum()
    rest = rest.assign(by="function", name=REST, file="", object="", crate="", total=rest["self"], calls=pd.NA)
    return _typed(pd.concat([costs.drop(index=small.index), rest], ignore_index=True))


def as_of_now(costs: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that older runs lack: no idle window, unknown length of windows, no denied
    receipts."""
    costs = with_denials(costs)
    absent = {"window": STEP, "seconds": math.nan}
    return costs.assign(**{name: value for name, value in absent.items() if name not in costs})


def of_steps(costs: pd.DataFrame) -> pd.DataFrame:
    """The rows of steps, without those of idle windows."""
    return costs[costs["window"] != IDLE] if "window" in costs else costs


def cost_by_step(costs: pd.DataFrame, metric: str, by: By = "function", *, which: Which = "self") -> pd.DataFrame:
    """The cost of each place in each step by one metric, in long form: service, mode, step, receipts, accepted, denied,
    name, file, object, crate, unit, cost, cost_per_receipt (of all receipts sent; NaN in a step in which every receipt
    was denied), share_pct of the step's whole.

    Raises WorkbenchError that lists the metrics if the table does not have this one.
    """
    return _by_step(costs, metric, by, which)[0]


def _by_step(costs: pd.DataFrame, metric: str, by: By, which: Which) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The table of :func:`cost_by_step`, and for each row the number of its place (with its service, mode and unit)."""
    rows = chosen(costs, metric, by)
    windows = windows_of(costs, metric)
    keys = ["service", "mode", *PLACE, "unit"]
    # one number for the seven keys: each merge on text takes as long as the rest of this function
    groups = Groups.of(rows.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(dtype=np.int64))
    places = rows[keys].iloc[groups.first].assign(place=np.arange(len(groups.first)))
    full = windows.merge(places, on=["service", "mode"], how="inner")
    steps = np.unique(full["step"])
    there = np.isin(rows["step"], steps)
    cell = (groups.of_row[there], np.searchsorted(steps, rows["step"][there]))
    cost = np.zeros((len(places), len(steps)), dtype=rows[which].dtype)
    cost[cell] = rows[which][there]
    full["cost"] = cost[full["place"], np.searchsorted(steps, full["step"])]
    full["cost_per_receipt"] = (full["cost"] / full["receipts"]).mask(refusals(full))
    whole = full["whole"].astype("float64")
    full["share_pct"] = (100 * full["cost"] / whole.where(whole != 0)).astype("float64")
    return full[[*BY_STEP]], full["place"].to_numpy(dtype=np.int64)


def cost_per_receipt(costs: pd.DataFrame, metric: str, by: By = "function", *, which: Which = "self") -> pd.DataFrame:
    """What one receipt costs, place by place, the most expensive first.

    Columns: service, mode, name, file, object, crate, unit, cost (of all steps), receipts (of all steps), per_receipt
    (pooled: cost / receipts), lowest and highest of the steps, spread_pct, share_pct (of the cost of all steps), and
    ``step_<n>``, the cost per receipt of each step. ``spread_pct`` is the largest difference between steps of equal
    size, in percent of their mean: how well a measurement repeats; NaN if all sizes differ.

    Steps with denied receipts are in ``step_<n>`` alone, unless all have some; if every receipt was denied, the table
    is empty. A pooled cost includes each step's fixed cost: see :mod:`workbench.analysis.growth` for the marginal one.
    """
    every, place = _by_step(costs, metric, by, which)
    in_long = counted(every)
    long = every[in_long]
    groups = Groups.of(place[in_long])
    table = long[["service", "mode", *PLACE, "unit"]].iloc[groups.first].reset_index(drop=True)
    each = long["cost_per_receipt"].to_numpy(dtype=np.float64)
    table["cost"] = groups.reduce(np.add, long["cost"].to_numpy())
    table["receipts"] = groups.reduce(np.add, long["receipts"].to_numpy())
    table["per_receipt"] = table["cost"] / table["receipts"]
    table["lowest"], table["highest"] = groups.reduce(np.fmin, each), groups.reduce(np.fmax, each)
    table["spread_pct"] = _spread_pct(groups, long["receipts"].to_numpy(), each)
    windows = windows_of(costs, metric)
    wholes = windows[counted(windows)].groupby(["service", "mode"])["whole"].sum()
    whole = wholes.reindex(pd.MultiIndex.from_frame(table[["service", "mode"]])).to_numpy(dtype=np.float64)
    table["share_pct"] = 100 * table["cost"].to_numpy(dtype=np.float64) / np.where(whole != 0, whole, np.nan)
    steps, column = np.unique(every["step"].to_numpy(), return_inverse=True)
    wide = np.full((place.max(initial=-1) + 1, len(steps)), np.nan)
    wide[place, column] = every["cost_per_receipt"]
    for at in np.flatnonzero(~np.isnan(wide).all(axis=0)):
        table[f"step_{steps[at]}"] = wide[place[in_long][groups.first], at]
    return table.sort_values("per_receipt", ascending=False, kind="stable", ignore_index=True)


def _spread_pct(groups: Groups, receipts: NDArray[np.int64], each: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each group, the largest difference between rows with the same number of receipts, in percent of their mean;
    NaN if all numbers differ."""
    _, size = np.unique(receipts, return_inverse=True)
    equal = Groups.of(groups.of_row * (size.max(initial=0) + 1) + size)
    lowest, highest = equal.reduce(np.fmin, each), equal.reduce(np.fmax, each)
    known = equal.reduce(np.add, ~np.isnan(each) * 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = equal.reduce(np.add, np.nan_to_num(each)) / known
        spread = 100 * (highest - lowest) / np.abs(np.where(mean == 0, np.nan, mean))
    spread[equal.reduce(np.add, np.ones(len(each), dtype=np.int64)) < 2] = np.nan
    return Groups.of(groups.of_row[equal.first]).reduce(np.fmax, spread)


def chosen(costs: pd.DataFrame, metric: str, by: By) -> pd.DataFrame:
    """The rows of one metric and grouping. Raises WorkbenchError that lists the choices."""
    if by not in get_args(By):
        raise WorkbenchError(f"expected {', '.join(get_args(By))}, found {by!r}", where="by")
    rows = of_steps(costs)
    rows = rows[rows["metric"] == metric]
    if rows.empty:
        there = ", ".join(sorted(set(costs["metric"]))) or "none"
        raise WorkbenchError(f"no step has the metric {metric!r}", where="costs", hint=f"There are: {there}")
    return rows[rows["by"] == by].reset_index(drop=True)


def windows_of(costs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The steps in which a metric was measured: service, mode, window, step, seconds, receipts, accepted, denied,
    receipts_before (if not known, the sum of the steps before), whole."""
    costs = of_steps(as_of_now(costs))
    rows = costs[(costs["metric"] == metric) & (costs["by"] == "whole")]
    rows = rows[[*WINDOW, "self"]].rename(columns={"self": "whole"})
    rows = rows.sort_values(["service", "mode", "step"], kind="stable", ignore_index=True)
    summed = rows.groupby(["service", "mode"])["receipts"].cumsum() - rows["receipts"]
    rows["receipts_before"] = rows["receipts_before"].fillna(summed).astype("int64")
    return rows


def _check(receipts: int, where: str) -> None:
    if receipts < 1:
        raise WorkbenchError(
            f"a window of {receipts} receipts has no cost per receipt", where=where, hint="Leave the step out"
        )


def _places(profile: Profile, metrics: Sequence[str] | None) -> pd.DataFrame:
    """The rows from a profile of functions."""
    profile = legible(derived(profile) if profile.format == "callgrind" else profile)
    names = _metrics(profile, metrics)
    arbitrary_files = profile.meta.get("dialect") == "pprof-rs"
    parts = []
    for by in ("function", "file", "crate"):
        if by == "file" and arbitrary_files:
            continue
        grouped = profile if by == "function" else group(profile, by)
        functions = grouped.functions
        places = pd.DataFrame({"name": functions["function"].replace("", UNNAMED), "calls": functions["calls"]})
        for column in ("file", "object", "crate"):
            kept = by == "function" and not (column == "file" and arbitrary_files)
            places[column] = functions[column] if kept or (by == "file" and column == "file") else ""
        for name in names:
            own, total = functions[self_(name)].to_numpy(), functions[total_(name)].to_numpy()
            there = (own != 0) | (total != 0)
            rows = places[there].assign(by=by, metric=name, unit=profile.metric(name).unit)
            rows["self"], rows["total"] = own[there], total[there]
            parts.append(_merged(rows, profile.total(name)))
    parts += [_whole(profile.total(name), name, profile.metric(name).unit) for name in names]
    return pd.concat(parts, ignore_index=True)


def _merged(rows: pd.DataFrame, whole: float) -> pd.DataFrame:
    """One row per name, file and object: generic functions share a readable name."""
    if not rows.duplicated(list(PLACE)).any():
        return rows
    merged = rows.groupby([*PLACE, "by", "metric", "unit"], sort=False, as_index=False).agg(
        {"self": "sum", "total": "sum", "calls": lambda calls: calls.sum(min_count=1)}
    )
    merged["total"] = merged["total"].clip(upper=max(whole, 0))
    return merged


def _metrics(profile: Profile, metrics: Sequence[str] | None) -> list[str]:
    if metrics is not None:
        return [profile.metric(name).name for name in metrics]
    usual = [name for name in CALLGRIND_METRICS if name in profile.metric_names]
    if profile.format == "callgrind" and "Ir" in usual:
        return usual
    return [metric.name for metric in profile.metrics if metric.additive and not is_level(metric)]


def _syscalls(profile: Profile, metrics: Sequence[str] | None) -> pd.DataFrame:
    """The rows from a log of system calls: one per call, without files and crates."""
    table = call_table(profile)
    values = {
        "calls": (table["calls"], "count"),
        "errors": (table["errors"], "count"),
        "working": (table["time_ns"] - table["waiting_ns"] - table["undecided_ns"], "ns"),
        "waiting": (table["waiting_ns"], "ns"),
        "undecided": (table["undecided_ns"], "ns"),
    }
    if table["waiting_ns"].isna().any():
        values = {"calls": values["calls"], "errors": values["errors"], "time": (table["time_ns"], "ns")}
    unknown = [name for name in metrics or () if name not in values]
    if unknown:
        raise WorkbenchError(
            f"there is no metric {unknown[0]!r}", where=profile.name, hint=f"It has {', '.join(values)}"
        )
    parts = []
    for name in values if metrics is None else metrics:
        column, unit = values[name]
        cost = column.fillna(0).to_numpy(dtype=np.int64)
        rows = pd.DataFrame({"name": table["syscall"], "self": cost, "total": cost, "calls": table["calls"]})
        parts.append(rows[cost != 0].assign(by="function", file="", object="", crate="", metric=name, unit=unit))
        parts.append(_whole(int(cost.sum()), name, unit))
    return pd.concat(parts, ignore_index=True)


def _summed(places: pd.DataFrame, by: str) -> pd.DataFrame:
    names = places[by].replace("", UNNAMED)
    table = places.groupby(names, sort=False)[["self", "total"]].sum().rename_axis("name").reset_index()
    return table.assign(file=table["name"] if by == "file" else "", object="", crate="", calls=pd.NA)


def _whole(cost: float, metric: str, unit: str) -> pd.DataFrame:
    row = {"name": WHOLE, "file": "", "object": "", "crate": "", "self": cost, "total": cost, "calls": pd.NA}
    return pd.DataFrame([{**row, "by": "whole", "metric": metric, "unit": unit}])


def _snapshot(profile: Profile) -> Mapping[str, int]:
    table = profile.tables["snapshots"].set_index("snapshot")
    row: Mapping[str, int] = table.loc[profile.meta["detailed"][-1]]
    return row


@dataclass(frozen=True, slots=True)
class _Window:
    """The kind and length of a window, and the receipts in it and before it; None: not known."""

    window: str
    step: int
    seconds: float
    receipts: int = 0
    accepted: int | None = 0
    denied: int = 0
    receipts_before: int | None = None


def _in_window(parts: pd.DataFrame, service: str, mode: str, window: _Window) -> pd.DataFrame:
    known = {name: pd.NA if value is None else value for name, value in asdict(window).items()}
    return _typed(parts.assign(service=service, mode=mode, **known))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """The columns in order, with the same types in every window."""
    whole_numbers = all(pd.api.types.is_integer_dtype(table[column]) for column in ("self", "total"))
    cost = "int64" if whole_numbers else "float64"
    return (
        table.reset_index(drop=True)[list(COLUMNS)]
        .astype(dict.fromkeys(("service", "mode", "window", "by", *PLACE, "metric", "unit"), "str"))
        .astype({"seconds": "float64", "step": "int64", "receipts": "int64", "accepted": "Int64", "denied": "int64"})
        .astype({"receipts_before": "Int64", "calls": "Int64"})
        .astype({"self": cost, "total": cost})
    )

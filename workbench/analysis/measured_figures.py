"""The value that a run measured for each figure that a threshold can name. Pure functions of its rows and table of
costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.analysis.refusals import counted
from workbench.analysis.repeats import together
from workbench.analysis.step_row import StepRow
from workbench.stats.quantiles import hang_together, too_few
from workbench.thresholds.figures import Figure
from workbench.thresholds.names import Name, in_unit

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.leaks import Leaks

# why a step lacks a value
_SOURCES = {
    **dict.fromkeys(
        ("stored", "invalid", "lost_share", "aggregated_grt"), "no database could be read: give --database-url"
    ),
    **dict.fromkeys(("counted", "fees_after_grt"), "the agent's metrics could not be read: give --agent-metrics-url"),
    **dict.fromkeys(
        (
            "denial_lag_receipts",
            "denial_lag_s",
            "first_refusal_s",
            "denylisted_s",
            "denylist_lag_s",
            "paid_after_denylisted",
        ),
        "the payer was not denied in this step",
    ),
}


def step_figures(name: Name, rows: Sequence[StepRow]) -> list[Figure]:
    """The figures of a name of steps: one per step, without warm-up, paired steps and the walk to the limit.

    Times of repeated steps are one figure per size: the mean of the repeats, with its interval. One repeat alone proves
    nothing.
    """
    steps = [row for row in rows if row.kind == "step"]
    if name.of != "time" or not any(row.repeat > 1 for row in steps):
        return [_of_step(name, row) for row in steps]
    sizes = dict.fromkeys(row.receipts for row in steps)
    return [_of_repeats(name, [row for row in steps if row.receipts == size]) for size in sizes]


def run_figures(name: Name, rows: Sequence[StepRow], limit: Mapping[str, Any], predicted: int | None) -> list[Figure]:
    """The one figure of a name of runs."""
    steps = [row for row in rows if row.kind == "step"]
    valid = sum(row.verdict != "INVALID" for row in steps)
    if name.name == "valid_steps":
        return [Figure(float(valid))]
    if name.name == "valid_share":
        return [Figure(valid / len(steps))] if steps else []
    observed = limit.get("observed_receipts")
    if observed is None:
        why = "the limit was not observed exactly: use a sweep with --pinpoint that reaches it"
        return [Figure(math.nan, absent=why)]
    if name.name == "limit_receipts":
        return [Figure(float(observed))]
    if predicted is None:
        return [Figure(math.nan, absent="the limit could not be predicted: give --agent-metrics-url")]
    return [Figure(float(abs(observed - predicted)))]


def cost_figures(name: Name, costs: pd.DataFrame, leaks: Mapping[str, Leaks | None], mode: str) -> list[Figure]:
    """The figures of a cost per receipt: one per step and service; for a leak, one per service.

    Steps with denied receipts are left out unless all have some, as everywhere: a refusal costs something else.
    """
    if mode != name.mode:
        under = "without a profiler" if mode == "none" else f"under {mode}"
        why = f"{name.name} is measured under {name.mode}, this run was {under}: use --profiler {name.mode}"
        return [Figure(math.nan, absent=why)]
    if name.metric == "leak":
        return [_leak(service, found) for service, found in leaks.items()] or [_no_window(name)]
    if not len(costs):
        return [_no_window(name)]
    whole = costs[(costs["by"] == "whole") & (costs["metric"] == name.metric)]
    if "window" in whole:
        whole = whole[whole["window"] == "step"]
    if not len(whole):
        return [Figure(math.nan, absent=f"the profile has no metric {name.metric}")]
    figures = []
    for _, of_service in whole.groupby("service", sort=True):
        for row in of_service[counted(of_service)].to_dict("records"):
            receipts = int(row["receipts"])
            place: dict[str, Any] = {"step": int(row["step"]), "receipts": receipts, "service": str(row["service"])}
            figures.append(Figure(in_unit(name, float(row["self"])) / receipts, n=receipts, **place))
    return figures or [Figure(math.nan, absent="every receipt was denied, none was served")]


def _of_step(name: Name, row: StepRow) -> Figure:
    at: dict[str, Any] = {"step": row.step, "receipts": row.receipts}
    if name.of == "time":
        if row.profiler != "none":
            why = f"times under {row.profiler} are distorted: measure them in a run without a profiler"
            return Figure(math.nan, **at, absent=why)
        if row.verdict == "INVALID":
            return Figure(math.nan, **at, absent=f"no valid measurement ({row.reason})")
    value, n = _value(name.name, row)
    if math.isnan(value):
        return Figure(math.nan, **at, absent=_absent(name, row))
    low, high = (math.nan if end is None else end for end in _interval(name.name, row))
    return Figure(value, low, high, n=n, **at)


def _of_repeats(name: Name, rows: Sequence[StepRow]) -> Figure:
    """The figure of steps of one size, from all repeats that have it."""
    each = [_of_step(name, row) for row in rows]
    measured = [figure for figure in each if figure.measured]
    if not measured:
        return each[0]
    found = together([figure.value for figure in measured])
    n = sum(figure.n for figure in measured)
    if found.repeats == 1:
        return measured[0]
    at: dict[str, Any] = {"step": each[0].step, "receipts": each[0].receipts}
    return Figure(found.mean, found.low, found.high, **at, n=n, repeats=found.repeats, planned=len(rows))


def _value(name: str, row: StepRow) -> tuple[float, int]:
    """The value of a step's figure, and the number of receipts it comes from."""
    shares = {
        "refused_share": (row.sent - row.accepted, row.sent),
        "denied_share": (row.denied, row.sent),
        "failed_share": (row.failed, row.sent),
        "unsent_share": (row.offered - row.sent, row.offered),
        "lost_share": (row.paid - row.stored, row.paid),
    }
    if name in shares:
        part, whole = shares[name]
        return (max(0.0, float(part)) / whole if whole and not math.isnan(part) else math.nan), int(whole)
    latency = name.startswith(("response_", "service_p", "service_max"))
    return float(getattr(row, name)), row.accepted if latency else row.sent if name.startswith("lag_") else 0


def _interval(name: str, row: StepRow) -> tuple[float | None, float | None]:
    stem = name.removesuffix("_ms")
    return getattr(row, f"{stem}_low_ms", None), getattr(row, f"{stem}_high_ms", None)


def _absent(name: Name, row: StepRow) -> str:
    """Why a step has no value of a name, and what to do."""
    part = name.name.removesuffix("_ms").rpartition("_p")[2]
    if name.unit == "ms" and part.isdecimal():
        share, n = int(part) / 100, row.sent if name.name.startswith("lag_") else row.accepted
        return f"{too_few(n, share) or hang_together(n, share, row.effective_n)}: send more receipts"
    return _SOURCES.get(name.name, "not available on this machine or from this target")


def _leak(service: str, found: Leaks | None) -> Figure:
    if found is None or not found.enough:
        why = "leaks need at least three steps: give more with --receipts"
        return Figure(math.nan, service=service, absent=why)
    flagged = found.flagged()
    rate, low, high = (float(flagged[column].sum()) for column in ("rate", "rate_low", "rate_high"))
    return Figure(rate, low, high, service=service) if len(flagged) else Figure(0.0, service=service)


def _no_window(name: Name) -> Figure:
    return Figure(math.nan, absent=f"the run has no finished window of {name.mode}")

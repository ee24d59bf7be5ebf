"""System calls as findings: how many a receipt makes, and which of them it waits in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.analysis.costs import REST, cost_by_step, cost_per_receipt, windows_of
from workbench.analysis.findings.model import Finding, Size
from workbench.analysis.findings.words import amount
from workbench.analysis.refusals import counted
from workbench.numbers import figure, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis.findings.measured import Measured

# In these calls a thread waits for work, not for something that a receipt needs.
_FOR_WORK = frozenset(
    {
        "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select",
        "pselect6", "futex", "futex_wait", "nanosleep", "clock_nanosleep", "accept",
        "accept4", "wait4", "waitid", "rt_sigtimedwait", "rt_sigsuspend", "pause",
        "restart_syscall", "io_uring_enter", "io_getevents",
    }
)  # fmt: skip
# least share of the time from one receipt to the next that a call waits, in percent
LEAST_WAITING_PCT = 10.0
MANY_CALLS = 10.0
_WHOLE = 0.02
_FEWEST_STEPS = 3
_TOP = 3
# a call made this many times as often in one step as in the median step is a burst
_BURST = 3.0
# low, since the number of calls is information and not a fault
_WEIGHT = 0.3


def waiting(one: Measured) -> list[Finding]:
    """Calls in which a receipt waits, except those that wait for work, and calls for which the log does not show
    whether it waits. Measured by strace; its own overhead is included."""
    if one.mode != "strace" or not (one.costs["metric"] == "waiting").any():
        return []
    windows = windows_of(one.costs, "waiting")
    windows = windows[counted(windows)]
    between = 1e9 * float(windows["seconds"].sum()) / max(float(windows["receipts"].sum()), 1.0)
    if not between > 0 or windows["seconds"].isna().any():
        return []
    found = []
    for metric in ("waiting", "undecided"):
        if not (one.costs["metric"] == metric).any():
            continue
        table = cost_per_receipt(one.costs, metric)
        table = table[~table["name"].isin(_FOR_WORK) & (table["name"] != REST)]
        for row in table[100 * table["per_receipt"] / between >= LEAST_WAITING_PCT].to_dict("records"):
            evidence = table[table["name"] == row["name"]].reset_index(drop=True)
            found.append(_wait(one, metric, row, between, evidence))
    return found


def _wait(one: Measured, metric: str, row: dict[Any, Any], between: float, evidence: pd.DataFrame) -> Finding:
    """One call in which a receipt waits, or may wait."""
    name, each, share = str(row["name"]), float(row["per_receipt"]), 100 * float(row["per_receipt"]) / between
    of_all = f"{percent(share)} of the time from one receipt to the next, strace's own overhead included."
    known = metric == "waiting"
    return Finding(
        kind="waiting",
        service=one.service,
        mode=one.mode,
        subject=name,
        sentence=(
            f"A receipt waits {amount(each, 'ns')} in {name}, {of_all}"
            if known
            else f"A receipt spends {amount(each, 'ns')} in {name}, {of_all} The log does not show whether it waits "
            "or works there."
        ),
        metric=metric,
        size=Size(each, "ns", float(row["lowest"]), float(row["highest"])),
        share_pct=share,
        saving_pct=math.nan,
        certainty="the range is over the steps; threads wait at the same time",
        confidence=0.8 if known else 0.3,
        todo=(
            "Find which file or connection it is, and whether the receipt must wait for it"
            if known
            else "Trace the service from its start with strace -yy: then the log shows what the descriptor is"
        ),
        shown="table of what a receipt costs, by system call",
        weight=min(share, 50.0) if known else _WEIGHT,
        evidence=evidence,
        names=(name,),
    )


def many_calls(one: Measured) -> list[Finding]:
    """How many system calls a receipt makes in the median step, if they are many, and which of them a whole number of
    times. A burst, such as the report of a sampler, is in one step only and does not belong to receipts.
    """
    if one.mode != "strace" or not (one.costs["metric"] == "calls").any():
        return []
    steps, whole = cost_by_step(one.costs, "calls"), cost_by_step(one.costs, "calls", "whole")
    steps, whole = steps[counted(steps)], whole[counted(whole)]
    each = whole["cost_per_receipt"].median()
    if steps.empty or not each >= MANY_CALLS:
        return []
    by_step = steps.pivot_table(index="name", columns="step", values="cost_per_receipt", fill_value=0.0)
    usual = by_step.median(axis=1).sort_values(ascending=False)
    exact, first = _exact(steps), str(usual.index[0])
    top = ", ".join(f"{name} {exact.get(str(name), figure(count))}" for name, count in usual[:_TOP].items())
    bursts = by_step.index[by_step.max(axis=1) >= _BURST * usual.reindex(by_step.index) + 1]
    burst = f" In one step there was a burst of {', '.join(bursts[:_TOP])}." if len(bursts) else ""
    return [
        Finding(
            kind="system calls",
            service=one.service,
            mode=one.mode,
            subject=first,
            sentence=f"A receipt makes {figure(each)} system calls: {top}.{burst}",
            metric="calls",
            size=Size(each, "count", float(whole["cost_per_receipt"].min()), float(whole["cost_per_receipt"].max())),
            share_pct=100 * float(usual.iloc[0]) / each,
            saving_pct=math.nan,
            certainty="counted; the figure is that of the median step, the range is over all steps",
            confidence=0.95,
            todo="Batch reads and writes, if these calls take the time",
            shown="table of what a receipt costs, by system call",
            weight=_WEIGHT,
            evidence=cost_per_receipt(one.costs, "calls").head(10),
            names=tuple(str(name) for name in usual.index[:_TOP]),
        )
    ]


def _exact(steps: pd.DataFrame) -> dict[str, str]:
    """The calls that each receipt makes a whole number of times, in every step."""
    found = {}
    for name, rows in steps.groupby("name", sort=False):
        each = rows["cost_per_receipt"]
        k = round(float(each.mean()))
        if len(rows) >= _FEWEST_STEPS and k >= 2 and bool(((each - k).abs() <= _WHOLE * k).all()):
            found[str(name)] = f"exactly {k}"
    return found
